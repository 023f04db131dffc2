"""`make demo ONCE=1` with its worker, its server and its Redis killed on the way; and a second run after it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from livekit import clean_environment

from scripts.demo_content import baselines, folders
from scripts.engines import Choice
from scripts.stack import PYTHONPATH, ROOT

_PATIENCE = 600.0
_VICTIMS = {"node": "runners.worker", "server": "gunicorn", "redis": "redis-server"}


def _start(var: Path, log: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "scripts.demo", "--once", "--port", "0", "--var", str(var)]
    env = clean_environment() | {"PYTHONPATH": PYTHONPATH}
    with log.open("wb") as output:
        return subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=env)


def _kill_child(demo: subprocess.Popen[bytes], word: str) -> None:
    """SIGKILL the demo's own child whose command line holds `word`."""
    found = [child for child in psutil.Process(demo.pid).children() if any(word in part for part in child.cmdline())]
    assert len(found) == 1, [child.cmdline() for child in psutil.Process(demo.pid).children()]
    os.kill(found[0].pid, signal.SIGKILL)


def _until(demo: subprocess.Popen[bytes], log: Path, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert demo.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _finish(demo: subprocess.Popen[bytes], log: Path) -> None:
    assert demo.wait(_PATIENCE) == 0, log.read_text()


def _summary(var: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((var / "demo" / "summary.json").read_text())
    return found


def _left_over(var: Path) -> list[list[str]]:
    """Processes that work on `var`, by their command line or their environment."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        told = [*(process.info["cmdline"] or ()), *(process.info["environ"] or {}).values()]
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(var) in part for part in told):
            found.append(process.info["cmdline"])
    return found


@pytest.mark.demo
def test_demo_survives_kills_and_runs_again(tmp_path: Path, engine_choice: Choice) -> None:
    tmp_path.chmod(0o711)
    var, log = tmp_path / "var", tmp_path / "demo.log"
    expected = {(item.competition, item.name) for f in folders() for item in baselines(f, engine_choice.name)}

    demo = _start(var, log)
    try:
        _until(demo, log, lambda: "): running" in log.read_text())
        for word in _VICTIMS.values():
            _kill_child(demo, word)
            time.sleep(3)
        _finish(demo, log)
    finally:
        demo.terminate()
        demo.wait(60)

    first = _summary(var)
    assert log.read_text().count("was killed by SIGKILL; starting it again") == len(_VICTIMS)
    assert {(s["competition"], s["name"]) for s in first["submissions"]} == expected
    assert {s["state"] for s in first["submissions"]} == {"scored"}
    assert all(s["scores"] for s in first["submissions"])
    assert first["engine"] == engine_choice.name
    assert _left_over(var) == []

    again = _start(var, log)
    try:
        _finish(again, log)
    finally:
        again.terminate()
        again.wait(60)

    second = _summary(var)
    ids = [{s["id"] for s in found["submissions"]} for found in (first, second)]
    assert ids[0] == ids[1]
    assert [c["version"] for c in second["competitions"]] == [c["version"] for c in first["competitions"]]
    assert _left_over(var) == []


def test_stopping_the_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    var, log = tmp_path / "var", tmp_path / "demo.log"
    demo = _start(var, log)

    try:
        _until(demo, log, lambda: "are up at" in log.read_text())
        demo.send_signal(signal.SIGINT)
        assert demo.wait(120) == 130, log.read_text()
    finally:
        demo.kill()
        demo.wait()
    assert _left_over(var) == []


def test_killing_the_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """Not even a SIGKILL of the parent: the kernel tells its children."""
    tmp_path.chmod(0o711)
    var, log = tmp_path / "var", tmp_path / "demo.log"
    demo = _start(var, log)

    _until(demo, log, lambda: "Competition" in log.read_text())
    demo.kill()
    demo.wait(10)

    deadline = time.monotonic() + 60
    while _left_over(var) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert _left_over(var) == []
