"""What a run left on the host: containers, processes, mounts, cgroups, sockets, files.

While a run lives, `Observed` notes under which names it exists on the host; afterwards none of them may be there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge_world import BREACH

from runners.engines.base import Engine, Job, Sandbox

_OWN_NAMESPACE = Path("/proc/self/ns/pid")
#: Where a submission that got out would write.
_PLACES = ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/usr", "/usr/bin", "/opt", "/srv", "/mnt", "/home")


@dataclass
class Traces:
    """Names of one run on this host. `keys` stand in cgroup paths, mounts and command lines.

    `held` keeps its pid namespaces from vanishing, and so their numbers from being given to the next run's.
    """

    run: str
    keys: set[str] = field(default_factory=set)
    namespaces: set[str] = field(default_factory=set)
    mounts: set[str] = field(default_factory=set)
    processes: int = 0
    held: list[int] = field(default_factory=list)

    def look(self, client: Any) -> None:
        """Note what there is now; `client` is the Docker API or None."""
        for container in _containers(client, self.run):
            self.keys.add(container["Id"])
            merged = client.inspect_container(container["Id"])["GraphDriver"]["Data"].get("MergedDir")
            self.mounts |= {merged} if merged else set()
        self.keys.add(f"~{self.run}~")
        own = _namespace(_OWN_NAMESPACE)
        members = [pid for pid, groups in _processes() if any(key in groups for key in self.keys)]
        self.processes += len(members)
        for pid in members:
            self._hold(pid / "ns" / "pid", own)

    def _hold(self, path: Path, own: str) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # it ended meanwhile
            return
        self.held.append(descriptor)
        self.namespaces |= {f"pid:[{os.fstat(descriptor).st_ino}]"} - {own}

    def close(self) -> None:
        """Let the namespaces go."""
        while self.held:
            os.close(self.held.pop())


class Observed:
    """An engine that notes what each sandbox is on the host; everything else is the engine's own."""

    def __init__(self, engine: Engine, traces: Traces) -> None:
        self._engine = engine
        self._traces = traces

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def start(self, job: Job) -> Sandbox:
        sandbox = self._engine.start(job)
        self._traces.look(getattr(self._engine, "client", None))
        return sandbox


def leftovers(traces: Traces, client: Any, *folders: Path, seconds: float = 10.0) -> list[str]:
    """What is still there; asked again until nothing is, or `seconds` have passed. `folders` may hold no sockets."""
    deadline = time.monotonic() + seconds
    while (found := sorted(_left(traces, client, folders))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _left(traces: Traces, client: Any, folders: tuple[Path, ...]) -> Iterator[str]:
    yield from (f"container {container['Names'][0]}" for container in _containers(client, traces.run))
    for pid, groups in _processes():
        inside = _namespace(pid / "ns" / "pid") in traces.namespaces
        if inside or any(key in groups for key in traces.keys) or _named(pid, traces.keys):
            yield f"process {pid.name}: {_read(pid / 'cmdline')[:100]!r}"
    for line in _read(Path("/proc/self/mountinfo")).splitlines():
        if any(key in line for key in traces.keys | traces.mounts):
            yield f"mount {line.split(' ')[4]}"
    yield from (f"cgroup {path}" for path in _groups() if any(key in path.name for key in traces.keys))
    for folder in folders:
        yield from (f"socket {path}" for path in folder.rglob("*") if path.is_socket() or path.is_fifo())
    yield from breaches()


def breaches(places: tuple[str, ...] = _PLACES) -> Iterator[str]:
    """Files that a submission wrote outside its sandbox."""
    yield from (f"file {place}/{BREACH}" for place in places if (Path(place) / BREACH).exists())


def _containers(client: Any, run: str) -> list[dict[str, Any]]:
    if client is None:
        return []
    found: list[dict[str, Any]] = client.containers(all=True, filters={"label": f"touchstone.run={run}"})
    return found


def _processes() -> Iterator[tuple[Path, str]]:
    """Every process of the host with the text of its cgroups."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and (groups := _read(path / "cgroup")):
            yield path, groups


def _named(pid: Path, keys: set[str]) -> bool:
    """Whether a helper of the engine (a containerd shim) still carries the name of the container."""
    line = _read(pid / "cmdline")
    return "containerd-shim" in line and any(key in line for key in keys)


def _groups() -> Iterator[Path]:
    """Folders of sandboxes in the cgroup tree, version 1 or 2."""
    for pattern in ("*/touchstone/*", "touchstone/*", "*/docker/*", "docker/*", "system.slice/docker-*"):
        yield from (path for path in Path("/sys/fs/cgroup").glob(pattern) if path.is_dir())


def _namespace(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
