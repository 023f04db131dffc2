"""Locks that the processes of one node share. The kernel frees a lock when its process ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of `path`; false where another process has it and we do not `wait`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def engine_lock(directory: Path) -> Path:
    """Of who tests the engine or reaps: a reaper would take the sandboxes of a test for left ones."""
    return directory / "engine.lock"
