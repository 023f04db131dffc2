"""A child that dies is started again; all of them end with the supervisor, grandchildren too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scripts.processes import spawn, stop
from scripts.supervisor import Member, Supervisor

_GRANDCHILD = "import subprocess, time; subprocess.Popen(['sleep', '300']); time.sleep(300)"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    found = Supervisor(said.append)
    yield found
    found.stop()


def _member(tmp_path: Path, name: str = "sleeper", code: str = "import time; time.sleep(300)") -> Member:
    log = tmp_path / f"{name}.log"
    return Member(name, lambda: spawn([sys.executable, "-c", code], log=log), log)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_child_is_started_again(supervisor: Supervisor, said: list[str], tmp_path: Path) -> None:
    supervisor.add(_member(tmp_path))
    first = supervisor.pid("sleeper")
    assert first is not None

    os.kill(first, signal.SIGKILL)
    _until(lambda: supervisor.restarts("sleeper") == 1)

    assert supervisor.pid("sleeper") not in (None, first)
    assert said == [f"sleeper was killed by SIGKILL; starting it again in 1.0 s (log: {tmp_path / 'sleeper.log'})"]


def test_pauses_grow_for_a_child_that_does_not_stay(supervisor: Supervisor, said: list[str], tmp_path: Path) -> None:
    supervisor.add(_member(tmp_path, code="raise SystemExit(3)"))

    _until(lambda: len(said) == 2)

    assert [line.split(" (log")[0] for line in said] == [
        "sleeper ended with status 3; starting it again in 1.0 s",
        "sleeper ended with status 3; starting it again in 2.0 s",
    ]


def test_member_that_does_not_start_is_told_to_the_caller(supervisor: Supervisor, tmp_path: Path) -> None:
    def fail() -> subprocess.Popen[bytes]:
        raise OSError("no such program")

    with pytest.raises(OSError, match="no such program"):
        supervisor.add(Member("broken", fail, tmp_path / "log"))


def test_stop_ends_everything(said: list[str], tmp_path: Path) -> None:
    supervisor = Supervisor(said.append)
    supervisor.add(_member(tmp_path, "parent", _GRANDCHILD))
    pid = supervisor.pid("parent")
    assert pid is not None
    _until(lambda: len(psutil.Process(pid).children()) == 1)
    (grandchild,) = psutil.Process(pid).children()

    supervisor.stop()
    supervisor.stop()

    assert not psutil.pid_exists(pid)
    _until(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)


def test_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = (
        "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(300)"
    )
    child = spawn([sys.executable, "-c", code], log=tmp_path / "log")
    _until(ready.exists)

    assert stop(child, grace=0.2) == -signal.SIGKILL
