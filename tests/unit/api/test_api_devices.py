"""Signing a program in with a browser: what the program is told at each step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import problem
from touchstone.accounts.devices import device_approve, device_deny, device_find
from touchstone.accounts.models import ApiToken, DeviceGrant, User
from touchstone.core.clock import now
from touchstone.core.errors import UserError

pytestmark = pytest.mark.django_db


def begin(client: APIClient, **changes: Any) -> dict[str, Any]:
    body = {"client_name": "touchstone on laptop", "scopes": ["read", "submit"], **changes}
    answer = client.post("/api/v1/device/code", body, format="json")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def ask(client: APIClient, begun: dict[str, Any], *, wait: bool = True) -> Any:
    if wait:
        DeviceGrant.objects.filter(polled_at__isnull=False).update(polled_at=now() - timedelta(minutes=2))
    return client.post("/api/v1/device/token", {"device_code": begun["device_code"]}, format="json")


def test_from_the_question_to_the_token(anyone: APIClient, paula: User) -> None:
    begun = begin(anyone)
    assert begun["verification_uri"] == "http://testserver/device/"
    assert begun["verification_uri_complete"] == f"http://testserver/device/?code={begun['user_code']}"
    assert (begun["expires_in"], begun["interval"]) == (600, 5)
    problem(ask(anyone, begun), 400, "authorization_pending")

    device_approve(grant=device_find(user_code=begun["user_code"].lower().replace("-", " ")), user=paula, days=30)
    answer = ask(anyone, begun)

    made = answer.json()
    assert answer["Cache-Control"] == "no-store"
    assert made["scopes"] == ["read", "submit"]
    token = ApiToken.objects.get()
    assert (token.user, token.name, token.origin) == (paula, "touchstone on laptop", "device")
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - now() <= timedelta(days=30)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
    assert client.get("/api/v1/me").json()["token"] == "touchstone on laptop"
    problem(ask(anyone, begun), 400, "expired_token")  # it is told once
    assert ApiToken.objects.count() == 1


def test_denied(anyone: APIClient, paula: User) -> None:
    begun = begin(anyone)
    device_deny(grant=device_find(user_code=begun["user_code"]), user=paula)
    for _again in range(2):
        problem(ask(anyone, begun), 400, "access_denied")
    assert not ApiToken.objects.exists()


def test_who_asks_too_often_is_told_to_slow_down(anyone: APIClient) -> None:
    begun = begin(anyone)
    ask(anyone, begun)
    assert "10 seconds" in problem(ask(anyone, begun, wait=False), 400, "slow_down")["hint"]
    assert "10 seconds" in problem(ask(anyone, begun), 400, "authorization_pending")["hint"]


@pytest.mark.parametrize("approved", [False, True])
def test_after_ten_minutes_it_is_over(anyone: APIClient, paula: User, approved: bool) -> None:
    begun = begin(anyone)
    grant = device_find(user_code=begun["user_code"])
    if approved:
        device_approve(grant=grant, user=paula, days=90)
    DeviceGrant.objects.update(expires_at=now())
    problem(ask(anyone, begun), 400, "expired_token")
    with pytest.raises(UserError):
        device_approve(grant=grant, user=paula, days=90)


def test_a_code_that_never_was_answers_like_one_that_expired(anyone: APIClient) -> None:
    begun = begin(anyone)
    DeviceGrant.objects.update(expires_at=now())
    words = [problem(ask(anyone, code), 400, "expired_token") for code in (begun, {"device_code": "x" * 43})]
    assert {(body["detail"], body["hint"]) for body in words} == {(words[0]["detail"], words[0]["hint"])}


def test_somebody_who_is_gone_brings_no_token(anyone: APIClient, paula: User) -> None:
    begun = begin(anyone)
    device_approve(grant=device_find(user_code=begun["user_code"]), user=paula, days=90)
    User.objects.update(is_active=False)
    problem(ask(anyone, begun), 400, "access_denied")


def test_neither_code_is_kept(anyone: APIClient) -> None:
    begun = begin(anyone)
    row = str(DeviceGrant.objects.values().get())
    letters = begun["user_code"].replace("-", "")
    assert not [secret for secret in (begun["device_code"], begun["user_code"], letters) if secret in row]


def test_codes_have_no_letters_that_look_alike(anyone: APIClient) -> None:
    letters = {letter for _ in range(20) for letter in begin(anyone)["user_code"]} - {"-"}
    assert not letters & set("AEIOUY0123456789")


@pytest.mark.parametrize("scopes", [["everything"], ["submit:Not A Slug"], ["read:garments"], []])
def test_scopes_that_do_not_exist(anyone: APIClient, scopes: list[str]) -> None:
    body = {"client_name": "x", "scopes": scopes}
    problem(anyone.post("/api/v1/device/code", body, format="json"), 400, "invalid")


def test_only_what_the_person_may_give_is_given(anyone: APIClient, paula: User) -> None:
    for scopes in (["admin"], ["submit:none-such"]):
        grant = device_find(user_code=begin(anyone, scopes=scopes)["user_code"])
        with pytest.raises(UserError):
            device_approve(grant=grant, user=paula, days=90)


def test_one_address_cannot_fill_the_table(anyone: APIClient, settings: Any) -> None:
    settings.TOUCHSTONE_RATE_LIMITS = True
    for _ in range(60):
        begin(anyone)
    answer = anyone.post("/api/v1/device/code", {"client_name": "x"}, format="json")
    problem(answer, 429, "throttled")
    assert int(answer["Retry-After"]) > 0


def test_a_name_from_outside_is_cut_and_printable(anyone: APIClient) -> None:
    begun = begin(anyone, client_name="a\u202eb\x07\n c " + "x" * 80)
    name = device_find(user_code=begun["user_code"]).client
    assert name.startswith("a b c x")
    assert len(name) <= 60
