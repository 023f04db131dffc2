"""Control groups of version 1 or 2, for the bubblewrap engine: memory (with swap), processes, CPU.

Where the hierarchy cannot be written, `Cgroup.create` returns None and the engine falls back to rlimits.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from runners.engines.base import Limits

_PARENT = "touchstone"
_PERIOD = 100_000
#: Share of the limit that the peak of a group reaches which was killed at its limit.
_NEAR = 0.95
_V2 = Path("/sys/fs/cgroup")


def _write(path: Path, value: str) -> None:
    path.write_text(value)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _v1_mounts() -> dict[str, Path]:
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup":
            for controller in options.split(","):
                mounts.setdefault(controller, Path(left.split(" ")[4]))
    return mounts


def parents() -> dict[str, Path]:
    """The folder for our groups by controller (version 2: one folder under the key ""); empty if not writable."""
    try:
        if (_V2 / "cgroup.controllers").exists():
            return {"": _v2_parent()}
        mounts = _v1_mounts()
        found = {name: mounts[name] / _PARENT for name in ("memory", "pids", "cpu")}
        for folder in found.values():
            folder.mkdir(exist_ok=True)
            if not os.access(folder, os.W_OK):
                return {}
    except (OSError, KeyError):
        return {}
    return found


def _v2_parent() -> Path:
    wanted = "+memory +pids +cpu"
    parent = _V2 / _PARENT
    _write(_V2 / "cgroup.subtree_control", wanted)
    parent.mkdir(exist_ok=True)
    _write(parent / "cgroup.subtree_control", wanted)
    return parent


class Cgroup:
    """One group a sandbox. Processes join by writing to `join_files` themselves."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    @classmethod
    def create(cls, name: str, limits: Limits, *, helpers: int) -> Cgroup | None:
        """A fresh group with `limits`; `helpers` processes come on top of `limits.pids`. None if impossible."""
        found = parents()
        if not found:
            return None
        group = cls({controller: parent / name for controller, parent in found.items()})
        try:
            group.remove()
            for folder in group._folders.values():
                folder.mkdir()
            group._limit(limits, helpers)
        except OSError:
            group.remove()
            return None
        return group

    @classmethod
    def existing(cls) -> dict[str, Cgroup]:
        """All groups below our parent, by name: what a reaper looks through."""
        found = parents()
        names = {child.name for parent in found.values() for child in parent.iterdir() if child.is_dir()}
        return {name: cls({key: parent / name for key, parent in found.items()}) for name in sorted(names)}

    @property
    def _v2(self) -> bool:
        return "" in self._folders

    def _folder(self, controller: str) -> Path:
        return self._folders["" if self._v2 else controller]

    def _limit(self, limits: Limits, helpers: int) -> None:
        quota = max(1000, int(limits.cpus * _PERIOD))
        memory = self._folder("memory")
        _write(self._folder("pids") / "pids.max", str(limits.pids + helpers))
        if self._v2:
            _write(memory / "memory.max", str(limits.memory))
            if (memory / "memory.swap.max").exists():
                _write(memory / "memory.swap.max", "0")
            _write(self._folder("cpu") / "cpu.max", f"{quota} {_PERIOD}")
            return
        _write(memory / "memory.limit_in_bytes", str(limits.memory))
        if (memory / "memory.memsw.limit_in_bytes").exists():
            _write(memory / "memory.memsw.limit_in_bytes", str(limits.memory))
        _write(self._folder("cpu") / "cpu.cfs_period_us", str(_PERIOD))
        _write(self._folder("cpu") / "cpu.cfs_quota_us", str(quota))

    @property
    def join_files(self) -> list[str]:
        """Files to which a process writes "0" to enter."""
        return [str(folder / "cgroup.procs") for folder in self._folders.values()]

    def limits_swap(self) -> bool:
        """Whether swap counts, or there is none to use."""
        memory = self._folder("memory")
        if any((memory / name).exists() for name in ("memory.swap.max", "memory.memsw.limit_in_bytes")):
            return True
        return len(Path("/proc/swaps").read_text().splitlines()) < 2

    def out_of_memory(self) -> bool:
        """Whether the kernel killed anything in the group because the group was at its limit."""
        return self._oom_kills() > 0 and self._at_limit()

    def host_out_of_memory(self) -> bool:
        """Whether the kernel killed anything in the group although it never reached its limit: the host was full."""
        return self._oom_kills() > 0 and not self._at_limit()

    def _oom_kills(self) -> int:
        return self._event("memory.events" if self._v2 else "memory.oom_control", "oom_kill")

    def _at_limit(self) -> bool:
        """Whether an allocation ever met the limit; version 1 tells only how near the peak came to it."""
        if self._v2:
            return self._event("memory.events", "max") > 0
        peak, limit = self.peak(), _number(self._folder("memory") / "memory.limit_in_bytes")
        return peak is None or limit is None or peak >= _NEAR * limit

    def _event(self, file: str, key: str) -> int:
        try:
            lines = (self._folder("memory") / file).read_text().splitlines()
        except FileNotFoundError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith(f"{key} "))

    def peak(self) -> int | None:
        """Peak bytes, page cache included; None where the kernel does not tell."""
        return _number(self._folder("memory") / ("memory.peak" if self._v2 else "memory.max_usage_in_bytes"))

    def pids(self) -> list[int]:
        """Processes now in the group."""
        try:
            return [int(pid) for pid in (self._folder("pids") / "cgroup.procs").read_text().split()]
        except FileNotFoundError:
            return []

    def kill(self, seconds: float = 5.0) -> bool:
        """SIGKILL everything in the group until it is empty; False if something outlived `seconds`."""
        deadline = time.monotonic() + seconds
        while pids := self.pids():
            for pid in pids:
                if pid == 0:  # a process of another pid namespace: to `kill`, 0 is our own process group
                    continue
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def remove(self) -> None:
        """Kill what is left and remove the group. Safe to repeat."""
        self.kill()
        for folder in self._folders.values():
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:  # a dying process still counts for a moment
                    time.sleep(0.01)
