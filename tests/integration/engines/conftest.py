"""Engines under test. `docker` needs a daemon and the base image; REQUIRE_DOCKER=1 makes their absence a failure."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runners.engines import _limits
from runners.engines.base import Engine, Exit, Job, Limits, Sandbox
from runners.engines.bubblewrap import BubblewrapEngine
from runners.engines.docker import BASE_IMAGE, RUNTIME_IMAGE, DockerEngine
from runners.errors import RetryableError

MIB = 2**20
_NUMBERS = itertools.count()


def _docker() -> DockerEngine:
    engine = DockerEngine()
    try:
        present = [image for image in (RUNTIME_IMAGE, BASE_IMAGE) if engine.has_image(image)]
        problem = "" if present else f"no image {BASE_IMAGE}; run `make image-base`"
    except RetryableError as error:
        present, problem = [], error.message
    if problem:
        engine.close()
        if os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(problem)
        pytest.skip(problem)
    engine.close()
    return DockerEngine(runtime=present[0])


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    engine = _docker()
    yield engine
    engine.close()


@pytest.fixture(params=["bubblewrap", "bubblewrap-rlimits", pytest.param("docker", marks=pytest.mark.docker)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine; `bubblewrap-rlimits` as on a host where cgroups cannot be written."""
    if request.param == "docker":
        return request.getfixturevalue("docker_engine")  # type: ignore[no-any-return]
    return BubblewrapEngine(cgroups=request.param == "bubblewrap")


@pytest.fixture(autouse=True)
def own_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of its own: `reap` must not reach the sandboxes of a real node on this host."""
    monkeypatch.setattr(_limits, "NODE", f"test-{os.getpid()}")


@pytest.fixture
def run_name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def start(engine: Engine, run_name: str) -> Iterator[Callable[..., Sandbox]]:
    """Start Python text (or an argv) in a sandbox that is closed after the test."""
    started: list[Sandbox] = []

    def run(
        code: str | tuple[str, ...], *, folder: Path | None = None, channel: Path | None = None,
        env: dict[str, str] | None = None, **limits: float,
    ) -> Sandbox:  # fmt: skip
        argv = ("python3" if engine.name == "docker" else "python", "-c", code) if isinstance(code, str) else code
        given = Limits(**{"memory": 128 * MIB, "cpus": 1.0, "seconds": 20.0, "tmp": 8 * MIB, "pids": 64, **limits})  # type: ignore[arg-type]
        job = Job(
            run=f"{run_name}-{next(_NUMBERS)}",
            attempt=1,
            limits=given,
            argv=argv,
            folder=folder,
            channel=channel,
            env=env or {},
        )
        started.append(engine.start(job))
        return started[-1]

    yield run
    for sandbox in started:
        sandbox.close()


@pytest.fixture
def finish(start: Callable[..., Sandbox]) -> Callable[..., tuple[Exit, str]]:
    """Run to the end: how it ended, and its log."""

    def run(*args: object, **options: object) -> tuple[Exit, str]:
        sandbox = start(*args, **options)
        ended = sandbox.wait(40)
        assert ended is not None, "it still runs"
        return ended, sandbox.logs().decode()

    return run
