"""The node's Celery app: what it claims, and when it stops claiming."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runners import worker
from runners.errors import RetryableError


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A node with an endless queue; the list holds the runs it performs."""
    done: list[str] = []
    settings = SimpleNamespace(
        url="http://h", token="t", directory=tmp_path, cache_bytes=1, judge_memory=1, queues=("cpu", "other")
    )

    class Client:
        def __init__(self, **_: Any) -> None: ...

        def claim(self, **_: Any) -> str:
            return f"run{len(done)}"

        def close(self) -> None: ...

    class Attempt:
        def __init__(self, *, spec: str, **_: Any) -> None:
            self.spec = spec

        def perform(self) -> None:
            done.append(self.spec)
            if len(done) == 3:
                worker._on_stop()

    monkeypatch.setattr(worker, "config", lambda: settings)
    monkeypatch.setattr(worker, "engine", lambda: (None, ()))
    monkeypatch.setattr(worker, "NodeClient", Client)
    monkeypatch.setattr(worker, "Attempt", Attempt)
    monkeypatch.setattr(worker, "_STOPPING", bytearray(1))
    return done


def test_a_node_told_to_stop_finishes_its_run_and_takes_no_other(node: list[str]) -> None:
    assert worker.nudge("x") == 3
    assert node == ["run0", "run1", "run2"]


def test_a_pool_process_sees_the_request_to_stop() -> None:
    """The flag is set in Celery's main process and read in those it forked."""
    import multiprocessing

    seen = multiprocessing.get_context("fork").Queue()
    go = multiprocessing.get_context("fork").Event()

    def child() -> None:
        go.wait(5)
        seen.put(worker._STOPPING[0])

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    worker._on_stop()
    go.set()
    try:
        assert seen.get(timeout=5) == 1
    finally:
        process.join(5)
        worker._STOPPING[0] = 0
        seen.close()


@pytest.mark.parametrize("error", [RetryableError("away"), RuntimeError("HTTP 404"), ValueError("no JSON")])
def test_a_node_says_hello_again_whatever_the_server_answers(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[int] = []
    parents = iter([7, 7, 7, 1])

    class Client:
        def __init__(self, **_: Any) -> None: ...

        def register(self, _hello: object) -> None:
            said.append(1)
            raise error

    monkeypatch.setattr(worker, "die_with_parent", lambda: None)
    monkeypatch.setattr(worker, "config", lambda: SimpleNamespace(url="u", token="t"))
    monkeypatch.setattr(worker, "hello", lambda: None)
    monkeypatch.setattr(worker, "NodeClient", Client)
    monkeypatch.setattr(worker.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(worker.time, "sleep", lambda _: None)

    worker._say_hello(7)

    assert len(said) == 3
