"""How often one may try to sign in, sign up and make tokens, and how long a form may be."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client

from tests.factories.server import PASSWORD, user_make
from touchstone.accounts.models import ApiToken, User
from touchstone.core import clock

pytestmark = pytest.mark.django_db

TOKEN = {"name": "ci", "scopes": ["read"], "expires": "30"}


@pytest.fixture(autouse=True)
def limits_on(settings):
    settings.TOUCHSTONE_RATE_LIMITS = True
    cache.clear()
    yield
    cache.clear()


def sign_in(name: str, password: str = "wrong", address: str = "192.0.2.1"):
    return Client(REMOTE_ADDR=address).post("/login/", {"login": name, "password": password})


def test_a_name_is_tried_ten_times_from_wherever() -> None:
    user_make("max")
    answers = [sign_in("max", address=f"192.0.2.{i}").status_code for i in range(10)]

    refused = sign_in("MAX", PASSWORD, address="198.51.100.7")

    assert answers == [422] * 10
    assert refused.status_code == 429
    html = refused.content.decode()
    assert "Too many failed sign-ins" in html
    assert re.search(r"Try again after \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", html)
    assert 0 < int(refused["Retry-After"]) <= 300
    user_make("moritz")
    assert sign_in("moritz", PASSWORD).status_code == 302


def test_an_address_is_limited_whatever_names_it_tries() -> None:
    user_make("max")
    answers = {sign_in(f"name{i}").status_code for i in range(50)}

    assert answers == {422}
    assert sign_in("max", PASSWORD).status_code == 429
    assert sign_in("max", PASSWORD, address="192.0.2.2").status_code == 302


def test_neighbours_in_one_ipv6_network_are_one() -> None:
    for i in range(50):
        sign_in(f"name{i}", address=f"2001:db8::{i:x}")

    assert sign_in("x", address="2001:db8::ffff").status_code == 429
    assert sign_in("x", address="2001:db8:0:1::1").status_code == 422


def test_signing_in_rightly_is_never_too_often() -> None:
    user_make("max")

    assert {sign_in("max", PASSWORD).status_code for _ in range(15)} == {302}


def test_a_count_is_forgotten_in_time(monkeypatch) -> None:
    user_make("max")
    for _ in range(11):
        sign_in("max")
    real = clock.now
    monkeypatch.setattr("time.time", lambda: (real() + timedelta(seconds=301)).timestamp())

    assert sign_in("max", PASSWORD).status_code == 302


def test_signing_up_is_limited() -> None:
    def sign_up(i: int) -> int:
        data = {"username": f"new{i}", "email": f"new{i}@example.org", "password": "a-long-enough-one"}
        return Client().post("/signup/", data).status_code

    assert {sign_up(i) for i in range(60)} == {302}
    assert sign_up(60) == 429
    assert User.objects.count() == 60


def test_making_tokens_is_limited_on_the_page_and_in_the_interface() -> None:
    client = Client()
    client.force_login(user_make())
    for _ in range(29):
        assert client.post("/account/", TOKEN).status_code == 200
    body = {"name": "ci", "scopes": ["read"]}
    assert client.post("/api/v1/tokens", body, content_type="application/json").status_code == 201

    assert client.post("/account/", TOKEN).status_code == 429
    refused = client.post("/api/v1/tokens", body, content_type="application/json")

    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    assert int(refused["Retry-After"]) > 0
    assert ApiToken.objects.count() == 30


def test_a_setting_switches_limits_off(settings) -> None:
    settings.TOUCHSTONE_RATE_LIMITS = False
    user_make("max")

    assert {sign_in("max").status_code for _ in range(12)} == {422}


def test_a_name_behind_a_proxy_is_the_one_that_the_proxy_saw(settings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    for i in range(50):
        Client().post("/login/", {"login": f"n{i}"}, headers={"X-Forwarded-For": f"203.0.113.{i}, 192.0.2.9"})

    again = Client().post("/login/", {"login": "n"}, headers={"X-Forwarded-For": "10.0.0.1, 192.0.2.9"})

    assert again.status_code == 429


@pytest.mark.parametrize(
    ("signed_in", "length", "status"),
    [(False, 2**20, 200), (False, 2**20 + 1, 413), (True, 2**21, 200), (True, 2**31 + 1, 413)],
)
def test_the_body_of_a_form_is_limited_before_it_is_read(signed_in: bool, length: int, status: int) -> None:
    client = Client()
    if signed_in:
        client.force_login(user_make())

    answer = client.get("/", headers={"Content-Length": str(length)})

    assert answer.status_code == status
    if status == 413:
        assert "are allowed" in answer.content.decode()
        assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_next_is_an_address_and_never_the_name_of_a_view() -> None:
    data = {"username": "nina", "email": "nina@example.org", "password": "a-long-enough-one", "next": "nowhere"}

    assert Client().post("/signup/", data)["Location"] == "nowhere"
