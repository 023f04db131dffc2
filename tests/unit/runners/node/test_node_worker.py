"""The node's Celery app: what it says about itself, and when it stops claiming."""

import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import pytest

from runners import worker
from runners.contract import EngineReport, GpuInfo, NodeHello
from runners.engines.base import Engine
from runners.errors import RetryableError
from runners.node.choice import EngineChoice
from runners.node.fitness import Fitness
from runners.node.gpus import Found

GPU = GpuInfo(uuid="GPU-1", name="A", memory=2**34)


class Docker:
    """An engine whose self-test ends as told."""

    name, takes_images, patience, devices = "docker", True, 0.0, None

    def __init__(self) -> None:
        self.report = EngineReport(name="docker", ok=True)

    def self_test(self) -> EngineReport:
        return self.report

    def reap(self, keep: object) -> list[str]:
        return []


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """A node with one engine, two slots and no devices, in a folder of its own."""
    chosen = Docker()
    settings = SimpleNamespace(
        url="http://127.0.0.1:9", token="t", name="n1", queues=("cpu",), slots=2, cpus=4.0, memory=2**33,
        directory=tmp_path, lasting=tmp_path / "channels",
    )  # fmt: skip
    monkeypatch.setattr(worker, "config", lambda: settings)
    monkeypatch.setattr(worker, "engine", lambda: (chosen, (EngineReport(name="docker", ok=True),)))
    monkeypatch.setattr(worker, "devices", Found)
    monkeypatch.setattr(worker, "calibration", lambda: 1e9)
    return chosen


def test_a_pool_process_sees_the_request_to_stop() -> None:
    """The flag is set in Celery's main process and read in those it forked."""
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


def test_a_nudge_of_a_server_that_is_away_is_no_failure(engine: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: object) -> int:
        raise RetryableError("away")

    monkeypatch.setattr(worker.Claiming, "nudged", away)

    assert worker.nudge("x") == 0


def test_a_node_tells_what_it_is(engine: Docker) -> None:
    told = worker.hello(Found((GPU,)))

    assert told.kinds == ("predictions", "model", "code", "endpoint", "container")
    assert (told.cpus, told.memory, told.slots, told.calibration, told.gpus) == (4, 2**33, 2, 1e9, (GPU,))
    assert NodeHello.model_validate_json(told.model_dump_json()) == told


def test_a_node_whose_engine_fails_later_says_so_and_takes_files_only(engine: Engine) -> None:
    engine.report = EngineReport(name="docker", ok=False, problems=("memory is not limited",))
    fitness = Fitness(worker.config().directory)
    fitness.after("engine_gone", engine)

    told = worker.hello()

    assert told.kinds == ("predictions",)
    assert [(r.ok, r.problems) for r in told.engines] == [(False, ("memory is not limited",))]
    engine.report = EngineReport(name="docker", ok=True)
    fitness.test(engine)
    assert "container" in worker.hello().kinds


def test_a_node_whose_disk_is_full_takes_nothing(engine: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.node.fitness.shutil.disk_usage", lambda _: SimpleNamespace(free=2**20))

    told = worker.hello()

    assert told.kinds == ()
    assert "full" in told.engines[-1].problems[0]


def test_broken_devices_are_reported(engine: Docker) -> None:
    told = worker.hello(Found(problem="nvidia-smi failed with status 9"))

    assert told.gpus == ()
    assert (told.engines[-1].name, told.engines[-1].problems) == ("gpu", ("nvidia-smi failed with status 9",))


class Server:
    """Stands in for the node client."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.said = error, []

    def register(self, hello: NodeHello) -> None:
        self.said.append(hello)
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [RetryableError("away"), RuntimeError("HTTP 404"), ValueError("no JSON")])
def test_a_node_says_hello_again_whatever_the_server_answers(engine: Docker, error: Exception) -> None:
    server = Server(error)
    keeper = worker._Keeper(server)

    keeper.look()
    keeper.look()

    assert len(server.said) == 2


def test_a_node_registers_when_something_changed(engine: Docker) -> None:
    server = Server()
    keeper = worker._Keeper(server)

    keeper.look()
    keeper.look()
    assert len(server.said) == 1
    worker.config().slots = 3
    keeper.look()

    assert [hello.slots for hello in server.said] == [2, 3]


def test_an_engine_that_failed_is_tested_again(engine: Docker) -> None:
    engine.report = EngineReport(name="docker", ok=False, problems=("gone",))
    Fitness(worker.config().directory).test(engine)
    engine.report = EngineReport(name="docker", ok=True)
    server = Server()

    worker._Keeper(server).look()

    assert "container" in server.said[0].kinds


def test_a_keeper_ends_with_its_worker(engine: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    parents, looked = iter([7, 7, 1]), []
    monkeypatch.setattr(worker, "die_with_parent", lambda: None)
    monkeypatch.setattr(worker.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(worker.time, "sleep", lambda _: None)
    monkeypatch.setattr(worker._Keeper, "look", lambda self: looked.append(1))

    worker._keep(7)

    assert len(looked) == 2


def test_a_process_of_the_pool_for_each_slot_and_one_for_quick_work() -> None:
    assert worker.app.conf.worker_concurrency == 2


def test_an_engine_that_was_away_when_the_node_started_is_found_later_by_all_its_processes(tmp_path: Path) -> None:
    found: list[tuple[object, tuple[EngineReport, ...]]] = [(None, ())]
    tests: list[int] = []

    def choose() -> object:
        tests.append(1)
        return found[0]

    keeper, pool = EngineChoice(choose, tmp_path), EngineChoice(choose, tmp_path)
    assert keeper.get()[0] is pool.get()[0] is None
    keeper.look_again()
    pool.get()
    assert len(tests) == 3  # nobody found one, so the pool's process had no reason to test

    found[0] = (engine := Docker(), ())
    keeper.look_again()

    assert keeper.get()[0] is pool.get()[0] is engine
    assert len(tests) == 5
    keeper.look_again()
    assert len(tests) == 5
