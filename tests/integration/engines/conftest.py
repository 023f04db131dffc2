"""Engines under test. `docker` needs a daemon and the base image; REQUIRE_DOCKER=1 makes their absence a failure."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from enginekit import ENGINES, MIB, TRAITS, Traits

from runners.engines import _limits
from runners.engines.base import Engine, Exit, Job, Limits, Sandbox
from runners.engines.bubblewrap import BubblewrapEngine
from runners.engines.docker import BASE_IMAGE, RUNTIME_IMAGE, DockerEngine
from runners.errors import RetryableError

_NUMBERS = itertools.count()


def _docker(runtime_name: str) -> DockerEngine:
    engine = DockerEngine(runtime_name=runtime_name)
    try:
        engine.container_runtime  # noqa: B018 - raises where the daemon has none of that name
        present = [image for image in (RUNTIME_IMAGE, BASE_IMAGE) if engine.has_image(image)]
        problem = "" if present else f"no image {BASE_IMAGE}; run `make image-base`"
    except RetryableError as error:
        present, problem = [], error.message
    finally:
        engine.close()
    if problem and (os.environ.get("REQUIRE_DOCKER") == "1" or os.environ.get("CI")):
        pytest.fail(problem)
    if problem:
        pytest.skip(problem)
    return DockerEngine(runtime=present[0], runtime_name=runtime_name)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    engine = _docker("runc")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def gvisor_engine() -> Iterator[DockerEngine]:
    engine = _docker("runsc")
    yield engine
    engine.close()


def _marked(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.docker) if name.startswith("docker") else name


@pytest.fixture(params=[_marked(name) for name in ENGINES])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def traits(engine_name: str) -> Traits:
    return TRAITS[engine_name]


@pytest.fixture
def engine(engine_name: str, request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    if engine_name.startswith("docker"):
        name = "gvisor_engine" if engine_name == "docker-runsc" else "docker_engine"
        return request.getfixturevalue(name)  # type: ignore[no-any-return]
    return BubblewrapEngine(cgroups=engine_name == "bubblewrap")


@pytest.fixture(autouse=True)
def own_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of its own: `reap` must not reach the sandboxes of a real node on this host."""
    monkeypatch.setattr(_limits, "NODE", f"test-{os.getpid()}")


@pytest.fixture
def run_name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def start(engine: Engine, traits: Traits, run_name: str) -> Iterator[Callable[..., Sandbox]]:
    """Start Python text (or an argv) in a sandbox that is closed after the test."""
    started: list[Sandbox] = []

    def run(
        code: str | tuple[str, ...], *, folder: Path | None = None, channel: Path | None = None,
        env: dict[str, str] | None = None, **limits: float,
    ) -> Sandbox:  # fmt: skip
        argv = ("python3" if engine.name == "docker" else "python", "-c", code) if isinstance(code, str) else code
        memory = 128 * MIB + traits.overhead
        given = Limits(**{"memory": memory, "cpus": 1.0, "seconds": 20.0, "tmp": 8 * MIB, "pids": 64, **limits})  # type: ignore[arg-type]
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
