"""Locks that the processes of one node share, or all nodes of a host. The kernel frees a lock when its process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


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


def host_lock(folder: Path, name: str) -> IO[bytes]:
    """The lock `name` of this host, ours until it is closed. `folder` is made, for this user alone.

    Nobody but root, this user, and a group they let in may write there: who could put another file in its place would
    have two nodes hold one lock. Nothing is written, and no link is followed, so the file cannot be one of somebody's.

    Raises:
        BlockingIOError: another process has it.
        OSError: the folder or file cannot be used; says why.
    """
    place = _trusted(folder)
    try:
        handle = os.fdopen(_file(place, name), "rb")
    finally:
        os.close(place)
    try:
        if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(folder / name))
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        handle.close()
        raise
    return handle


def _trusted(folder: Path) -> int:
    """The open folder. What was looked at stays what is used, whatever its path comes to mean."""
    with suppress(FileExistsError):  # made by another node, the operator, or somebody who means ill: looked at now
        folder.mkdir(mode=0o700)
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    found = os.fstat(place)
    if found.st_uid not in (0, os.geteuid()):
        problem = f"it belongs to user {found.st_uid}, who is neither root nor this node's user"
    elif found.st_mode & stat.S_IWOTH:
        problem = "everybody may write in it"
    else:
        return place
    os.close(place)
    raise OSError(errno.EPERM, problem, str(folder))


def _file(place: int, name: str) -> int:
    """A lock needs no right to write, so nodes of a group share files that any of them made. No pipe makes us wait."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(name, flags, dir_fd=place)
    except FileNotFoundError:
        return os.open(name, flags | os.O_CREAT, 0o640, dir_fd=place)
