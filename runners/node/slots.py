"""How many long runs a node has at once, and one lane beside them for what takes milliseconds.

A slot is a lock on a file, which the kernel frees when its process ends. Whoever finds all slots taken may still do
quick work: scoring a prediction file must not wait behind a run of an hour.
"""

from __future__ import annotations

import fcntl
import mmap
from pathlib import Path
from typing import IO

#: Counts nudges that found all slots taken, in memory that the pool's processes share.
_MISSED = mmap.mmap(-1, 1)


class Slots:
    """`count` slots below `folder`, which is made."""

    def __init__(self, folder: Path, *, count: int) -> None:
        self._folder = folder
        self._count = count
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def take(self) -> IO[str] | None:
        """A slot, ours until it is closed; None where all are taken."""
        return next((lock for n in range(self._count) if (lock := _locked(self._folder / f"slot{n}.lock"))), None)

    def take_quick(self) -> IO[str] | None:
        """The lane for quick work, or None where another process is in it."""
        return _locked(self._folder / "quick.lock")


def missed() -> int:
    """Changes whenever a nudge finds all slots taken: who frees one looks again, for that nudge is gone."""
    return _MISSED[0]


def miss() -> None:
    """Note that a nudge found all slots taken."""
    _MISSED[0] = (_MISSED[0] + 1) % 256


def _locked(path: Path) -> IO[str] | None:
    handle = path.open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle
