"""A node without remote control, as behind a queue that others share, hears of work again after Redis died."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from scripts.processes import spawn, stop
from scripts.services import Services
from scripts.stack import PYTHONPATH, ROOT

_PATIENCE_S = 40.0
#: The node's own worker, but its nudges last as long as a file is there, and no server or engine is needed.
_APP = """
import time
from pathlib import Path

from celery import signals

from runners import worker

FOLDER = Path(__file__).parent


def nudged(name):
    (FOLDER / f"began-{name}").touch()
    while (FOLDER / "busy").exists():
        time.sleep(0.02)


signals.worker_init.disconnect(worker._on_start)
worker.nudge.run = nudged
app = worker.app
"""


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Services]:
    """A Redis that the test may kill."""
    environ = {name: value for name, value in os.environ.items() if name != "TOUCHSTONE_BROKER_URL"}
    with Services(tmp_path / "redis", durable=False, want=("redis",), environ=environ) as services:
        yield services


@pytest.fixture
def node(redis: Services, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node with one slot, and so two processes, started as in deployment."""
    (tmp_path / "busy_node.py").write_text(_APP)
    (tmp_path / "busy").touch()
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "TOUCHSTONE_"))}
    env = {
        **plain, **redis.environment, "PYTHONPATH": os.pathsep.join((str(tmp_path), PYTHONPATH)),
        "TOUCHSTONE_REMOTE_CONTROL": "0", "TOUCHSTONE_SLOTS": "1", "TOUCHSTONE_URL": "http://127.0.0.1:9",
        "TOUCHSTONE_NODE_TOKEN": "t", "TOUCHSTONE_NODE_DIR": str(tmp_path / "node"), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    options = ["-A", "busy_node", "worker", "-Q", "cpu", "-l", "INFO", "--without-mingle", "--without-gossip"]
    log = tmp_path / "node.log"
    process = spawn([sys.executable, "-m", "celery", *options], log=log, env=env, cwd=ROOT)
    try:
        _until(lambda: log.exists() and " ready." in log.read_text(), "the node")
        yield process
    finally:
        (tmp_path / "busy").unlink(missing_ok=True)
        stop(process)


def _nudge(redis: Services, name: str) -> None:
    with Celery(broker=redis.environment["TOUCHSTONE_BROKER_URL"], set_as_current=False) as app:
        app.send_task("touchstone.nudge", args=[name], queue="cpu")


@pytest.mark.parametrize("nudges", [1, 4], ids=["one of two processes is busy", "all are busy, and more has come"])
def test_a_busy_node_hears_of_work_again_after_redis_died(
    redis: Services, node: subprocess.Popen[bytes], tmp_path: Path, nudges: int
) -> None:
    for number in range(nudges):
        _nudge(redis, f"before-{number}")
    _until(lambda: len(list(tmp_path.glob("began-*"))) == min(2, nudges), "the work")
    _until(lambda: (tmp_path / "node.log").read_text().count(" received") == nudges, "what waits behind it")

    redis.children["redis"].kill()
    redis.children["redis"].wait()
    redis.start_redis()
    if nudges > 1:
        (tmp_path / "busy").unlink()
    _nudge(redis, "after")

    _until((tmp_path / "began-after").exists, "what was sent after Redis came back")
    assert node.poll() is None
