"""Processes under limits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from touchstone.core.limited import LimitedTimeout, run_limited


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module and run it under limits."""
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    (tmp_path / "modules").mkdir()

    def run(source: str, *arguments: str, seconds: float = 10):
        (tmp_path / "modules" / "guest.py").write_text(source)
        return run_limited("guest", *arguments, folder=tmp_path, seconds=seconds)

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
