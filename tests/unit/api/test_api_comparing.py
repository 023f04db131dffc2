from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import client_for, evaluate, problem, submit
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.submissions.models import Submission

pytestmark = pytest.mark.django_db
UNKNOWN = "5b0fc0ce-0a31-4bd1-a6a9-0b5d6e0c1a2b"


def compare(client: APIClient, *ids: str) -> Any:
    return client.get("/api/v1/submissions/compare", {"of": ",".join(ids)})


@pytest.fixture
def two(participant: APIClient, score: Callable[..., str]) -> list[str]:
    made = []
    for wrong, value in ((1, 0.5), (2, 0.75)):
        made.append(submit(participant, wrong=wrong).json()["id"])
        score(made[-1], value)
    return made


def test_values_differences_and_intervals(participant: APIClient, two: list[str]) -> None:
    found = compare(participant, *two).json()
    assert [item["id"] for item in found["items"]] == two
    assert found["competition"] == "small"
    (row,) = found["rows"]
    assert (row["key"], row["direction"]) == ("performance.accuracy", "maximise")
    first, second = row["cells"]
    assert (first["value"], first["difference"], first["relation"]) == (0.5, None, None)
    assert (second["value"], second["difference"], second["relation"]) == (0.75, 0.25, "better")
    assert second["overlap"] is False
    turned = compare(participant, *reversed(two)).json()["rows"][0]["cells"][1]
    assert (turned["difference"], turned["relation"]) == (-0.25, "worse")


def test_one_without_results_is_told_as_such(participant: APIClient, two: list[str]) -> None:
    waiting = submit(participant, wrong=3).json()["id"]
    found = compare(participant, two[0], waiting).json()
    assert found["items"][1]["status"] == "received"
    cell = found["rows"][0]["cells"][1]
    assert (cell["value"], cell["state"], cell["difference"]) == (None, "absent", None)


def test_entries_of_others_are_public_and_their_other_submissions_are_not(
    two: list[str], paula: User, anna: User, small: Competition, node: Any
) -> None:
    stranger = client_for(anna)
    stranger.post("/api/v1/competitions/small/join", {"accept_terms": True}, format="json")
    mine = submit(stranger, wrong=4).json()["id"]
    evaluate(node, mine, 0.6)
    Submission.objects.filter(pk=two[1]).update(message="a secret")
    found = compare(stranger, mine, two[1])  # paula's best, which the board shows
    assert found.status_code == 200, found.content
    theirs = found.json()["items"][1]
    assert (theirs["participant"], theirs["message"]) == ("paula", "")
    assert theirs["url"].endswith(f"/c/small/entry/{two[1]}/")
    unseen = submit(client_for(paula), wrong=5).json()["id"]
    said = problem(compare(stranger, mine, unseen), 404, "not_found")["detail"]
    assert said.replace(unseen, UNKNOWN) == problem(compare(stranger, mine, UNKNOWN), 404, "not_found")["detail"]


def test_of_a_private_competition_nothing_is_told(
    two: list[str], organiser: APIClient, small: Competition, anna: User, stranger: APIClient
) -> None:
    Competition.objects.update(visibility="private")
    problem(compare(stranger, *two), 404, "not_found")
    assert compare(organiser, *two).json()["items"][0]["url"].endswith(f"/s/{two[0]}/")


def test_of_several_competitions_nothing_is_compared(
    participant: APIClient, two: list[str], import_bundle: Callable[..., Competition]
) -> None:
    import_bundle(slug="other")
    participant.post("/api/v1/competitions/other/join", {"accept_terms": True}, format="json")
    elsewhere = submit(participant, wrong=1, slug="other").json()["id"]
    problem(compare(participant, two[0], elsewhere), 400, "competitions")


@pytest.mark.parametrize("number", [1, 5])
def test_too_few_and_too_many(participant: APIClient, two: list[str], number: int) -> None:
    problem(compare(participant, *[f"{UNKNOWN[:-1]}{place}" for place in range(number)]), 400, "picks")


@pytest.mark.parametrize("text", ["", "x,y", "-" * 32, "\x00"])
def test_what_are_no_ids(participant: APIClient, text: str) -> None:
    problem(participant.get("/api/v1/submissions/compare", {"of": text}), 400, "invalid")
