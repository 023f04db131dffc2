"""A container whose supervisor was killed runs on, and the next attempt on its node takes it over."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from enginekit import MIB

from runners.channel.listener import Listener
from runners.engines import _docker_owner, _limits, docker
from runners.engines.base import Job, Limits, Sandbox
from runners.engines.docker import DockerEngine
from runners.errors import RetryableError

pytestmark = pytest.mark.docker

LIMITS = Limits(memory=192 * MIB, cpus=1.0, seconds=60, tmp=MIB)
#: Dials, tells its number, and dials again when the platform hangs up: one process all the while.
DIALS = (
    "import os, socket, time\ncount = 0\n"
    "while True:\n"
    "    try:\n"
    "        with socket.socket(socket.AF_UNIX) as s:\n"
    "            s.connect(os.environ['TOUCHSTONE_SOCKET']); count += 1; s.sendall(b'%d\\n' % count); s.recv(1)\n"
    "    except OSError: pass\n"
    "    time.sleep(0.05)\n"
)
#: Runs one attempt's engine in another process: `start`, `adopt`, or `reap` where this run is kept.
_OTHER = """
import sys, time
from pathlib import Path
from runners.engines import _limits
from runners.engines.base import Job, Limits
from runners.engines.docker import DockerEngine
what, node, runtime, image, run, channel, attempt, code = sys.argv[1:9]
_limits.NODE = node
engine = DockerEngine(runtime=image, runtime_name=runtime)
if what == "reap":
    every = engine.client.containers
    engine.client.containers = lambda **asked: [c for c in every(**asked) if c["Labels"]["touchstone.run"] == run]
    print(*engine.reap([run]), flush=True)
else:
    limits = Limits(memory=192 * 2**20, cpus=1.0, seconds=60, tmp=2**20)
    job = Job(run=run, attempt=int(attempt), limits=limits, argv=("python3", "-c", code), channel=Path(channel))
    print(getattr(engine, what)(job) is not None, flush=True)
    time.sleep(60)
"""


class World:
    """One run, its channel, and the processes that supervise it in turn."""

    def __init__(self, engine: DockerEngine, run: str, folder: Path) -> None:
        self.engine, self.run = engine, run
        self.listener = Listener(folder, name=run)
        self.job = Job(run=run, attempt=2, limits=LIMITS, argv=("python3", "-c", DIALS), channel=self.listener.folder)
        self._others: list[subprocess.Popen[str]] = []

    def reap(self, *keep: str) -> list[str]:
        """As the engine does it, but of this run alone: no other container of this host is the test's to touch."""
        every = self.engine.client.containers

        def own(**asked: Any) -> list[dict[str, Any]]:
            return [one for one in every(**asked) if one["Labels"]["touchstone.run"] == self.run]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.engine.client, "containers", own)
            return self.engine.reap(keep)

    def other(self, what: str, *, attempt: int = 1, node: str = "") -> tuple[subprocess.Popen[str], str]:
        """Another process does it; the process, which lives on after `start` and `adopt`, and what it says."""
        arguments = [
            what, node or _limits.NODE, self.engine.container_runtime.name, self.engine._runtime, self.run,
            str(self.listener.folder), str(attempt), DIALS,
        ]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-c", _OTHER, *arguments], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        self._others.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    def orphan(self) -> str:
        """Attempt 1 starts the container and is killed; the container's id."""
        process, said = self.other("start")
        assert said == "True"
        assert self.dialled() == 1
        kill(process)
        return self.container["Id"]

    def dialled(self) -> int:
        """The number that the sandbox tells when it dials: 1, 2, …"""
        connection = self.listener.accept(10)
        assert connection is not None, "nobody dialled"
        with connection:
            return int(connection.recv(10))

    @property
    def container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.engine.client.inspect_container(f"touchstone-{self.run}")
        return found

    @property
    def is_there(self) -> bool:
        return any(f"/touchstone-{self.run}" in c["Names"] for c in self.engine.client.containers(all=True))

    def close(self) -> None:
        for process in self._others:
            kill(process)
        with contextlib.suppress(Exception):
            self.engine.client.remove_container(f"touchstone-{self.run}", force=True)
        self.listener.close()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture
