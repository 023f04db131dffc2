"""A live stack: real PostgreSQL, Redis, gunicorn, scheduler, and a node with the best engine of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from livekit import Live, clean_environment, remove_images

from scripts.engines import Choice, choose
from scripts.stack import Stack


@pytest.fixture(scope="session")
def engine_choice() -> Choice:
    """The engine that a node on this machine takes."""
    return choose(print)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, engine_choice: Choice) -> Iterator[Live]:
    """The whole of Touchstone, for the tests of this folder together."""
    stack = Stack(
        tmp_path_factory.mktemp("live") / "var",
        say=print,
        port=0,
        settings="tests.integration.live_settings",
        engine=engine_choice.for_node,
        environ=clean_environment() | {"TOUCHSTONE_OUTBOUND_ALLOW": "127.0.0.0/8"},  # endpoints of tests are here
        durable=False,
    )
    with stack:
        stack.start_node()
        running = Live(stack=stack, engine=engine_choice)
        yield running
        running.hang_up()


@pytest.fixture(autouse=True)
def _hang_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test's connections and images end with it: a connection left open is a warning, and so a failure."""
    yield
    if "live" in request.fixturenames:
        request.getfixturevalue("live").hang_up()
    remove_images()


@pytest.fixture
def docker_node(live: Live, docker_engine: str) -> str:
    """Path of the docker client; the live node runs containers."""
    if live.engine.asked not in ("auto", "docker"):
        pytest.skip(f"TOUCHSTONE_ENGINE={live.engine.asked}: this node runs no containers")
    if live.engine.name != "docker":
        pytest.fail(f"a Docker engine answers, but its self-test fails: {live.engine.reports}", pytrace=False)
    return docker_engine


@pytest.fixture
def sandbox(live: Live) -> str:
    """The name of the engine; the test needs one."""
    if live.engine.name is None:
        pytest.fail(live.engine.advice(), pytrace=False)
    return live.engine.name
