"""Helpers of the bubblewrap engine: the tail of a log, and a memory watch where there are no cgroups."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil

_INTERVAL = 0.05


class LogTail:
    """Drains a pipe in a thread and keeps its last `limit` bytes, so a flood costs neither disk nor memory."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._kept = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with open(self._descriptor, "rb", buffering=0) as pipe:
            while data := pipe.read(65536):
                with self._lock:
                    self._kept += data
                    if len(self._kept) > self._limit:
                        del self._kept[: len(self._kept) - self._limit]

    def read(self) -> bytes:
        """What is kept now."""
        with self._lock:
            return bytes(self._kept)

    def join(self) -> None:
        """Wait until the pipe has been read to its end; every writer must be gone."""
        self._thread.join(timeout=5)


class MemoryWatch:
    """Adds up the resident memory of a process tree every 50 ms and kills it above `limit`.

    Weaker than a cgroup: a burst between two looks passes, and pages of a tmpfs do not count.
    """

    def __init__(self, pid: int, limit: int) -> None:
        self._root = psutil.Process(pid)
        self._limit = limit
        self._stop = threading.Event()
        self.peak = 0
        self.exceeded = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL):
            try:
                tree = [self._root, *self._root.children(recursive=True)]
            except psutil.Error:
                return
            used = sum(_resident(process) for process in tree)
            self.peak = max(self.peak, used)
            if used > self._limit:
                self.exceeded = True
                self._root.kill()  # bwrap's first process: its namespace dies with it
                return

    def stop(self) -> None:
        """Stop looking. Safe to repeat."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5)


def _resident(process: psutil.Process) -> int:
    """Resident bytes; pages shared with other processes count in part, as forks share nearly all of theirs."""
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return 0
    except PermissionError:
        return _resident_with_shared(process)
    except (OSError, psutil.Error):  # it ended meanwhile
        return 0


def _resident_with_shared(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
