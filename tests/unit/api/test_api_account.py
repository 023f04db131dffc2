from __future__ import annotations

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import client_for, problem, token_for
from touchstone.accounts.models import ApiToken, User
from touchstone.core.clock import now

pytestmark = pytest.mark.django_db


def test_me(paula: User) -> None:
    assert client_for(paula, "read").get("/api/v1/me").json() == {
        "username": "paula",
        "email": "paula@example.org",
        "scopes": ["read"],
        "token": "test",
        "token_expires_at": None,
    }


def test_me_of_a_browser(paula: User) -> None:
    client = APIClient()
    client.force_login(paula)
    assert client.get("/api/v1/me").json()["scopes"] == ["read", "submit", "organise"]


def test_any_token_may_ask_whose_it_is_but_not_for_the_address(paula: User) -> None:
    found = client_for(paula, "submit").get("/api/v1/me").json()
    assert (found["username"], found["email"]) == ("paula", "")


def test_nobody_is_told_how_to_sign_in(anyone: APIClient) -> None:
    answer = anyone.get("/api/v1/me")
    body = problem(answer, 401, "not_signed_in")
    assert "Bearer" in body["hint"]
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer ts_0123456789abcdef_" + "x" * 43, "bad_token"),
        ("Bearer nonsense", "bad_token"),
        ("Bearer", "bad_authorization"),
        ("Basic dTpw", "bad_authorization"),
    ],
)
def test_wrong_tokens(anyone: APIClient, header: str, code: str) -> None:
    for address in ("/api/v1/me", "/api/v1/competitions"):  # wrong is wrong, even where none is needed
        problem(anyone.get(address, headers={"Authorization": header}), 401, code)


@pytest.mark.parametrize("change", [{"revoked_at": now()}, {"expires_at": now() - timedelta(seconds=1)}])
def test_dead_tokens(paula: User, change: dict[str, object]) -> None:
    client = client_for(paula)
    ApiToken.objects.update(**change)
    problem(client.get("/api/v1/me"), 401, "bad_token")


def test_a_token_of_somebody_who_is_gone(paula: User) -> None:
    client = client_for(paula)
    User.objects.update(is_active=False)
    problem(client.get("/api/v1/me"), 401, "bad_token")


@pytest.mark.parametrize(
    ("method", "address", "scope"),
    [
        ("get", "/api/v1/tokens", "read"),
        ("get", "/api/v1/submissions", "read"),
        ("post", "/api/v1/submissions", "submit"),
        ("post", "/api/v1/uploads", "submit"),
        ("put", "/api/v1/uploads/5b0fc0ce-0a31-4bd1-a6a9-0b5d6e0c1a2b/parts/1", "submit"),
        ("post", "/api/v1/uploads/5b0fc0ce-0a31-4bd1-a6a9-0b5d6e0c1a2b/complete", "submit"),
        ("get", "/api/v1/submissions/5b0fc0ce-0a31-4bd1-a6a9-0b5d6e0c1a2b/results", "read"),
        ("get", "/api/v1/submissions/5b0fc0ce-0a31-4bd1-a6a9-0b5d6e0c1a2b/log", "read"),
        ("post", "/api/v1/submissions/5b0fc0ce-0a31-4bd1-a6a9-0b5d6e0c1a2b/cancel", "submit"),
        ("post", "/api/v1/competitions", "organise"),
        ("post", "/api/v1/competitions/small/join", "submit"),
        ("get", "/api/v1/competitions/small/quota", "read"),
    ],
)
def test_each_operation_asks_for_its_scope(paula: User, method: str, address: str, scope: str) -> None:
    others = [name for name in ("read", "submit", "organise") if name != scope]
    body = problem(getattr(client_for(paula, *others), method)(address), 403, "scope_missing")
    assert repr(scope) in body["detail"]
    assert getattr(client_for(paula, scope), method)(address).status_code not in (401, 403)
    problem(getattr(client_for(None), method)(address), 401, "not_signed_in")


def test_a_browser_makes_tokens_and_the_secret_is_told_once(paula: User) -> None:
    client = APIClient()
    client.force_login(paula)
    answer = client.post("/api/v1/tokens", {"name": "ci", "scopes": ["submit", "read"]}, format="json")
    assert answer.status_code == 201
    made = answer.json()
    assert made["scopes"] == ["read", "submit"]
    listed = client.get("/api/v1/tokens").json()["items"]
    assert [item["public"] for item in listed] == [made["public"]]
    assert made["secret"] not in str(listed)
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {made['secret']}")
    assert api.get("/api/v1/me").json()["token"] == "ci"


def test_a_browser_needs_csrf(paula: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(paula)
    problem(client.post("/api/v1/tokens", {"name": "ci", "scopes": ["read"]}, format="json"), 403, "csrf")


def test_a_token_makes_no_tokens(paula: User) -> None:
    body = {"name": "ci", "scopes": ["read"]}
    problem(client_for(paula).post("/api/v1/tokens", body, format="json"), 403, "session_needed")
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scopes": ["read"]}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["all"]}, "/scopes"),
        ({"name": "x", "scopes": ["read"], "scope": 1}, "/scope"),
        ({"name": "x", "scopes": ["read"], "expires_at": "soon"}, "/expires_at"),
        ({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ],
)
def test_faults_of_a_new_token_are_pointed_at(paula: User, body: dict[str, object], pointer: str) -> None:
    client = APIClient()
    client.force_login(paula)
    found = problem(client.post("/api/v1/tokens", body, format="json"), 400, "invalid")
    assert pointer in {error["pointer"] for error in found["errors"]}


def test_a_token_revokes_itself_and_no_other(paula: User, anna: User) -> None:
    first, second = client_for(paula), client_for(paula)
    older, newer = ApiToken.objects.filter(user=paula).order_by("created_at")
    problem(first.delete(f"/api/v1/tokens/{newer.public}"), 403, "session_needed")
    problem(client_for(anna).delete(f"/api/v1/tokens/{newer.public}"), 404, "not_found")
    assert first.delete(f"/api/v1/tokens/{older.public}").status_code == 204
    problem(first.get("/api/v1/me"), 401, "bad_token")
    assert second.get("/api/v1/me").status_code == 200


def test_secrets_are_nowhere_in_the_database(paula: User) -> None:
    raw = token_for(paula)
    row = ApiToken.objects.get()
    assert raw.rsplit("_", 1)[1] not in f"{row.digest} {row.public} {row.name}"
