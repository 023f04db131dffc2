"""The services of a machine without any: start, start again after a kill, one owner a folder."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import psycopg
import pytest
from kombu import Connection

from scripts.services import ServiceError, Services


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("TOUCHSTONE_BROKER_URL", raising=False)


def _pids(services: Services) -> list[int]:
    return [child.pid for child in services.children.values()]


def test_both_answer_and_end(tmp_path: Path) -> None:
    with Services(tmp_path / "var", durable=False) as services:
        pids = _pids(services)
        with psycopg.connect(services.environment["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("touchstone",)
        with Connection(services.environment["TOUCHSTONE_BROKER_URL"]) as broker:
            queue = broker.SimpleQueue("test")
            queue.put("hello")
            assert queue.get(timeout=5).payload == "hello"
            queue.close()

    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_starts_again_after_a_kill_and_keeps_the_data(tmp_path: Path) -> None:
    first = Services(tmp_path / "var").start()
    with psycopg.connect(first.environment["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    for child in first.children.values():
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    (tmp_path / "var" / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")  # the pid is somebody else's now
    first.stop()

    with Services(tmp_path / "var") as second:
        assert second.environment == first.environment
        with psycopg.connect(second.environment["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_second_owner_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with (
        Services(tmp_path / "var", durable=False, want=("redis",)),
        pytest.raises(ServiceError, match=r"process \d+.*Stop it first"),
    ):
        Services(tmp_path / "var", durable=False, want=("redis",)).start()


def test_what_the_environment_names_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example/touchstone")
    monkeypatch.setenv("TOUCHSTONE_BROKER_URL", "redis://broker.example/0")

    with Services(tmp_path / "var") as services:
        assert services.children == {}
        assert services.environment == {}
        assert not (tmp_path / "var" / "postgres").exists()


def test_long_folder_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    with Services(deep, durable=False, want=("redis",)) as services:
        address = services.environment["TOUCHSTONE_BROKER_URL"].removeprefix("redis+socket://")
        assert len(address) < 100
        assert Path(address).is_socket()
