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


def test_in_ci_nobody_can_confirm_a_login(run: Callable, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    done = run("login")
    assert done.code == 2
    assert "TOUCHSTONE_TOKEN" in done.err
    assert run("login", "--with-token", input="\n").code == 2
    assert not config.path().exists()


class Person:
    """Somebody with a browser, who is asked about the newest code."""

    def __init__(self, user: User, *, grant: bool) -> None:
        self.user, self.grant, self.waited = user, grant, []

    def sleep(self, seconds: float) -> None:
        """Looks up at the second question; confirms, or refuses."""
        from django.test import Client as Browser

        self.waited.append(seconds)
        assert len(self.waited) < 5, "the answer does not arrive"
        if len(self.waited) != 2:
            return
        browser = Browser()
        browser.force_login(self.user)
        page = browser.get(self.code)
        assert page.status_code == 200
        form = {"code": self.code.rpartition("=")[2], "act": "approve" if self.grant else "deny", "days": "30"}
        assert browser.post("/device/", form).status_code == 200


def person_at(monkeypatch: pytest.MonkeyPatch, user: User, *, grant: bool) -> Person:
    from touchstone_client import device, sdk

    person = Person(user, grant=grant)

    def begun(*given: object, **more: object) -> object:
        code = begin(*given, **more)
        person.code = code.verification_uri_complete.partition("//")[2].partition("/")[2].join(["/", ""])
        return code

    begin, wait = device.begin, device.wait
    monkeypatch.setattr(sdk.device, "begin", begun)
    monkeypatch.setattr(sdk.device, "wait", lambda http, code: wait(http, code, sleep=person.sleep))
    return person


def test_login_by_a_code_and_logout_ends_the_token(
    run: Callable, server: str, paula: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = person_at(monkeypatch, paula, grant=True)
    done = run("login")
    assert done.code == 0, done.err
    assert "enter the code" in done.err
    assert "as paula (may: read, submit)" in done.err
    assert len(person.waited) >= 2
    assert run("whoami").code == 0
    made = ApiToken.objects.get()
    out = run("logout")
    assert "revoked and forgotten" in out.err
    made.refresh_from_db()
    assert made.revoked_at is not None
    assert run("whoami").code == 4


def test_a_login_that_is_refused_makes_nothing(
    run: Callable, server: str, paula: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    person_at(monkeypatch, paula, grant=False)
    done = run("login")
    assert done.code == 4
    assert "refused in the browser" in done.err
    assert "Run `touchstone login` again" in done.err
    assert ApiToken.objects.count() == 0


def test_a_token_that_is_known_no_more_is_forgotten_all_the_same(run: Callable, server: str, paula: User) -> None:
    config.store(url=server, token=token_for(paula), by_login=True)
    ApiToken.objects.update(revoked_at="2026-01-01T00:00:00Z")
    assert run("logout").code == 0
    assert config.resolve().token == ""


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
    assert run("whoami").code == 0
    done = run("submissions")
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
