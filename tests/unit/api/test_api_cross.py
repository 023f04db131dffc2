"""What every operation does: entity tags, limits and what is left, keys against doing things twice, versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client, RequestFactory, override_settings
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import client_for, problem, submit
from touchstone.accounts.models import User
from touchstone.api.deprecation import Deprecated
from touchstone.api.models import IdempotentAnswer
from touchstone.api.reference import reference
from touchstone.api.tagging import tagged
from touchstone.api.throttles import CallerThrottle
from touchstone.api.views import account
from touchstone.api.views.schema import schema_document
from touchstone.competitions.models import Announcement, Competition

pytestmark = pytest.mark.django_db
NEWS = "/api/v1/competitions/small/announcements"
HELLO = {"title": "Hello", "markdown": "There."}


def test_unchanged_json_is_answered_304(participant: APIClient, organiser: APIClient) -> None:
    made = submit(participant).json()["id"]
    for address in ("/api/v1/competitions", "/api/v1/competitions/small", f"/api/v1/submissions/{made}/results", NEWS):
        first = participant.get(address)
        assert first.status_code == 200, address
        again = participant.get(address, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"]), address
        assert again["Vary"] == "Authorization, Cookie"
    tag = participant.get(NEWS)["ETag"]
    organiser.post(NEWS, HELLO, format="json")
    assert participant.get(NEWS, headers={"If-None-Match": tag}).status_code == 200


def test_what_cannot_match_is_a_problem_and_who_waits_is_told_again(participant: APIClient) -> None:
    made = submit(participant).json()["id"]
    body = problem(participant.get("/api/v1/competitions", headers={"If-Match": '"x"'}), 412, "precondition_failed")
    assert "If-None-Match" in body["hint"]
    request = Request(RequestFactory().get("/x"))
    waiting = Response({"id": made}, headers={"Retry-After": "2"})
    waiting.accepted_renderer, waiting.accepted_media_type, waiting.renderer_context = JSONRenderer(), "a/b", {}
    tag = tagged(request, waiting)["ETag"]
    again = tagged(Request(RequestFactory().get("/x", headers={"If-None-Match": tag})), waiting)
    assert (again.status_code, again["Retry-After"]) == (304, "2")


def test_each_answer_says_what_is_left(paula: User) -> None:
    with override_settings(TOUCHSTONE_API_RATES={"caller": "3/min", "address": "9/hour"}):
        client = client_for(paula)
        answers = [client.get("/api/v1/me") for _ in range(4)]
    assert answers[0]["RateLimit-Policy"] == '"address";q=9;w=3600, "caller";q=3;w=60'
    left = [answer["RateLimit"].split(", ")[1].split(";")[:2] for answer in answers]
    assert left == [['"caller"', f"r={n}"] for n in (2, 1, 0, 0)]
    problem(answers[3], 429, "throttled")
    assert 1 <= int(answers[3]["Retry-After"]) <= 60


def test_what_is_costly_is_limited_by_itself(organiser: APIClient, small: Competition) -> None:
    with override_settings(TOUCHSTONE_API_RATES={"costly": "1/min"}):
        address = "/api/v1/competitions/small/export"
        first = organiser.get(address)
        assert first.status_code == 200
        b"".join(first.streaming_content)
        problem(organiser.get(address), 429, "throttled")
        assert organiser.get("/api/v1/competitions/small").status_code == 200
        assert organiser.get("/api/v1/competitions/small/check").status_code == 200


def test_processes_count_together(paula: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each throttle is made anew for each request and holds nothing: all is in the cache."""
    with override_settings(TOUCHSTONE_API_RATES={"caller": "2/min"}):
        codes = [client_for(paula).get("/api/v1/me").status_code for _ in range(2)]
        assert codes == [200, 200]  # two tokens: each has its own count
        assert vars(CallerThrottle()) == {"_wait": None}


