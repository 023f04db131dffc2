"""Every error has one shape, whatever went wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import override_settings
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import client_for, problem
from touchstone.accounts.models import User
from touchstone.api.views import account

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "address",
    ["/api/v1/", "/api/v1/nothing", "/api/v1/me/", "/api/v1/competitions/", "/api/v1/submissions/1", "/api/v1/a/b/c"],
)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_404(anyone: APIClient, address: str, method: str) -> None:
    body = problem(getattr(anyone, method)(address), 404, "not_found")
    assert "/api/v1/schema" in body["hint"]


def test_405_says_what_is_allowed(paula: User) -> None:
    answer = client_for(paula).put("/api/v1/competitions", {}, format="json")
    problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_415(paula: User) -> None:
    answer = client_for(paula).post("/api/v1/uploads", "a=1", content_type="application/x-www-form-urlencoded")
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("text", ["{", "", "[1]", '"x"', "null", "nan", '{"a": NaN}', "\xff", "[" * 100_000])
def test_json_that_is_none(paula: User, text: str) -> None:
    answer = client_for(paula).generic(
        "POST", "/api/v1/uploads", text.encode("latin-1"), content_type="application/json"
    )
    if text == "":
        assert {error["code"] for error in problem(answer, 400, "invalid")["errors"]} == {"required"}
    else:
        problem(answer, 400, "malformed_json")


def test_json_too_large_is_refused_unread(paula: User) -> None:
    text = json.dumps({"name": "x" * 2**20})
    answer = client_for(paula).generic("POST", "/api/v1/uploads", text.encode(), content_type="application/json")
    problem(answer, 413, "too_large")


def test_a_form_that_is_none(paula: User) -> None:
    answer = client_for(paula).generic("POST", "/api/v1/submissions", b"x", content_type="multipart/form-data")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    def fail(error: Exception) -> None:
        def get(self: Any, request: Any) -> None:
            raise error

        monkeypatch.setattr(account.Me, "get", get)

    return fail


def test_a_bug_is_a_500_with_a_request_id_and_no_secrets(
    paula: User, broken: Callable[[Exception], None], caplog: pytest.LogCaptureFixture
) -> None:
    broken(RuntimeError("the password is swordfish"))
    client = client_for(paula)
    answer = client.get("/api/v1/me", headers={"X-Request-ID": "abcdefgh-1"})
    body = problem(answer, 500, "internal_error")
    assert body["request_id"] == "abcdefgh-1"
    assert "swordfish" not in answer.content.decode()
    assert "swordfish" in caplog.text


def test_a_database_that_is_away_is_a_503_to_try_again(paula: User, broken: Callable[[Exception], None]) -> None:
    broken(OperationalError("connection refused"))
    answer = client_for(paula).get("/api/v1/me")
    problem(answer, 503, "unavailable")
    assert answer["Retry-After"] == "2"


def test_too_many_requests(paula: User, anna: User) -> None:
    with override_settings(TOUCHSTONE_API_RATES={"caller": "2/min", "address": None}):
        client = client_for(paula)
        assert [client.get("/api/v1/me").status_code for _ in range(2)] == [200, 200]
        answer = client.get("/api/v1/me")
        problem(answer, 429, "throttled")
        assert 0 < int(answer["Retry-After"]) <= 60
        assert client_for(anna).get("/api/v1/me").status_code == 200


def test_too_many_requests_of_an_address(anyone: APIClient) -> None:
    with override_settings(TOUCHSTONE_API_RATES={"address": "1/min"}):
        assert anyone.get("/api/v1/competitions").status_code == 200
        # What a caller claims about its address does not help.
        answer = anyone.get("/api/v1/competitions", headers={"X-Forwarded-For": "10.0.0.1"})
        problem(answer, 429, "throttled")


def test_a_loop_with_a_token_that_has_ended_is_stopped(anyone: APIClient) -> None:
    with override_settings(TOUCHSTONE_API_RATES={"address": "2/min"}):
        anyone.credentials(HTTP_AUTHORIZATION=f"Bearer ts_{'0' * 16}_{'x' * 43}")
        for _ in range(2):
            problem(anyone.get("/api/v1/me"), 401, "bad_token")
        answer = anyone.get("/api/v1/me")
        problem(answer, 429, "throttled")
        assert 0 < int(answer["Retry-After"]) <= 60


def test_behind_a_proxy_each_address_counts_alone(anyone: APIClient) -> None:
    proxied = {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}
    with override_settings(TOUCHSTONE_API_RATES={"address": "1/min"}, **proxied):
        codes = [
            anyone.get("/api/v1/competitions", headers={"X-Forwarded-For": text}).status_code
            for text in ("9.9.9.9, 10.0.0.1", "8.8.8.8, 10.0.0.1", "10.0.0.2")
        ]
    assert codes == [200, 429, 200]


def test_answers_are_not_kept_by_caches(paula: User) -> None:
    answer = client_for(paula).get("/api/v1/me")
    assert answer["Cache-Control"] == "no-store"
    assert answer["Vary"] == "Authorization, Cookie"


def test_json_is_answered_whatever_is_accepted(anyone: APIClient) -> None:
    for accept in ("text/html", "application/xml", "*/*", "image/png;q=0.1"):
        answer = anyone.get("/api/v1/competitions", headers={"Accept": accept})
        assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


ODD: tuple[Any, ...] = (
    None, "", " ", "\x00", "\ud800", "a" * 100_000, -1, 10**30, 1.5, True, [], {}, ["x"], {"a": {"b": []}},
    "../x", "\u202e",
)  # fmt: skip
BODIES = {
    "/api/v1/uploads": {"name": "x", "size": 5, "sha256": "a" * 64},
    "/api/v1/submissions": {
        "competition": "small", "phase": "now", "kind": "predictions", "upload": None, "image": "", "message": "",
    },
    "/api/v1/competitions": {"upload": "5b0fc0ce-0a31-4bd1-a6a9-0b5d6e0c1a2b", "replace": False},
    "/api/v1/competitions/small/join": {"accept_terms": True, "display_name": "x"},
    "/api/v1/tokens": {"name": "x", "scopes": ["read"], "expires_at": None},
}  # fmt: skip


@pytest.mark.parametrize("address", BODIES)
def test_odd_values_are_never_a_fault_of_ours(participant: APIClient, paula: User, address: str) -> None:
    client = participant
    if address.endswith("tokens"):
        client = APIClient()
        client.force_login(paula)
    for name in [*BODIES[address], "\ud800", ""]:
        for odd in ODD:
            text = json.dumps({**BODIES[address], name: odd})
            answer = client.generic("POST", address, text.encode(), content_type="application/json")
            assert answer.status_code < 500, (name, odd, answer.content)
            assert answer["Content-Type"] in ("application/json", "application/problem+json")
            answer.json()


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/competitions", "/api/v1/submissions", "/api/v1/tokens", "/api/v1/competitions/small/quota",
        "/api/v1/competitions/small/submissions", "/api/v1/competitions/small/leaderboards/now/main",
    ],
)  # fmt: skip
def test_odd_questions_are_never_a_fault_of_ours(participant: APIClient, address: str) -> None:
    for name in ("after", "limit", "q", "sort", "cols", "phase", "competition", "format", "x"):
        for odd in ("", "\x00", "%", "_", "'", '"', "-", "--rank", "9" * 30, "-1", "1e5", "ä", "\u202e", "a" * 3000):
            answer = participant.get(address, {name: odd})
            assert answer.status_code < 500, (name, odd, answer.content)
