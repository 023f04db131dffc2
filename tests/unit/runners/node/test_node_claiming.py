"""What a node claims: as much as it has room for, devices first, and quick work beside long runs."""

import json
import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runners.contract import GpuInfo
from runners.errors import RetryableError
from runners.node import claiming, gpus, slots
from runners.node.claiming import Claiming
from runners.node.fitness import Fitness
from runners.node.ledger import Ledger
from runners.node.slots import Slots
from runners.spec.models import ResourceSpec, SubmissionKind


class Server:
    """Stands in for the node client: `queues` are the runs that wait, each a kind."""

    def __init__(self, **queues: list[str]) -> None:
        self.queues, self.asked = queues, []

    def claim(self, *, queue: str, kinds: Any) -> str | None:
        self.asked.append((queue, *sorted(kinds)))
        waiting = self.queues.get(queue, [])
        fit = next((kind for kind in waiting if kind in kinds), None)
        if fit is not None:
            waiting.remove(fit)
        return fit

    def release(self, *_: Any, **__: Any) -> None: ...


class Engine:
    name, takes_images, patience, devices = "docker", True, 0.0, None

    def reap(self, keep: object) -> list[str]:
        return []

    def self_test(self) -> Any:
        return SimpleNamespace(ok=False, problems=("broken",))


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """Runs that were performed, with their devices."""
    done: list[tuple[str, tuple[str, ...]]] = []

    class Attempt:
        fault = ""

        def __init__(self, *, spec: str, gpus: tuple[str, ...], **_: Any) -> None:
            self.spec, self.gpus = spec, gpus
            self.fault = "engine_gone" if spec == "code" else ""

        def perform(self) -> None:
            done.append((self.spec, self.gpus))

    monkeypatch.setattr(claiming, "Attempt", Attempt)
    monkeypatch.setattr(slots, "_MISSED", bytearray(1))
    return done


@pytest.fixture
def node(tmp_path: Path, performed: object):
    settings = SimpleNamespace(
        directory=tmp_path, lasting=tmp_path / "channels", queues=("cpu", "gpu"), slots=1, cache_bytes=1,
        judge_memory=1, gpu_locks=tmp_path / "host",
    )  # fmt: skip

    def make(server: Server, *, devices: tuple[GpuInfo, ...] = (), stop_after: int = 99) -> Claiming:
        left = iter(range(stop_after * 3))
        return Claiming(
            settings=settings, client=server, engine=Engine(), report=None, devices=devices,
            ledger=Ledger(tmp_path / "ledger.json", cpus=4, memory=2**33),
            stopping=lambda: next(left, None) is None,
        )  # fmt: skip

    return make


def test_runs_are_claimed_until_the_queues_are_empty(node, performed) -> None:
    assert node(Server(cpu=["model", "predictions", "container"])).nudged() == 3
    assert [kind for kind, _ in performed] == ["model", "predictions", "container"]


def test_a_node_told_to_stop_takes_no_other(node, performed) -> None:
    node(Server(cpu=["model"] * 50), stop_after=3).nudged()
    assert len(performed) < 10


def test_while_all_slots_are_taken_only_prediction_files_are_scored(node, performed, tmp_path: Path) -> None:
    server = Server(cpu=["model", "predictions", "model", "predictions"])
    with Slots(tmp_path / "slots", count=1).take():
        assert node(server).nudged() == 2
        with Slots(tmp_path / "slots", count=1).take_quick():
            assert node(server).nudged() == 0
    assert [kind for kind, _ in performed] == ["predictions", "predictions"]
    assert server.queues["cpu"] == ["model", "model"]
    assert {asked[1:] for asked in server.asked} == {("predictions",)}


def test_a_nudge_that_found_no_slot_is_made_up_for(node, performed, tmp_path: Path) -> None:
    class Late(Server):
        """A run comes when the queue was just found empty, and its nudge meets a slot that is still taken."""

        def claim(self, *, queue: str, kinds: Any) -> str | None:
            found = super().claim(queue=queue, kinds=kinds)
            if found is None and queue == "cpu" and not self.queues.get("late"):
                self.queues = {"cpu": ["model"], "late": ["x"]}
                node(Server()).nudged()
            return found

    assert node(Late(cpu=["container"])).nudged() == 2


def test_runs_of_the_gpu_queue_get_a_device_each_and_are_not_claimed_without(node, performed, tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "users", lambda uuid: [])
    device = GpuInfo(uuid="GPU-1")
    server = Server(gpu=["container", "container"])
    held = gpus.lease(tmp_path / "gpus", (device,))
    assert node(server, devices=(device,)).nudged() == 0
    assert ("gpu", "code", "container", "model", "predictions") not in server.asked
    held.close()

    assert node(server, devices=(device,)).nudged() == 2
    assert performed == [("container", ("GPU-1",)), ("container", ("GPU-1",))]
    assert node(server).nudged() == 0  # a node without devices


