from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from runners.contract import Verdict
from tests.unit.api.api_helpers import accuracy, client_for, problem, submit, to_queue
from tests.unit.api.bundle_maker import predictions_csv, sha256
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.submissions.models import Submission

pytestmark = pytest.mark.django_db
ALL = "/api/v1/submissions"
Score = Callable[..., str]


def test_a_form_with_the_file(participant: APIClient) -> None:
    answer = submit(participant)
    body = answer.json()
    assert answer.status_code == 201, body
    assert answer["Location"].endswith(f"/api/v1/submissions/{body['id']}")
    assert (body["competition"], body["phase"], body["kind"]) == ("small", "now", "predictions")
    assert (body["status"], body["final"], body["attempt"], body["participant"]) == ("received", False, 0, "paula")
    assert body["files"][0]["sha256"] == sha256(predictions_csv().encode())
    assert body["explanation"]["what"]
    assert body["url"].endswith(f"/s/{body['id']}/")
    assert participant.get(f"{ALL}/{body['id']}").json() == body


def test_json_with_an_upload(participant: APIClient) -> None:
    data = predictions_csv().encode()
    request = {"name": "p.csv", "size": len(data), "sha256": sha256(data)}
    upload = participant.post("/api/v1/uploads", request, format="json").json()["id"]
    body = {"competition": "small", "phase": "now", "kind": "predictions", "upload": upload, "message": "first try"}
    problem(participant.post(ALL, body, format="json"), 409, "upload_incomplete")
    participant.put(f"/api/v1/uploads/{upload}/parts/1", data, content_type="application/octet-stream")
    participant.post(f"/api/v1/uploads/{upload}/complete")
    answer = participant.post(ALL, body, format="json")
    assert answer.status_code == 201, answer.content
    assert answer.json()["message"] == "first try"


def test_the_same_key_submits_once(participant: APIClient) -> None:
    first = submit(participant, **{"Idempotency-Key": "job-17"})
    again = submit(participant, **{"Idempotency-Key": "job-17"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Submission.objects.count() == 1
    assert submit(participant, **{"Idempotency-Key": "job-18"}).status_code == 201


@pytest.mark.parametrize("key", ["a b", "x" * 101, "ä"])
def test_keys_that_are_none(participant: APIClient, key: str) -> None:
    assert submit(participant, **{"Idempotency-Key": key}).status_code == 400
    assert Submission.objects.count() == 0


@pytest.mark.parametrize(("phase", "code"), [("past", "phase_closed"), ("later", "phase_not_open")])
def test_outside_the_window(participant: APIClient, phase: str, code: str) -> None:
    problem(submit(participant, phase=phase), 400, code)
    assert Submission.objects.count() == 0


def test_a_phase_that_is_none(participant: APIClient) -> None:
    body = problem(submit(participant, phase="never"), 404, "not_found")
    assert "past, now, later" in body["hint"]


def test_not_joined(stranger: APIClient, small: Competition) -> None:
    problem(submit(stranger), 403, "not_joined")


def test_over_quota_says_when(import_bundle: Callable[..., Competition], paula: User) -> None:
    import_bundle(per_day="1")
    client = client_for(paula)
    client.post("/api/v1/competitions/small/join", {"accept_terms": True}, format="json")
    assert submit(client).status_code == 201
    answer = submit(client)
    body = problem(answer, 429, "over_quota")
    assert body["reset_at"]
    assert 0 < int(answer["Retry-After"]) <= 86400
    left = client.get("/api/v1/competitions/small/quota").json()
    assert (left["used_today"], left["remaining_today"], left["remaining_total"]) == (1, 0, 49)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "model"}, "kind"),
        ({"image": "python:3"}, "artifact"),
        ({"kind": "container", "image": "python:3"}, "kind"),
        ({"file": None}, "artifact"),
    ],
)
def test_one_thing_of_an_accepted_kind(participant: APIClient, change: dict[str, Any], code: str) -> None:
    file = SimpleUploadedFile("p.csv", predictions_csv().encode())
    body = {"competition": "small", "phase": "now", "kind": "predictions", "file": file, **change}
    body = {key: value for key, value in body.items() if value is not None}
    problem(participant.post(ALL, body, format="multipart"), 400, code)


def test_too_large_and_empty_files(participant: APIClient) -> None:
    def send(content: bytes) -> Any:
        file = SimpleUploadedFile("p.csv", content)
        body = {"competition": "small", "phase": "now", "kind": "predictions", "file": file}
        return participant.post(ALL, body, format="multipart")

    problem(send(b"x" * (2**20 + 1)), 413, "too_large")
    problem(send(b""), 400, "empty")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/competition", "/phase", "/kind"]),
        ({"competition": "small", "phase": "now", "kind": "poem"}, ["/kind"]),
        ({"competition": "small", "phase": "now", "kind": "model", "upload": "1"}, ["/upload"]),
        ({"competition": "small", "phase": "now", "kind": "model", "uplaod": "1"}, ["/uplaod"]),
        ({"competition": "a b", "phase": "now", "kind": "model"}, ["/competition"]),
        ({"competition": "small", "phase": "now", "kind": "model", "message": "a\x00b"}, ["/message"]),
    ],
)
def test_faults_are_pointed_at(participant: APIClient, body: dict[str, str], pointers: list[str]) -> None:
    found = problem(participant.post(ALL, body, format="json"), 400, "invalid")
    assert [error["pointer"] for error in found["errors"]] == pointers


