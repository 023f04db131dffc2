"""A live stack: real PostgreSQL, Redis, gunicorn, scheduler, and a node with the best engine of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from livekit import Live, clean_environment

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
        environ=clean_environment(),
        durable=False,
    )
    with stack:
        stack.start_node()
        running = Live(stack=stack, engine=engine_choice)
        yield running
        running.hang_up()


@pytest.fixture(autouse=True)
def _hang_up(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test's connections end with it: one left open is a warning, and so a failure."""
    yield
    if "live" in request.fixturenames:
        request.getfixturevalue("live").hang_up()


@pytest.fixture
def sandbox(live: Live) -> str:
    """The name of the engine; the test needs one."""
    if live.engine.name is None:
        pytest.fail(live.engine.advice(), pytrace=False)
    return live.engine.name
