"""Processes under limits, started afresh and forked from a warm one: both keep the same promises."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from touchstone.core.limited import LimitedTimeout, run_limited
from touchstone.core.warm import WarmPython


@pytest.fixture
def warm(tmp_path, monkeypatch):
    """A warm process that sees the guests' modules."""
    (tmp_path / "modules").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    python = WarmPython(preload="json")
    yield python
    python.close()


@pytest.fixture(params=["fresh", "warm"])
def module(request, tmp_path, warm):
    """Write a module and run it under limits."""
    started = run_limited if request.param == "fresh" else warm.run

    def run(source: str, *arguments: str, seconds: float = 10):
        (tmp_path / "modules" / "guest.py").write_text(source)
        return started("guest", *arguments, folder=tmp_path, seconds=seconds)

    return run


def test_output_status_and_arguments(module) -> None:
    ended = module("import sys; print(sys.argv[1:]); print('last words', file=sys.stderr); sys.exit(3)", "a b", "--c")

    assert (ended.code, ended.out, ended.last_line) == (3, b"['a b', '--c']\n", "last words")


def test_memory_is_limited(module, monkeypatch) -> None:
    monkeypatch.setattr("touchstone.core.limited.MEMORY", 2**29)

    ended = module("x = bytearray(2**30)")

    assert ended.code == 1
    assert ended.last_line == "MemoryError"


def test_nothing_of_our_environment_is_seen(module, monkeypatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_SECRET_KEY", "secret")
    monkeypatch.setenv("DATABASE_URL", "secret")

    ended = module("import os; print(sorted(os.environ))")

    assert b"TOUCHSTONE" not in ended.out
    assert b"DATABASE" not in ended.out


def test_a_file_beside_it_is_not_imported(module, tmp_path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")

    assert module("import json; print('fine')").out == b"fine\n"


_SPAWNER = """
import pathlib, subprocess, time
child = subprocess.Popen(["sleep", "60"])
pathlib.Path("pid").write_text(str(child.pid))
time.sleep(60)
"""


def test_timeout_kills_the_children_too(module, tmp_path) -> None:
    with pytest.raises(LimitedTimeout):
        module(_SPAWNER, seconds=1)

    status = Path("/proc", (tmp_path / "pid").read_text(), "status")
    deadline = time.monotonic() + 5
    while _alive(status) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(status)


def _alive(status: Path) -> bool:
    """Whether a process runs: gone, or dead and waiting for its new parent, is not alive."""
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_output_is_limited(module, monkeypatch) -> None:
    monkeypatch.setattr("touchstone.core.limited._FILE_SIZE", 2**16)

    ended = module("print('x' * 2**20)")

    assert ended.code != 0
    assert len(ended.out) <= 2**16


def _pid(warm: WarmPython) -> int:
    assert warm._process is not None
    return warm._process.pid


def test_one_warm_process_serves_many_and_hands_nothing_on(warm, tmp_path) -> None:
    (tmp_path / "modules" / "guest.py").write_text(
        "import os, sys, builtins\n"
        "print(hasattr(builtins, 'mark'), sorted(os.listdir('/proc/self/fd')), os.getppid())\n"
        "builtins.mark = 1\n"
    )
    first = warm.run("guest", folder=tmp_path, seconds=10)
    second = warm.run("guest", folder=tmp_path, seconds=10)

    marked, *descriptors, parent = second.out.decode().replace("[", "").replace("]", "").split()
    assert (marked, int(parent)) == ("False", _pid(warm))
    assert first.out == second.out
    assert len(descriptors) == 4  # in, out, err, and the listing itself: not the socket to us


def test_a_killed_warm_process_costs_nothing(warm, tmp_path) -> None:
    (tmp_path / "modules" / "guest.py").write_text("print('done')")
    warm.start()
    before = _pid(warm)
    os.kill(before, signal.SIGKILL)

    assert warm.run("guest", folder=tmp_path, seconds=10).out == b"done\n"
    assert warm.run("guest", folder=tmp_path, seconds=10).out == b"done\n"
    assert _pid(warm) != before


def test_a_child_that_kills_its_parent_is_checked_afresh(warm, tmp_path) -> None:
    (tmp_path / "modules" / "guest.py").write_text(
        "import os, signal, pathlib\n"
        "if not pathlib.Path('tried').exists():\n"
        "    pathlib.Path('tried').touch()\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "print('second')"
    )
    assert warm.run("guest", folder=tmp_path, seconds=10).out == b"second\n"


def test_closing_ends_it(warm) -> None:
    warm.start()
    process = warm._process
    warm.close()

    assert process.returncode == 0


def test_a_module_that_is_not_there_is_a_warm_process_that_does_not_start(tmp_path) -> None:
    python = WarmPython(preload="there_is_no_such_module")

    ended = python.run("json.tool", "--help", folder=tmp_path, seconds=10)

    assert ended.code == 0
    assert python._process is None
