"""Each layer of the bubblewrap engine holds by itself: with the others taken away, it still refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from enginekit import MIB, wait_for

from runners.engines import _bwrap_plan, _seccomp
from runners.engines._cgroups import Cgroup
from runners.engines.base import Job, Limits, Sandbox
from runners.engines.bubblewrap import BubblewrapEngine

LIMITS = Limits(memory=128 * MIB, cpus=1.0, seconds=30, tmp=MIB, pids=40)
#: Calls unshare(CLONE_NEWUSER) and tells 0 or the error.
UNSHARE = (
    "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "print(0 if libc.unshare(0x10000000) == 0 else ctypes.get_errno())"
)
EPERM, ENOSPC = 1, 28
FIRST_UID = 1_900_000_000


def _run(code: str, run: str) -> str:
    sandbox = BubblewrapEngine().start(Job(run=run, attempt=1, limits=LIMITS, argv=("python", "-c", code)))
    try:
        assert sandbox.wait(20) is not None
        return sandbox.logs().decode().strip()
    finally:
        sandbox.close()


def _without(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    kept = tuple(option for option in _bwrap_plan._ISOLATION if option not in options)
    monkeypatch.setattr(_bwrap_plan, "_ISOLATION", kept)


def test_the_filter_alone_refuses_user_namespaces(monkeypatch: pytest.MonkeyPatch, run_name: str) -> None:
    _without(monkeypatch, "--disable-userns")
    assert _run(UNSHARE, run_name) == str(EPERM)


def test_disable_userns_alone_refuses_user_namespaces(monkeypatch: pytest.MonkeyPatch, run_name: str) -> None:
    monkeypatch.setattr(_seccomp, "supported", lambda: False)
    assert _run(UNSHARE, run_name) == str(ENOSPC)


def test_without_both_a_user_namespace_can_be_made(monkeypatch: pytest.MonkeyPatch, run_name: str) -> None:
    """Else the two tests above would prove nothing."""
    monkeypatch.setattr(_seccomp, "supported", lambda: False)
    _without(monkeypatch, "--disable-userns")
    assert _run(UNSHARE, run_name) == "0"


@pytest.fixture
def sleeper(run_name: str) -> Iterator[tuple[Sandbox, Cgroup, list[int]]]:
    """A sandbox with two processes, its group, and the processes of the host in it."""
    code = "import os, time; os.fork(); print('up', flush=True); time.sleep(60)"
    sandbox = BubblewrapEngine().start(Job(run=run_name, attempt=1, limits=LIMITS, argv=("python", "-c", code)))
    try:
        group = sandbox._group
        assert group is not None, "cgroups cannot be written here"
        wait_for(lambda: sandbox.logs().count(b"up") == 2)
        yield sandbox, group, group.pids()
    finally:
        sandbox.close()


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_on_the_host_it_is_a_user_who_owns_nothing(sleeper: tuple[Sandbox, Cgroup, list[int]]) -> None:
    _, _, pids = sleeper
    inside = [pid for pid in pids if len(_status(pid)["NSpid"].split()) > 1]
    assert len(inside) >= 2
    for pid in inside:
        told = _status(pid)
        uids = {int(uid) for uid in told["Uid"].split()}
        assert min(uids) >= FIRST_UID
        assert int(told["CapEff"], 16) == 0
        assert told["Seccomp"] == "2"
        assert told["NoNewPrivs"] == "1"


def test_all_of_it_is_in_its_own_groups_with_the_limits(sleeper: tuple[Sandbox, Cgroup, list[int]]) -> None:
    _, group, pids = sleeper
    assert len(pids) >= 3
    for controller in ("memory", "cpu", "pids"):
        folder = group._folder(controller)
        assert {int(pid) for pid in (folder / "cgroup.procs").read_text().split()} == set(pids)
    names = ("memory.max", "pids.max") if group._v2 else ("memory.limit_in_bytes", "pids.max")
    found = [int((group._folder(name.partition(".")[0]) / name).read_text()) for name in names]
    assert found == [LIMITS.memory, LIMITS.pids + _bwrap_plan.HELPERS]


#: Starts a sandbox and tells its group; is then killed with all its strength.
_SUPERVISOR = """
import sys, time
from runners.engines import _limits
from runners.engines.base import Job, Limits
from runners.engines.bubblewrap import BubblewrapEngine
_limits.NODE = sys.argv[2]
limits = Limits(memory=2**27, cpus=1.0, seconds=60, tmp=2**20)
code = "import time; print('up', flush=True); time.sleep(60)"
sandbox = BubblewrapEngine().start(Job(run=sys.argv[1], attempt=1, limits=limits, argv=("python", "-c", code)))
while b"up" not in sandbox.logs():
    time.sleep(0.02)
print(*sandbox._group.pids(), flush=True)
time.sleep(60)
"""


def test_it_ends_with_its_supervisor_and_its_group_is_reaped(run_name: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR, run_name, f"other-{run_name}"], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as supervisor:  # fmt: skip
        assert supervisor.stdout is not None
        pids = supervisor.stdout.readline().split()
        supervisor.kill()
    assert len(pids) >= 2
    wait_for(lambda: not any(Path("/proc", pid).exists() for pid in pids))
    engine = BubblewrapEngine()
    job = Job(run=run_name, attempt=2, limits=LIMITS, argv=("python", "-c", ""))
    assert engine.adopt(job) is None, "there is nothing to take over"
    assert [name.split("~")[1] for name in engine.reap([]) if run_name in name] == [run_name]
    assert not [name for name in Cgroup.existing() if run_name in name]


def test_without_control_groups_the_peak_is_only_looked_at(run_name: str, tmp_path: Path) -> None:
    """What is taken for a moment is missed: such a peak is shown, and nothing is measured by it."""
    code = "a = bytearray(64 * 2**20); del a; import time; print('up', flush=True); time.sleep(60)"
    for cgroups in (True, False):
        job = Job(run=f"{run_name}-{cgroups}", attempt=1, limits=LIMITS, argv=("python", "-c", code))
        sandbox = BubblewrapEngine(cgroups=cgroups).start(job)
        try:
            wait_for(lambda sandbox=sandbox: b"up" in sandbox.logs())
            assert sandbox.samples_memory is not cgroups
            assert cgroups is False or (sandbox.peak_memory() or 0) > 0
        finally:
            sandbox.close()
