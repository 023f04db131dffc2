"""Who watches over a container: the process that made it, or one that took it over.

The first is told by the container's labels, which cannot be changed. The second writes its name into a file beside
the channel's folder, `<folder>.owner`. Who ends a container or takes it over holds that file locked meanwhile: nobody
removes what another has just taken. The place is read from the container's mounts and not from a label: an image
may bring labels of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from runners.engines import _limits


@dataclass(frozen=True)
class Owner:
    """`worker` as `_limits.worker_id` names it; `attempt` is the one it works for."""

    worker: str
    attempt: int

    @property
    def is_gone(self) -> bool:
        """Whether it ran on this host and has ended."""
        return _limits.is_gone(self.worker)


def file_of(mounts: Sequence[Mapping[str, Any]]) -> Path | None:
    """Where a container's owner is written, by the mounts that the daemon tells; None without a channel."""
    for mount in mounts:
        if mount.get("Destination") == _limits.CHANNEL and mount.get("Source"):
            return beside(Path(str(mount["Source"])))
    return None


def beside(channel: Path | None) -> Path | None:
    """The same by the channel's folder."""
    if channel is None:
        return None
    folder = channel.resolve()
    return folder.with_name(f"{folder.name}.owner")


def read(container: str, labels: Mapping[str, str], file: Path | None) -> Owner:
    """Who watches over a container, by its id, now."""
    made = Owner(labels.get("touchstone.worker", ""), _number(labels.get("touchstone.attempt", "")))
    try:
        told = json.loads(file.read_text()) if file is not None else {}
        # By the container's id: what was written about an earlier one of the same run says nothing.
        return Owner(str(told["worker"]), int(told["attempt"])) if told["container"] == container else made
    except (OSError, ValueError, KeyError, TypeError):  # nobody took it over
        return made


@contextlib.contextmanager
def held(file: Path | None) -> Iterator[IO[str] | None]:
    """Be alone in deciding about a container; the open file, or None where no other process could decide.

    Without the folder around it nobody can take the container over: it has lost its channel.
    """
    opened = _locked(file) if file is not None else None
    try:
        yield opened
    finally:
        if opened is not None:
            opened.close()


def _locked(file: Path) -> IO[str] | None:
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        opened = os.fdopen(descriptor, "r+")
        fcntl.flock(opened, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return opened
        opened.close()  # whoever had it removed it: the next one makes another


def write(opened: IO[str], *, container: str, attempt: int) -> None:
    """Take a container over for this process."""
    opened.seek(0)
    opened.truncate()
    json.dump({"container": container, "attempt": attempt, "worker": _limits.worker_id()}, opened)
    opened.flush()


def forget(file: Path | None) -> None:
    """The container is gone. Safe to repeat."""
    if file is not None:
        with contextlib.suppress(OSError):
            file.unlink()


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
