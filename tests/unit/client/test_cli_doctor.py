from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from touchstone.accounts.models import ApiToken, User
from touchstone_client import config, doctoring

pytestmark = pytest.mark.django_db(transaction=True)


def _found(done: object) -> dict[str, dict[str, str]]:
    return {item["what"]: item for item in done.json["findings"]}  # type: ignore[attr-defined]


def test_all_is_well(run: Callable, as_paula: User) -> None:
    done = run("doctor", "--json")
    found = _found(done)
    assert (done.code, done.json["ok"]) == (0, True)
    assert list(found)[:5] == ["client", "settings", "server", "clock", "token"]
    assert [found[name]["state"] for name in ("client", "settings", "server", "clock", "token")] == ["ok"] * 5
    assert "version 0." in found["server"]["text"]
    assert "may: read, submit" in found["token"]["text"]
    assert "paula" in run("doctor").out


def test_each_thing_that_is_wrong_has_a_next_step(
    run: Callable, server: str, paula: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("doctor", "--json")
    assert done.code == 1
    assert _found(done)["token"]["next"] == f"touchstone login --url {server}"
    monkeypatch.setenv("TOUCHSTONE_TOKEN", "ts_wrong")
    assert _found(run("doctor", "--json"))["token"]["state"] == "fail"
    config.store(url=server, token="ts_x")
    config.path().chmod(0o644)
    found = _found(run("doctor", "--json"))["credentials"]
    assert (found["state"], found["next"][:9]) == ("fail", "chmod 600")


def test_a_token_that_ends_soon_or_cannot_submit(run: Callable, as_paula: User) -> None:
    ApiToken.objects.update(expires_at=datetime.now(UTC) + timedelta(days=2))
    assert _found(run("doctor", "--json"))["token"]["state"] == "warn"
    ApiToken.objects.update(expires_at=None, scopes=["read"])
    done = run("doctor", "--json")
    assert (done.code, _found(done)["token"]["state"]) == (0, "warn")
    assert "--scope submit" in _found(done)["token"]["next"]


def test_no_server(run: Callable, tmp_path: Path) -> None:
    done = run("--url", "http://127.0.0.1:9", "doctor", "--json")
    assert done.code == 1
    assert _found(done)["server"]["state"] == "fail"
    assert "token" not in _found(done)
    assert _found(run("doctor", "--json"))["server"]["state"] == "fail"


@pytest.mark.parametrize(
    ("seconds", "state", "words"),
    [(0, "ok", "within"), (100, "warn", "behind"), (-100, "warn", "ahead of"), (400, "fail", "behind")],
)
def test_the_clock(seconds: int, state: str, words: str) -> None:
    moment = datetime.now(UTC)
    found = doctoring._clock(moment + timedelta(seconds=seconds), moment, moment + timedelta(seconds=1))
    assert found.state == state
    assert words in found.text


def test_too_old_a_client_is_told_how_to_go_on(run: Callable, as_paula: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from touchstone.api import base

    monkeypatch.setitem(base.HEADERS, "Touchstone-Minimum-Client", "99.0")
    done = run("whoami")
    assert done.code == 1
    assert "too old" in done.err
    assert "pip install -U touchstone-client" in done.err
    monkeypatch.setitem(base.HEADERS, "Touchstone-Minimum-Client", "odd")
    assert run("whoami").code == 0


@pytest.mark.parametrize(
    ("shell", "words"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --command")]
)
def test_completion(run: Callable, shell: str, words: str) -> None:
    done = run("completion", shell)
    assert done.code == 0
    assert words in done.out
    assert "_TOUCHSTONE_COMPLETE" in done.out
    assert run("completion", "cmd").code == 2


def _helps() -> dict[str, str]:
    """The help of every command that does something, by its name."""
    import typer.main

    from touchstone_client.cli import app

    def walk(command: Any, context: Any) -> dict[str, str]:
        children = getattr(command, "commands", {})
        found = {} if children else {context.command_path: command.get_help(context)}
        for name, child in children.items():
            found |= walk(child, child.context_class(child, info_name=name, parent=context))
        return found

    command: Any = typer.main.get_command(app)
    return walk(command, command.context_class(command, info_name="touchstone"))


def test_every_command_has_help_with_an_example() -> None:
    helps = _helps()
    assert len(helps) > 35
    without = [
        name for name, text in helps.items() if name != "touchstone join" and name not in text.partition("\n\n")[2]
    ]
    assert without == []
    assert not [name for name, text in helps.items() if "\x08" in text]