def test_submissions_are_ones_own(participant: APIClient, stranger: APIClient, organiser: APIClient) -> None:
    made = submit(participant).json()["id"]
    for path in ("", "/events", "/log", "/results"):
        problem(stranger.get(f"{ALL}/{made}{path}"), 404, "not_found")
        assert organiser.get(f"{ALL}/{made}{path}").status_code == 200
    problem(stranger.post(f"{ALL}/{made}/cancel"), 404, "not_found")
    assert stranger.get(ALL).json()["items"] == []
    assert stranger.get("/api/v1/competitions/small/submissions").json()["items"] == []
    assert [item["id"] for item in participant.get(ALL, {"competition": "small"}).json()["items"]] == [made]
    assert organiser.get(ALL).json()["items"] == []
    everybody = organiser.get("/api/v1/competitions/small/submissions").json()["items"]
    assert [(item["id"], item["participant"]) for item in everybody] == [(made, "paula")]


def test_the_list_comes_in_pages_at_constant_cost(
    participant: APIClient, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    made = [submit(participant).json()["id"] for _ in range(5)]
    seen, after = [], ""
    with django_assert_max_num_queries(12):
        for _ in range(3):
            body = participant.get(ALL, {"limit": 2, "after": after}).json()
            seen += [item["id"] for item in body["items"]]
            after = body["next"]
    assert seen == made[::-1]
    assert after == ""


def test_events_go_on_where_they_were(participant: APIClient, score: Score) -> None:
    made = submit(participant).json()["id"]
    first = participant.get(f"{ALL}/{made}/events").json()
    assert (first["status"], first["final"], [item["sequence"] for item in first["items"]]) == ("received", False, [1])
    nothing = participant.get(f"{ALL}/{made}/events", {"after": first["next_after"]}).json()
    assert (nothing["items"], nothing["next_after"]) == ([], 1)
    assert score(made) == "scored"
    rest = participant.get(f"{ALL}/{made}/events", {"after": 1}).json()
    assert rest["final"] is True
    assert [item["sequence"] for item in rest["items"]] == list(range(2, rest["next_after"] + 1))
    assert rest["items"][-1]["data"]["to"] == "scored"
    problem(participant.get(f"{ALL}/{made}/events", {"after": -1}), 400, "invalid")


def test_the_place_in_the_queue(participant: APIClient) -> None:
    first, second = submit(participant).json()["id"], submit(participant).json()["id"]
    to_queue(first)
    to_queue(second)
    assert participant.get(f"{ALL}/{second}").json()["queue_position"] == 2
    assert participant.get(f"{ALL}/{first}/events").json()["queue_position"] == 1


def test_results_with_intervals_and_the_log(participant: APIClient, score: Score) -> None:
    made = submit(participant).json()["id"]
    before = participant.get(f"{ALL}/{made}/results").json()
    assert (before["final"], before["items"]) == (False, [])
    score(made, 0.75)
    body = participant.get(f"{ALL}/{made}/results").json()
    assert (body["status"], body["feedback"], body["note"]) == ("scored", "full", "")
    item = body["items"][0]
    assert (item["key"], item["value"], item["n"], item["direction"]) == ("performance.accuracy", 0.75, 12, "maximise")
    assert (item["low"], item["high"]) == pytest.approx((0.65, 0.85))
    log = participant.get(f"{ALL}/{made}/log")
    assert (log["Content-Type"], log.content) == ("text/plain; charset=utf-8", b"all went well\n")


@pytest.mark.parametrize(("feedback", "value", "low"), [("rounded", 0.77, None), ("none", None, None)])
def test_feedback_is_what_the_phase_says(
    import_bundle: Callable[..., Competition], paula: User, organiser: APIClient, score: Score,
    feedback: str, value: float | None, low: float | None,
) -> None:  # fmt: skip
    import_bundle(feedback=feedback)
    client = client_for(paula)
    client.post("/api/v1/competitions/small/join", {"accept_terms": True}, format="json")
    made = submit(client).json()["id"]
    score(made, 0.7654321)
    body = client.get(f"{ALL}/{made}/results").json()
    if value is None:
        assert body["items"] == []
        assert "no feedback" in body["note"]
        assert client.get(f"{ALL}/{made}/log").content == b""
    else:
        assert (body["items"][0]["value"], body["items"][0]["low"]) == (value, low)
    assert organiser.get(f"{ALL}/{made}/results").json()["items"][0]["value"] == 0.7654321


def test_undefined_values_are_null_with_a_reason(participant: APIClient, score: Score) -> None:
    made = submit(participant).json()["id"]
    score(made, results=(accuracy(None, state="undefined", reason="one class only"),))
    item = participant.get(f"{ALL}/{made}/results").json()["items"][0]
    assert (item["value"], item["state"], item["reason"]) == (None, "undefined", "one class only")


def test_a_failure_is_explained(participant: APIClient, score: Score) -> None:
    made = submit(participant).json()["id"]
    fault = {
        "verdict": Verdict.INVALID_OUTPUT,
        "code": "missing_ids",
        "message": "3 ids are missing: p01",
        "results": (),
    }
    assert score(made, **fault) == "failed"
    body = participant.get(f"{ALL}/{made}").json()
    assert (body["status"], body["final"], body["verdict"], body["code"]) == (
        "failed",
        True,
        "invalid_output",
        "missing_ids",
    )
    assert body["explanation"]["fault"] == "you"
    assert "3 ids are missing" in body["explanation"]["why"]
    assert body["explanation"]["next"]


def test_cancelling_ends_what_waits_and_changes_nothing_twice(participant: APIClient) -> None:
    made = submit(participant).json()["id"]
    body = participant.post(f"{ALL}/{made}/cancel").json()
    assert (body["status"], body["final"]) == ("cancelled", True)
    assert participant.post(f"{ALL}/{made}/cancel").json()["status"] == "cancelled"
    assert participant.get("/api/v1/competitions/small/quota").json()["used_today"] == 0
