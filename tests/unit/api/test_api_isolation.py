"""What belongs to one competition or one person is not reached from another, by any address or tag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import client_for, problem, submit
from tests.unit.api.bundle_maker import predictions_csv
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.competitions.services import participation_invite
from touchstone.evaluations.models import Run
from touchstone.evaluations.services import run_check
from touchstone.submissions.models import Submission

pytestmark = pytest.mark.django_db
Import = Callable[..., Competition]
Score = Callable[..., str]

ADDRESSES = [
    "competitions/secret", "competitions/secret/data/train/labels.csv", "competitions/secret/starting-kit",
    "competitions/secret/quota", "competitions/secret/submissions", "competitions/secret/leaderboards/now/main",
    "competitions/secret/leaderboards/now/main?format=csv", "submissions?competition=secret",
]  # fmt: skip


@pytest.fixture
def member(import_bundle: Import, olga: User, paula: User) -> APIClient:
    """Paula, who was invited to the private competition `secret`."""
    secret = import_bundle(slug="secret", visibility="private")
    participation_invite(competition=secret, user=paula, by=olga)
    return client_for(paula)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_private_competition_is_nowhere_for_strangers(
    member: APIClient, stranger: APIClient, anyone: APIClient, score: Score, address: str
) -> None:
    score(submit(member, slug="secret").json()["id"])
    seen = member.get(f"/api/v1/{address}")
    assert seen.status_code == 200
    if seen.streaming:
        b"".join(seen)  # the file is closed at its end
    tags = {"If-None-Match": seen["ETag"]} if "ETag" in seen else {}

    answer = problem(stranger.get(f"/api/v1/{address}", headers=tags), 404, "not_found")

    assert "Secret" not in str(answer)
    assert anyone.get(f"/api/v1/{address}", headers=tags).status_code in (401, 404)


def test_it_is_not_found_listed_joined_or_submitted_to(member: APIClient, stranger: APIClient) -> None:
    for query in ({}, {"q": "secret"}):
        body = stranger.get("/api/v1/competitions", query).json()
        assert body["items"] == []
        assert [item["slug"] for item in member.get("/api/v1/competitions", query).json()["items"]] == ["secret"]
    join = stranger.post("/api/v1/competitions/secret/join", {"accept_terms": True}, format="json")
    problem(join, 404, "not_found")
    problem(submit(stranger, slug="secret"), 404, "not_found")


def test_a_phase_is_looked_for_in_its_own_competition_only(
    participant: APIClient, import_bundle: Import, paula: User, olga: User
) -> None:
    other = import_bundle(slug="other")
    other.phases.filter(slug="past").update(slug="elsewhere")
    participation_invite(competition=other, user=paula, by=olga)

    problem(submit(participant, phase="elsewhere"), 404, "not_found")

    assert submit(participant, slug="other", phase="elsewhere").json()["code"] == "phase_closed"
    assert not Submission.objects.exists()
    board = "/api/v1/competitions/small/leaderboards/elsewhere/main"
    problem(participant.get(board), 404, "not_found")


def test_secret_ids_are_not_told(participant: APIClient) -> None:
    """Whoever guesses ids learns nothing from what the check says, wherever it says it."""
    told = set()
    for guess in ("p01", "nobody", "p02,no\np03"):
        file = SimpleUploadedFile("p.csv", f"id,prediction\n{guess},no\n".encode())
        body = {"competition": "small", "phase": "now", "kind": "predictions", "file": file}
        made = participant.post("/api/v1/submissions", body, format="multipart").json()["id"]
        run_check(run_id=Run.objects.get(submission_id=made).pk)
        seen: dict[str, Any] = participant.get(f"/api/v1/submissions/{made}").json()
        events = participant.get(f"/api/v1/submissions/{made}/events").json()["items"]
        told.add((seen["code"], *seen["explanation"].values(), *(event["message"] for event in events)))

    assert len(told) == 1
    assert predictions_csv().splitlines()[1].split(",")[0] not in str(told)