def world(docker_engine: DockerEngine, run_name: str, tmp_path: Path) -> Iterator[World]:
    made = World(docker_engine, run_name, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("which", ["docker_engine", "gvisor_engine"])
def test_the_next_attempt_takes_it_over_and_hears_from_it(
    which: str, request: pytest.FixtureRequest, run_name: str, tmp_path: Path
) -> None:
    world = World(request.getfixturevalue(which), run_name, tmp_path)
    try:
        container = world.orphan()
        world.listener._socket.close()  # as that of a judge that was killed
        world.listener = Listener(tmp_path, name=run_name)
        sandbox = world.engine.adopt(world.job)
        assert sandbox is not None
        assert sandbox.poll() is None
        assert world.container["Id"] == container
        assert world.dialled() > 1, "it is the same process as before"
        sandbox.kill()
        ended = sandbox.poll()
        assert ended is not None
        assert (ended.killed, ended.lost) == (True, False)
        sandbox.close()
        assert not world.is_there
        assert not (world.listener.folder.parent / "run.owner").exists()
    finally:
        world.close()


def test_it_keeps_the_end_that_was_set_at_its_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.orphan()
    deadline = float(world.container["Config"]["Labels"]["touchstone.deadline"])
    sandbox = world.engine.adopt(world.job)
    assert sandbox is not None
    assert abs(sandbox._deadline - time.monotonic() - (deadline - time.time())) < 1
    monkeypatch.setattr(sandbox, "_deadline", 0.0)
    ended = sandbox.poll()
    assert ended is not None
    assert (ended.lost, ended.timeout) == (True, False), "time went by while nobody asked it: no fault of its own"
    sandbox.close()


def test_while_its_supervisor_lives_nobody_takes_it(world: World) -> None:
    process, _ = world.other("start")
    assert world.engine.adopt(world.job) is None
    with pytest.raises(RetryableError, match=r"attempt 1 .* still running"):
        world.engine.start(replace(world.job, attempt=1))
    kill(process)
    assert world.engine.adopt(replace(world.job, attempt=1)) is None, "an attempt comes after another"


Change = Callable[[Job, Path], Job]
CHANGES: dict[str, Change] = {
    "memory": lambda job, _: replace(job, limits=replace(LIMITS, memory=128 * MIB)),
    "pids": lambda job, _: replace(job, limits=replace(LIMITS, pids=9)),
    "time": lambda job, _: replace(job, limits=replace(LIMITS, seconds=600)),
    "command": lambda job, _: replace(job, argv=("sleep", "60")),
    "environment": lambda job, _: replace(job, env={"A": "b"}),
    "image": lambda job, _: replace(job, image="touchstone/system:1"),
    "devices": lambda job, _: replace(job, gpus=("GPU-1",)),
    "folder": lambda job, other: replace(job, folder=other),
    "channel": lambda job, other: replace(job, channel=other),
    "run": lambda job, _: replace(job, run="another"),
    "no channel": lambda job, _: replace(job, channel=None),
}


def test_it_is_taken_over_only_where_it_is_what_would_be_started(world: World, tmp_path: Path) -> None:
    world.orphan()
    (tmp_path / "other").mkdir()
    taken = {name for name, change in CHANGES.items() if world.engine.adopt(change(world.job, tmp_path / "other"))}
    assert taken == set()
    folder, aside = world.listener.folder, tmp_path / "aside"
    folder.rename(aside)
    folder.mkdir()  # another one of the same name: the sandbox does not see it
    assert world.engine.adopt(world.job) is None
    folder.rmdir()
    aside.rename(folder)
    world.engine.client.pause(f"touchstone-{world.run}")
    assert world.engine.adopt(world.job) is None
    world.engine.client.unpause(f"touchstone-{world.run}")
    sandbox = world.engine.adopt(world.job)
    assert sandbox is not None, "nothing of that hurt it"
    sandbox.close()


def test_one_that_cannot_be_taken_over_is_replaced(world: World) -> None:
    before = world.orphan()
    job = replace(world.job, limits=replace(LIMITS, memory=128 * MIB))
    assert world.engine.adopt(job) is None
    sandbox = world.engine.start(job)
    assert world.container["Id"] != before
    while world.dialled() != 1:  # what the old one had dialled is still in the queue
        continue
    sandbox.close()


def test_nobody_reaps_what_was_taken_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "_ORPHAN_S", -1.0)
    world.orphan()
    adopter, said = world.other("adopt", attempt=2)
    assert said == "True"
    monkeypatch.setattr(_limits, "NODE", "a-neighbour")
    assert world.reap() == [], "its worker by label is gone, its owner is not"
    assert world.other("reap")[1] == "", "another process of its node, which knows the run"
    with pytest.raises(RetryableError, match=r"attempt 2 .* still running"):
        world.engine.start(world.job)
    assert world.is_there
    kill(adopter)
    assert world.reap() == [f"touchstone-{world.run}"]
    assert not world.is_there


