"""A real server over HTTP, people with tokens, and the command line run in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.api.api_fixtures import (
    anna,
    bundles_read,
    fresh_throttles,
    import_bundle,
    node,
    olga,
    paula,
    score,
    small,
)

if TYPE_CHECKING:
    from touchstone.accounts.models import User
    from touchstone.competitions.models import Competition

__all__ = ["anna", "bundles_read", "fresh_throttles", "import_bundle", "node", "olga", "paula", "score", "small"]


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        data = json.loads(self.out)
        assert data["schema_version"] == 1
        return data

    @property
    def rows(self) -> list[dict[str, str]]:
        """The tab-separated table on stdout."""
        lines = [line.split("\t") for line in self.out.splitlines()]
        return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No address, token or stored login of the machine the tests run on."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    of_a_job = ("CI", "GITHUB_STEP_SUMMARY", "ACTIONS_ID_TOKEN_REQUEST_URL", "TOUCHSTONE_ID_TOKEN")
    for name in ("TOUCHSTONE_URL", "TOUCHSTONE_TOKEN", "FORCE_COLOR", "TTY_COMPATIBLE", *of_a_job):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run() -> Cli:
    """Run `touchstone` with arguments; nothing of the environment but what the test sets."""
    from typer.testing import CliRunner

    from touchstone_client.cli import app

    def call(*arguments: object, input: str | None = None) -> Ran:  # noqa: A002 - as CliRunner names it
        result = CliRunner().invoke(app, [str(item) for item in arguments], input=input, catch_exceptions=True)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "\x1b" not in result.stdout + result.stderr, "no colours where nobody looks"
        return Ran(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def server(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a real server; the environment names it."""
    monkeypatch.setenv("TOUCHSTONE_URL", live_server.url)
    return str(live_server.url)


@pytest.fixture
def as_user(server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[User], None]:
    """From now on the environment holds a token of this user."""
    from tests.unit.api.api_helpers import token_for

    def become(user: User) -> None:
        monkeypatch.setenv("TOUCHSTONE_TOKEN", token_for(user))

    return become


@pytest.fixture
def as_paula(as_user: Callable[[User], None], paula: User, small: Competition) -> User:
    """Paula has joined `small`, and the environment holds her token."""
    from touchstone.competitions.services import participation_join

    participation_join(competition=small, user=paula, accept_terms=True)
    as_user(paula)
    return paula


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    from tests.unit.api.bundle_maker import predictions_csv

    path = tmp_path / "predictions.csv"
    path.write_text(predictions_csv())
    return path


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """What happens on the server while the client sleeps between two questions: each step once, in order."""
    from touchstone_client import sdk

    steps: list[Callable[[], object]] = []

    def sleep(seconds: float) -> None:
        assert steps, "the client waits for something that never happens"
        steps.pop(0)()

    monkeypatch.setattr(sdk.time, "sleep", sleep)

    def add(*more: Callable[[], object]) -> None:
        steps.extend(more)

    return add
