"""Confirming addresses, resetting passwords, second factors, and signing in with an account elsewhere."""

from __future__ import annotations

import json
import re
import smtplib
import time
from collections.abc import Iterator

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.test import Client

from tests.factories.oidc_issuer import CLIENT, SECRET, Issuer, running_issuer
from tests.factories.server import PASSWORD, user_make
from touchstone.accounts.models import User
from touchstone.accounts.selectors import token_user
from touchstone.accounts.services import token_create, user_create
from touchstone.audit.models import AuditEntry
from touchstone.config.settings import base
from touchstone.config.settings.accounts import oidc_settings

pytestmark = pytest.mark.django_db

GOOD = {"username": "nina", "email": "nina@example.org", "password": "a-long-enough-one"}


@pytest.fixture
def mail(settings, mailoutbox):
    """A site that can send mail. Messages end up in the returned list."""
    settings.TOUCHSTONE_EMAIL_URL = "smtp://mail.example.org"
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    return mailoutbox


def link(text: str) -> str:
    found = re.search(r"http://testserver(/\S+)", text)
    assert found is not None, text
    return found[1]


def signed_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def test_an_address_is_confirmed_before_the_first_sign_in(mail) -> None:
    client = Client()
    assert client.post("/signup/", GOOD)["Location"] == "/confirm-email/"
    assert not signed_in(client)
    assert mail[0].to == ["nina@example.org"]
    assert mail[0].subject.startswith("Touchstone: ")

    other = Client().post("/login/", {"login": "nina", "password": GOOD["password"]})
    assert other["Location"] == "/confirm-email/"

    address = link(mail[0].body)
    assert Client().get(address).status_code == 200
    assert not EmailAddress.objects.get().verified  # a look alone, as mail scanners do, confirms nothing
    client.post(address)
    assert EmailAddress.objects.get().verified
    assert Client().post("/login/", {"login": "nina@example.org", "password": GOOD["password"]})["Location"] == "/"
    assert AuditEntry.objects.filter(act="email.confirm").count() == 1


def test_who_has_an_account_is_not_told_to_strangers(mail) -> None:
    user_create(**GOOD, verified=True)
    fresh = Client().post("/signup/", GOOD | {"username": "eve", "email": "eve@example.org"})
    taken = Client().post("/signup/", GOOD | {"username": "mallory", "email": "NINA@example.org"})

    assert (taken.status_code, taken["Location"]) == (fresh.status_code, fresh["Location"])
    assert set(User.objects.values_list("username", flat=True)) == {"nina", "eve"}
    assert mail[-1].to == ["NINA@example.org"]
    assert "exists" in mail[-1].body


def test_a_bad_password_is_no_way_to_ask_who_has_an_account(mail) -> None:
    user_create(**GOOD, verified=True)
    fresh = Client().post("/signup/", {"username": "mallory", "email": "eve@example.org", "password": "123"})
    taken = Client().post("/signup/", {"username": "mallory", "email": "nina@example.org", "password": "123"})

    assert fresh.status_code == taken.status_code == 422
    assert fresh.context["form"].errors == taken.context["form"].errors


def test_without_mail_one_is_in_at_once_and_nothing_is_offered_that_needs_it() -> None:
    client = Client()
    assert client.post("/signup/", GOOD)["Location"] == "/"
    assert signed_in(client)
    assert "/password/reset/" not in Client().get("/login/").content.decode()