def test_an_adopter_that_died_can_be_followed(world: World) -> None:
    container = world.orphan()
    adopter, _ = world.other("adopt", attempt=2)
    kill(adopter)
    assert world.engine.adopt(world.job) is None, "attempt 2 was there already"
    sandbox = world.engine.adopt(replace(world.job, attempt=3))
    assert sandbox is not None
    assert world.container["Id"] == container
    assert world.dialled() > 1
    sandbox.close()


def test_a_neighbour_leaves_an_orphan_for_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own node may come back and take it over; a node that never does leaves nothing for long."""
    world.orphan()
    node = _limits.NODE
    monkeypatch.setattr(_limits, "NODE", "a-neighbour")
    assert world.reap() == []
    assert world.reap() == []
    monkeypatch.setattr(docker, "_ORPHAN_S", -1.0)
    monkeypatch.setattr(_limits, "NODE", node)
    assert world.reap(world.run) == [], "its own node waits for it"
    monkeypatch.setattr(_limits, "NODE", "a-neighbour")
    assert world.reap() == [f"touchstone-{world.run}"]


def test_its_own_node_removes_one_it_does_not_keep(world: World) -> None:
    world.orphan()
    assert world.reap() == [f"touchstone-{world.run}"]
    assert not (world.listener.folder.parent / "run.owner").exists()


def test_who_decides_about_a_container_is_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken over between a reaper's look and its act: it looks again under the lock."""
    world.orphan()
    sandboxes: list[Sandbox | None] = []
    held = _docker_owner.held

    @contextlib.contextmanager
    def late(file: Path | None) -> Iterator[Any]:
        if not sandboxes:
            sandboxes.append(None)  # once
            _, said = world.other("adopt", attempt=2, node=node)
            assert said == "True"
        with held(file) as opened:
            yield opened

    monkeypatch.setattr(docker, "_ORPHAN_S", -1.0)
    node = _limits.NODE
    monkeypatch.setattr(_docker_owner, "held", late)
    monkeypatch.setattr(_limits, "NODE", "a-neighbour")
    assert world.reap() == []
    assert world.is_there


def test_a_label_of_an_image_names_no_file(tmp_path: Path) -> None:
    """An image brings labels of its own: the place of the owner's file comes from the mounts alone."""
    assert _docker_owner.file_of([{"Destination": "/elsewhere", "Source": str(tmp_path)}]) is None
    assert _docker_owner.file_of([{"Destination": "/run/touchstone", "Source": "/a/run"}]) == Path("/a/run.owner")
    labels = {"touchstone.worker": "w", "touchstone.attempt": "1"}
    file = tmp_path / "x.owner"
    for content in ("", "[]", '{"container": "c"}', '{"container": "older", "attempt": 9, "worker": "v"}', "{"):
        file.write_text(content)
        assert _docker_owner.read("c", labels, file) == _docker_owner.Owner("w", 1)
    file.write_text('{"container": "c", "attempt": 9, "worker": "v"}')
    assert _docker_owner.read("c", labels, file) == _docker_owner.Owner("v", 9)
    with _docker_owner.held(tmp_path / "no" / "x.owner") as opened:
        assert opened is None
    (tmp_path / "link.owner").symlink_to(file)
    with pytest.raises(OSError, match="symbolic links"), _docker_owner.held(tmp_path / "link.owner"):
        pass