def test_a_driver_that_broke_keeps_the_queue_waiting(node, performed, monkeypatch) -> None:
    def broken(uuid: str) -> list[str]:
        raise RetryableError("nvidia-smi failed", code="gpu_broken")

    monkeypatch.setattr(gpus, "users", broken)

    assert node(Server(cpu=["model"], gpu=["model"]), devices=(GpuInfo(uuid="GPU-1"),)).nudged() == 1


def test_after_a_fault_of_its_engine_a_node_tests_it_and_takes_files_only(node, performed, tmp_path: Path) -> None:
    server = Server(cpu=["code", "container", "predictions"])

    assert node(server).nudged() == 2

    assert [kind for kind, _ in performed] == ["code", "predictions"]
    assert Fitness(tmp_path).engine_problem() == "broken"


def test_a_full_disk_takes_nothing(node, performed, monkeypatch) -> None:
    monkeypatch.setattr("runners.node.fitness.shutil.disk_usage", lambda _: SimpleNamespace(free=1))

    assert node(Server(cpu=["predictions"])).nudged() == 0


def test_queues_take_turns_so_that_none_waits_for_the_end_of_another(node, performed, monkeypatch) -> None:
    monkeypatch.setattr(gpus, "users", lambda uuid: [])
    server = Server(cpu=["model"] * 3, gpu=["container"] * 2)

    assert node(server, devices=(GpuInfo(uuid="GPU-1"),)).nudged() == 5
    assert [kind for kind, _ in performed] == ["model", "container", "model", "container", "model"]


def test_a_run_that_comes_late_to_an_empty_queue_is_found_while_the_other_is_emptied(node, performed) -> None:
    class Late(Server):
        def claim(self, *, queue: str, kinds: Any) -> str | None:
            if len(performed) == 2:
                self.queues["gpu2"] = ["predictions"]
            return super().claim(queue=queue, kinds=kinds)

    working = node(Late(cpu=["model"] * 4))
    working.settings.queues = ("gpu2", "cpu")

    assert working.nudged() == 5
    assert [kind for kind, _ in performed] == ["model", "model", "predictions", "model", "model"]


def _wait_for_room(path: Path, specs: tuple[Any, ...], pipe: Any) -> None:
    ledger = Ledger(path, cpus=4, memory=2**33)
    pipe.send([ledger.admit(spec) for spec in specs])
    pipe.recv()


@pytest.fixture
def other(tmp_path: Path, run_spec):
    """Another process of the node, with a run of so many CPUs; ends with `close`."""
    context, alive = multiprocessing.get_context("fork"), []

    def start(run: str, cpus: float) -> Any:
        submission = run_spec.submission.model_copy(update={"kind": SubmissionKind.CODE})
        resources = ResourceSpec(cpus=cpus, memory=2**20)
        spec = run_spec.model_copy(update={"run": run, "submission": submission, "resources": resources})
        ours, theirs = context.Pipe()
        process = context.Process(target=_wait_for_room, args=(tmp_path / "ledger.json", (spec,), theirs))
        process.start()
        alive.append(process)
        assert ours.recv() == [run == "first"]
        return process

    yield start
    for process in alive:
        process.kill()
        process.join()


def test_while_a_run_waits_for_room_no_other_that_needs_some_is_claimed(node, performed, other) -> None:
    other("first", 4)
    waits = other("waits", 2)
    server = Server(cpu=["model", "predictions", "model"], gpu=["container"])

    assert node(server, devices=(GpuInfo(uuid="GPU-1"),)).nudged() == 1
    assert [kind for kind, _ in performed] == ["predictions"]
    assert server.queues == {"cpu": ["model", "model"], "gpu": ["container"]}
    waits.kill()
    waits.join()
    assert node(server).nudged() == 2


def test_a_run_that_went_back_for_want_of_room_is_claimed_again_when_there_is_some(
    node, performed, other, run_spec, monkeypatch
) -> None:
    """And keeps its place meanwhile: others of the node, which ask for less, do not fill the room that it waits for."""
    holder = other("first", 4)
    submission = run_spec.submission.model_copy(update={"kind": SubmissionKind.CODE})
    spec = run_spec.model_copy(update={"submission": submission, "resources": ResourceSpec(cpus=3)})
    looks: list[bool] = []

    def looked(seconds: float) -> None:
        looks.append(Ledger(working.settings.directory / "ledger.json", cpus=4, memory=2**33).is_crowded())
        if len(looks) == 3:
            holder.kill()
            holder.join()

    class Crowded:
        fault = ""

        def __init__(self, *, ledger: Ledger, **_: Any) -> None:
            self.ledger = ledger

        def perform(self) -> None:
            performed.append((self.ledger.admit(spec), ()))

    monkeypatch.setattr(claiming, "Attempt", Crowded)
    monkeypatch.setattr(claiming.time, "sleep", looked)
    working = node(Server(cpu=["model", "model"]))

    assert working.nudged() == 2
    assert performed == [(False, ()), (True, ())]
    assert looks == [True] * 3
    assert working.ledger.is_open()
    assert json.loads((working.settings.directory / "ledger.json").read_text()) == []