def test_a_mail_server_that_is_away_loses_nothing(mail, monkeypatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.EmailMessage.send", away)
        response = Client().post("/signup/", GOOD)
    assert response.status_code == 503
    assert "mail server" in response.content.decode()
    assert User.objects.get().username == "nina"

    again = Client().post("/login/", {"login": "nina", "password": GOOD["password"]})
    assert again["Location"] == "/confirm-email/"
    assert len(mail) == 1


def test_a_forgotten_password_is_set_anew(mail) -> None:
    token, raw = token_create(user=user_create(**GOOD, verified=True), name="laptop", scopes=["read"])
    client = Client()
    assert "/password/reset/" in client.get("/login/").content.decode()
    client.post("/password/reset/", {"email": "nina@example.org"})
    page = client.get(link(mail[0].body), follow=True)
    assert "API tokens end with the old password" in page.content.decode()
    assert token_user(raw=raw) == token
    client.post(page.request["PATH_INFO"], {"password1": "another-long-one", "password2": "another-long-one"})

    assert token_user(raw=raw) is None
    assert Client().post("/login/", {"login": "nina", "password": GOOD["password"]}).status_code == 422
    assert Client().post("/login/", {"login": "nina", "password": "another-long-one"})["Location"] == "/"
    assert AuditEntry.objects.filter(act="password.set").count() == 1


def test_nobody_learns_from_a_reset_whether_an_account_exists(mail) -> None:
    assert Client().post("/password/reset/", {"email": "nobody@example.org"})["Location"] == "/password/reset/done/"
    assert mail == []


def code(secret: str) -> str:
    counter = next(iter(yield_hotp_counters_from_time()))
    return format_hotp_value(hotp_value(secret, counter))


def entered(name: str, password: str) -> Client:
    client = Client()
    client.post("/login/", {"login": name, "password": password})
    return client


def proved(client: Client, password: str = PASSWORD) -> Client:
    """One that has just given the password once more."""
    client.post("/reauthenticate/", {"password": password})
    return client


def test_a_second_factor_is_asked_for_once_it_is_on() -> None:
    cache.clear()
    user_make("max")
    client = proved(entered("max", PASSWORD))
    page = client.get("/2fa/totp/activate/").content.decode()
    secret = re.search(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page)
    assert secret is not None
    assert 'src="data:image/svg+xml' in page
    assert client.post("/2fa/totp/activate/", {"code": "000000"}).status_code == 200
    assert not Authenticator.objects.filter(type="totp").exists()
    client.post("/2fa/totp/activate/", {"code": code(secret[1])})
    assert set(Authenticator.objects.values_list("type", flat=True)) == {"totp", "recovery_codes"}
    assert "On" in client.get("/account/").content.decode()

    cache.clear()  # a code works once, and this is the same half minute
    other = entered("max", PASSWORD)
    assert not signed_in(other)
    assert other.post("/2fa/authenticate/", {"code": "123456"}).status_code == 200
    assert not signed_in(other)
    assert other.post("/2fa/authenticate/", {"code": code(secret[1])})["Location"] == "/"
    assert signed_in(other)


def test_codes_of_a_second_factor_cannot_be_guessed_without_end(settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = base.ACCOUNT_RATE_LIMITS
    cache.clear()
    user = user_make("max")
    Authenticator.objects.create(user=user, type="totp", data={"secret": "A" * 32})
    RecoveryCodes.activate(user)
    spare = Authenticator.objects.get(user=user, type="recovery_codes").wrap().get_unused_codes()[0]
    for guess in range(5):
        entered("max", PASSWORD).post("/2fa/authenticate/", {"code": f"00000{guess}"})

    client = entered("max", PASSWORD)  # neither another browser nor the right code helps
    client.post("/2fa/authenticate/", {"code": spare})
    cache.clear()

    assert not signed_in(client)


def test_a_recovery_code_works_once() -> None:
    cache.clear()
    user = user_make("max")
    client = proved(entered("max", PASSWORD))
    page = client.get("/2fa/totp/activate/").content.decode()
    secret = re.search(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', page)
    assert secret is not None
    client.post("/2fa/totp/activate/", {"code": code(secret[1])})
    spare = Authenticator.objects.get(user=user, type="recovery_codes").wrap().get_unused_codes()[0]

    first, second = entered("max", PASSWORD), entered("max", PASSWORD)
    first.post("/2fa/authenticate/", {"code": spare})
    second.post("/2fa/authenticate/", {"code": spare})

    assert (signed_in(first), signed_in(second)) == (True, False)


def test_what_changes_an_account_asks_for_the_password_again(monkeypatch) -> None:
    user_make("max")
    client = entered("max", PASSWORD)
    assert client.get("/account/delete/")["Location"].startswith("/reauthenticate/?next=")
    client.post("/reauthenticate/", {"password": "wrong"})
    assert client.get("/account/delete/").status_code == 302
    assert proved(client).get("/account/delete/").status_code == 200
    later = time.time() + 3600
    monkeypatch.setattr("time.time", lambda: later)
    assert client.get("/account/delete/").status_code == 302


def test_other_sessions_can_be_ended() -> None:
    user_make("max")
    here, there = entered("max", PASSWORD), entered("max", PASSWORD)
    assert here.get("/sessions/").status_code == 200
    there.get("/sessions/")
    here.post("/sessions/")
    assert (signed_in(here), signed_in(there)) == (True, False)


@pytest.fixture
def issuer(settings) -> Iterator[Issuer]:
    with running_issuer() as running:
        entry = {"id": "uni", "name": "University", "server_url": running.url, "client_id": CLIENT, "secret": SECRET}
        settings.SOCIALACCOUNT_PROVIDERS, _ = oidc_settings(json.dumps([entry]))
        yield running


def elsewhere(client: Client, issuer: Issuer, *, process: str = "login"):
    away = client.post(f"/oidc/uni/login/?process={process}")
    assert away["Location"].startswith(f"{issuer.url}/authorize")
    back = issuer.authorise(away["Location"])
    assert back.startswith("http://testserver/oidc/uni/login/callback/")
    return client.get(back.removeprefix("http://testserver"))


def test_signing_in_with_an_account_elsewhere(issuer) -> None:
    client = Client()
    assert "Sign in with University" in client.get("/login/").content.decode()
    assert client.get("/oidc/uni/login/").status_code == 200  # a link alone starts nothing
    assert elsewhere(client, issuer)["Location"] == "/"
    assert signed_in(client)
    user = User.objects.get()
    assert (user.username, user.email, user.has_usable_password()) == ("ida", "ida@example.org", False)
    assert AuditEntry.objects.get(act="user.create").data == {"provider": "uni"}

    again = Client()
    elsewhere(again, issuer)
    assert signed_in(again)
    assert User.objects.count() == 1


def test_an_address_that_is_named_elsewhere_opens_no_account_here(issuer) -> None:
    mine = user_create(username="ida", email="ida@example.org", password="a-long-enough-one", verified=True)
    stranger = Client()
    answer = elsewhere(stranger, issuer)

    assert answer["Location"].startswith("/connections/signup/")
    assert not signed_in(stranger)
    assert not SocialAccount.objects.exists()
    assert User.objects.get() == mine


def test_an_account_elsewhere_is_connected_by_who_is_signed_in(issuer) -> None:
    user = user_make("max")
    client = proved(entered("max", PASSWORD))
    elsewhere(client, issuer, process="connect")
    assert SocialAccount.objects.get().user == user

    other = Client()
    elsewhere(other, issuer)
    assert signed_in(other)
    assert User.objects.count() == 1


def test_a_code_of_somebody_elses_browser_is_refused(issuer) -> None:
    away = Client().post("/oidc/uni/login/?process=login")
    back = issuer.authorise(away["Location"]).removeprefix("http://testserver")
    victim = Client()

    answer = victim.get(back)

    assert answer.status_code in (200, 401, 403)
    assert not signed_in(victim)
    assert not User.objects.exists()
