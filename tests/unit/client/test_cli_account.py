from __future__ import annotations

import stat
from collections.abc import Callable

import pytest

from tests.unit.api.api_helpers import token_for
from touchstone.accounts.models import ApiToken, User
from touchstone_client import config

pytestmark = pytest.mark.django_db(transaction=True)


def test_login_keeps_a_token_that_works(run: Callable, server: str, paula: User) -> None:
    done = run("login", "--token", token_for(paula), "--url", server)
    assert done.code == 0
    assert "as paula" in done.err
    assert done.out == ""
    assert stat.S_IMODE(config.path().stat().st_mode) == 0o600
    me = run("whoami")
    assert me.code == 0
    assert "user\tpaula" in me.out
    assert run("whoami", "--json").json["me"]["scopes"] == ["read", "submit", "organise"]


def test_login_reads_the_token_from_a_pipe_or_the_environment(
    run: Callable, server: str, paula: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = token_for(paula)
    assert run("login", "--with-token", input=token + "\n").code == 0
    assert config.resolve().token == token
    config.forget(url=server)
    monkeypatch.setenv("TOUCHSTONE_TOKEN", token)
    assert run("login").code == 0
    monkeypatch.delenv("TOUCHSTONE_TOKEN")
    assert run("whoami").code == 0


@pytest.mark.parametrize("token", ["nonsense", "ts_0123456789abcdef_" + "x" * 43])
def test_login_with_a_wrong_token_keeps_nothing(run: Callable, server: str, db: None, token: str) -> None:
    done = run("login", "--token", token)
    assert done.code == 4
    assert "unknown, expired or revoked" in done.err
    assert "next: " in done.err
    assert "request id: " in done.err
    assert not config.path().exists()


def test_login_without_a_token_is_a_usage_error(run: Callable, server: str) -> None:
    done = run("login")
    assert done.code == 2
    assert f"{server}/account/" in done.err


def test_without_a_login_the_next_step_is_told(run: Callable, server: str) -> None:
    done = run("whoami")
    assert done.code == 4
    assert "Not logged in" in done.err
    assert "touchstone login" in done.err


def test_without_a_server_the_next_step_is_told(run: Callable) -> None:
    done = run("competitions")
    assert done.code == 2
    assert "No server is known" in done.err


def test_a_revoked_token_is_told_apart(run: Callable, as_user: Callable[[User], None], paula: User) -> None:
    as_user(paula)
    ApiToken.objects.update(revoked_at="2026-01-01T00:00:00Z")
    assert run("whoami").code == 4


def test_a_missing_scope_is_named(run: Callable, server: str, paula: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_TOKEN", token_for(paula, "submit"))
    done = run("whoami")
    assert done.code == 4
    assert "'read'" in done.err


def test_logout_forgets(run: Callable, server: str, paula: User) -> None:
    run("login", "--token", token_for(paula))
    assert "forgotten" in run("logout").err
    assert run("whoami").code == 4
    assert "no stored token" in run("logout").err


def test_a_server_that_is_away(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from touchstone_client import transport

    monkeypatch.setattr(transport.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(transport.Transport, "_pauses", lambda self: iter([0.1, 0.1, None]))
    done = run("--url", "http://127.0.0.1:9", "--token", "ts_x", "whoami")
    assert done.code == 1
    assert "cannot be reached" in done.err
    assert done.err.count("trying again") == 1


def test_version_and_help(run: Callable) -> None:
    from touchstone_client.version import __version__

    assert run("--version").out == f"touchstone {__version__}\n"
    text = run("--help").out
    for command in ("login", "competitions", "competition", "submit", "status", "logs", "results", "leaderboard"):
        assert command in text
    assert "8 threshold missed" in text.replace("\n", " ")
