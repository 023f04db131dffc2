"""Sign-up, sign-in, sign-out and tokens."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.factories.server import PASSWORD, user_make
from touchstone.accounts.models import ApiToken, User
from touchstone.accounts.selectors import token_user

pytestmark = pytest.mark.django_db

GOOD = {"username": "nina", "email": "nina@example.org", "password": "a-long-enough-one"}


def test_signing_up_signs_in_and_goes_on() -> None:
    client = Client()
    response = client.post("/signup/?next=/competitions/new/", GOOD | {"next": "/competitions/new/"})
    assert response["Location"] == "/competitions/new/"
    assert client.get("/account/").status_code == 200
    assert User.objects.get().check_password(GOOD["password"])


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "http:///evil.example"]
)
@pytest.mark.parametrize("path", ["/signup/", "/login/"])
def test_nobody_is_sent_elsewhere(path: str, target: str) -> None:
    user_make("max")
    data = GOOD if path == "/signup/" else {"login": "max", "password": PASSWORD}
    assert Client().post(path, data | {"next": target})["Location"] == "/"


def test_every_fault_stands_beside_its_field() -> None:
    user_make("Nina")
    response = Client().post("/signup/", {"username": "nina", "email": "no address", "password": "short"})
    assert response.status_code == 422
    html = response.content.decode()
    for field in ("username", "email", "password"):
        assert f'id="id_{field}_error"' in html
    assert "taken" in html
    assert 'value="no address"' in html
    assert "short" not in html.split("<main", 1)[1].replace("too short", "")
    assert User.objects.count() == 1


def test_a_wrong_password_says_so_and_keeps_the_name() -> None:
    user_make("max")
    response = Client().post("/login/", {"login": "max", "password": "wrong"})
    assert response.status_code == 422
    html = response.content.decode()
    assert 'role="alert"' in html
    assert 'value="max"' in html


def test_signing_out() -> None:
    client = Client()
    client.force_login(user_make())
    assert client.post("/logout/")["Location"] == "/"
    assert client.get("/account/").status_code == 302


def test_a_token_is_shown_once_and_works() -> None:
    client, user = Client(), user_make()
    client.force_login(user)
    response = client.post("/account/", {"name": "laptop", "scopes": ["read", "submit"], "expires": "30"})
    assert response.status_code == 200
    secret = re.search(r'<code id="secret">(ts_[^<]+)</code>', response.content.decode())
    assert secret is not None
    found = token_user(raw=secret[1])
    assert found is not None
    assert (found.user, found.scopes) == (user, ["read", "submit"])
    assert found.expires_at is not None
    assert "no-store" in response["Cache-Control"]
    assert secret[1] not in client.get("/account/").content.decode()


def test_a_token_needs_a_name_and_a_scope() -> None:
    client = Client()
    client.force_login(user_make())
    response = client.post("/account/", {"name": " ", "expires": "0"})
    assert response.status_code == 422
    assert not ApiToken.objects.exists()


def test_revoking_asks_first_and_only_its_owner_may() -> None:
    owner, other = Client(), Client()
    owner.force_login(user_make())
    other.force_login(user_make())
    owner.post("/account/", {"name": "ci", "scopes": ["submit"], "expires": "0"})
    token = ApiToken.objects.get()
    path = f"/account/tokens/{token.pk}/revoke/"
    assert other.get(path).status_code == other.post(path).status_code == 404
    assert "Revoke this token?" in owner.get(path).content.decode()
    token.refresh_from_db()
    assert token.revoked_at is None
    assert owner.post(path)["Location"] == "/account/"
    token.refresh_from_db()
    assert token.revoked_at is not None