def test_the_same_key_announces_once(organiser: APIClient, small: Competition) -> None:
    first, again = (organiser.post(NEWS, HELLO, format="json", headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Announcement.objects.count() == 1
    other = organiser.post(NEWS, {**HELLO, "title": "Else"}, format="json", headers={"Idempotency-Key": "k1"})
    problem(other, 409, "key_reused")
    problem(organiser.post(NEWS, HELLO, format="json", headers={"Idempotency-Key": "a b"}), 400, "invalid")


def test_a_key_of_a_request_that_failed_can_be_used_again(organiser: APIClient, small: Competition) -> None:
    headers = {"Idempotency-Key": "k2"}
    assert organiser.post(NEWS, {**HELLO, "participant": "nobody"}, format="json", headers=headers).status_code == 404
    assert not IdempotentAnswer.objects.exists()
    assert organiser.post(NEWS, HELLO, format="json", headers=headers).status_code == 201


def test_two_at_once_with_one_key(organiser: APIClient, olga: User, small: Competition) -> None:
    organiser.post(NEWS, HELLO, format="json", headers={"Idempotency-Key": "k3"})
    IdempotentAnswer.objects.update(status=0)  # as while the first is at it
    again = organiser.post(NEWS, HELLO, format="json", headers={"Idempotency-Key": "k3"})
    problem(again, 409, "key_in_use")
    assert again["Retry-After"] == "2"


def test_who_waits_is_told_when_to_ask_again(participant: APIClient, score: Any) -> None:
    made = submit(participant).json()["id"]
    for part in ("", "/events"):
        assert participant.get(f"/api/v1/submissions/{made}{part}")["Retry-After"] == "2"
    score(made)
    for part in ("", "/events"):
        assert "Retry-After" not in participant.get(f"/api/v1/submissions/{made}{part}")


@pytest.mark.parametrize("address", ["/api/", "/api/v9/", "/api/v9/me", "/api/v1", "/api/v10/x%0Ay"])
def test_a_version_that_there_is_not(anyone: APIClient, address: str) -> None:
    for method in ("get", "post"):
        body = problem(getattr(anyone, method)(address), 404, "no_such_version")
        assert "/api/v1/" in body["hint"]


def test_a_line_break_in_an_address_is_answered_as_a_problem(anyone: APIClient) -> None:
    problem(anyone.get("/api/v1/competitions/a%0Ab"), 404, "not_found")


def test_a_host_that_is_not_ours_is_answered_as_a_problem(anyone: APIClient) -> None:
    answer = anyone.get("/api/v1/me", headers={"Host": "elsewhere.example.org"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


def test_a_fault_outside_every_view_is_answered_as_a_problem() -> None:
    def broken(request: Any) -> Any:
        raise RuntimeError("swordfish")

    client = Client(raise_request_exception=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("touchstone.core.middleware._length", broken)
        answer, page = client.get("/api/v1/me"), client.get("/account/")
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal_error"
    assert "swordfish" not in answer.content.decode()
    assert page["Content-Type"].startswith("text/html")


def test_what_will_go_says_so(paula: User, monkeypatch: pytest.MonkeyPatch) -> None:
    end = Deprecated(datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC), "https://example.org/why")
    monkeypatch.setattr(account.Me, "deprecated", {"GET": end})
    answer = client_for(paula).get("/api/v1/me")
    assert answer["Deprecation"] == "@1893456000"
    assert answer["Sunset"] == "Wed, 01 Jan 2031 00:00:00 GMT"
    assert answer["Link"] == '<https://example.org/why>; rel="deprecation"'
    schema_document.cache_clear()
    assert schema_document()["paths"]["/api/v1/me"]["get"]["deprecated"] is True
    monkeypatch.undo()
    schema_document.cache_clear()
    assert "deprecated" not in schema_document()["paths"]["/api/v1/me"]["get"]


@pytest.fixture
def shown(client: Client) -> str:
    answer = client.get("/api/v1/docs")
    assert answer.status_code == 200
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    return answer.content.decode()


def test_the_reference_shows_every_operation_with_a_command(shown: str) -> None:
    described = {one["operationId"] for methods in schema_document()["paths"].values() for one in methods.values()}
    assert {one.id for section in reference() for one in section.operations} == described
    for name in described:
        assert f'id="{name}"' in shown
    assert shown.count("curl -sS") == len(described)
    assert "style=" not in shown


def test_every_page_leads_to_the_reference(client: Client) -> None:
    assert 'href="/api/v1/docs"' in client.get("/").content.decode()
