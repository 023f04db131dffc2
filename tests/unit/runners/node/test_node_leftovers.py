"""Folders of killed attempts go at once; their sandboxes wait a minute for the next attempt."""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runners.engines._limits import start_time
from runners.errors import RetryableError
from runners.node.client import Fenced
from runners.node.leftovers import LiveRuns, attempt_folder, give_back, hold_places, remove_leftovers


class Reaper:
    """`before` happens between the moment the engine lists its sandboxes and the question which to keep."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.before = before
        self.kept: set[str] = set()

    def reap(self, keep) -> list[str]:
        self.before()
        self.kept = set(keep)
        return ["sandbox"]


class Server:
    """Stands in for the node client: keeps what was given back."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.back = error, []

    def release(self, run: str, attempt: int, *, lost: bool = False) -> None:
        self.back.append((run, attempt, lost))
        if self.error is not None:
            raise self.error


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def lasting(tmp_path: Path) -> Path:
    return tmp_path / "channels"


def _live(directory: Path, run: str) -> Path:
    return directory / f"{run}~1~{os.getppid()}.{start_time(os.getppid())}"


def _dead(directory: Path, lasting: Path, run: str = "run2") -> Path:
    """An attempt that was killed in the middle: labels here, the channel of its sandbox there."""
    folder = directory / f"{run}~3~4194303.1"
    (folder / "split").mkdir(parents=True)
    (folder / "split" / "labels.csv").write_text("secret")
    (lasting / run / "run").mkdir(parents=True)
    return folder


def test_a_dead_supervisors_folder_goes_and_a_live_ones_stays(runs: Path, lasting: Path, run_spec) -> None:
    live, dead = _live(runs, "run1"), _dead(runs, lasting)
    recycled = runs / f"run4~1~{os.getppid()}.1"
    mine = attempt_folder(runs, run_spec)
    for folder in (live, recycled, mine):
        (folder / "split").mkdir(parents=True)
    server, engine = Server(), Reaper()

    removed = give_back(runs, lasting, server)
    remove_leftovers(runs, lasting, engine)

    assert sorted(removed) == sorted([dead.name, recycled.name, mine.name])
    assert list(runs.iterdir()) == [live]
    assert sorted(server.back) == [("7e5c", 1, True), ("run2", 3, True), ("run4", 1, True)]
    assert engine.kept == {"run1", "run2", "run4", "7e5c"}
    assert (lasting / "run2" / "run").is_dir()


def test_a_sandbox_that_nobody_took_over_within_a_minute_goes(runs: Path, lasting: Path) -> None:
    _dead(runs, lasting)
    give_back(runs, lasting, Server())
    past = time.time() - 61
    os.utime(lasting / "run2.left", (past, past))
    engine = Reaper()

    removed = remove_leftovers(runs, lasting, engine)

    assert engine.kept == set()
    assert sorted(removed) == ["run2", "run2.left", "sandbox"]
    assert list(lasting.iterdir()) == []


def test_a_sandbox_of_a_run_that_is_somebody_elses_goes_at_once(runs: Path, lasting: Path) -> None:
    dead, engine = _dead(runs, lasting), Reaper()

    give_back(runs, lasting, Server(Fenced("superseded by attempt 4")))
    remove_leftovers(runs, lasting, engine)

    assert not dead.exists()
    assert engine.kept == set()
    assert list(lasting.iterdir()) == []


def test_an_old_attempt_does_not_take_the_channel_of_a_new_one(runs: Path, lasting: Path) -> None:
    _dead(runs, lasting, "run1")
    _live(runs, "run1").mkdir()

    give_back(runs, lasting, Server(Fenced("superseded by attempt 4")))
    remove_leftovers(runs, lasting, Reaper())

    assert (lasting / "run1" / "run").is_dir()


def test_labels_go_at_once_though_the_server_is_away(runs: Path, lasting: Path) -> None:
    dead = _dead(runs, lasting)

    assert give_back(runs, lasting, Server(RetryableError("away"))) == []
    assert list(dead.iterdir()) == []
    server = Server()
    assert give_back(runs, lasting, server) == [dead.name]

    assert server.back == [("run2", 3, True)]
    assert not dead.exists()


def test_the_wait_for_an_heir_is_not_prolonged_by_asking_again(runs: Path, lasting: Path) -> None:
    _dead(runs, lasting)
    give_back(runs, lasting, Server(RetryableError("away")))
    os.utime(lasting / "run2.left", (1, 1))

    give_back(runs, lasting, Server())

    assert "run2" not in LiveRuns(runs, lasting)


def test_a_run_that_begins_meanwhile_is_spared(runs: Path, lasting: Path) -> None:
    runs.mkdir()
    engine = Reaper(lambda: _live(runs, "late").mkdir())

    remove_leftovers(runs, lasting, engine)

    assert engine.kept == {"late"}
    assert "late" in LiveRuns(runs)
    assert len(LiveRuns(runs)) == 1


def test_an_attempts_folder_names_its_supervisor(tmp_path: Path, run_spec) -> None:
    assert attempt_folder(tmp_path, run_spec).name == f"7e5c~1~{os.getpid()}.{start_time(os.getpid())}"


def test_a_sandbox_is_put_through_while_its_node_starts_and_dials_again_after(runs: Path, lasting: Path) -> None:
    _dead(runs, lasting)
    give_back(runs, lasting, Server())
    (lasting / "run3").mkdir()  # of a run that nobody lost

    (place,) = hold_places(lasting)
    with socket.socket(socket.AF_UNIX) as sandbox:
        sandbox.connect(str(lasting / "run2" / "run" / "channel.sock"))
        place.leave()
        with contextlib.suppress(ConnectionResetError):
            assert sandbox.recv(1) == b""
    with socket.socket(socket.AF_UNIX) as again, pytest.raises(ConnectionRefusedError):
        again.connect(str(lasting / "run2" / "run" / "channel.sock"))
    assert (lasting / "run2" / "run").is_dir()
