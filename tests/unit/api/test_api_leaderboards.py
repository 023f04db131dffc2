from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from runners.contract import Verdict
from tests.unit.api.api_helpers import client_for, make_user, problem, submit
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition

pytestmark = pytest.mark.django_db
BOARD = "/api/v1/competitions/small/leaderboards/now/main"
Score = Callable[..., str]


def _entrant(name: str, value: float, score: Score, *, display_name: str = "") -> APIClient:
    client = client_for(make_user(name))
    client.post(
        "/api/v1/competitions/small/join", {"accept_terms": True, "display_name": display_name or name}, format="json"
    )
    score(submit(client).json()["id"], value)
    return client


def test_rows_with_intervals_in_order(anyone: APIClient, participant: APIClient, score: Score) -> None:
    _entrant("ben", 0.9, score)
    _entrant("cleo", 0.5, score)
    score(submit(participant).json()["id"], 0.5)
    body = anyone.get(BOARD).json()
    assert (body["competition"], body["phase"], body["slug"], body["title"]) == ("small", "now", "main", "Main")
    assert (body["total"], body["next"], body["hidden"], body["blunt"]) == (3, "", "", False)
    assert body["columns"][0]["key"] == "performance.accuracy"
    assert body["columns"][0]["is_ranking"] is True
    rows = [(row["rank"], row["tied"], row["participant"]) for row in body["rows"]]
    assert rows == [(1, False, "ben"), (2, True, "cleo"), (2, True, "paula")]
    cell = body["rows"][0]["scores"]["performance.accuracy"]
    assert (cell["text"], cell["value"], cell["low"], cell["high"], cell["state"]) == ("0.900", 0.9, 0.8, 1.0, "ok")
    assert body["url"].endswith("/c/small/leaderboard/now/main/")


def test_numbers_have_all_their_digits(anyone: APIClient, small: Competition, score: Score) -> None:
    _entrant("ben", 1 / 3, score)

    cell = anyone.get(BOARD).json()["rows"][0]["scores"]["performance.accuracy"]

    assert cell == {
        "text": "0.333", "value": 1 / 3, "low": 1 / 3 - 0.1, "high": 1 / 3 + 0.1, "n": 12, "state": "ok", "reason": "",
        "verdict": "", "doubts": [],
    }  # fmt: skip
    row = next(csv.DictReader(io.StringIO(b"".join(anyone.get(BOARD, {"format": "csv"})).decode())))
    shown = [float(row[f"performance.accuracy{end}"]) for end in ("", ".low", ".high", ".n")]
    assert shown == [1 / 3, 1 / 3 - 0.1, 1 / 3 + 0.1, 12]


def test_ones_own_row_is_marked(anyone: APIClient, participant: APIClient, score: Score) -> None:
    made = submit(participant).json()["id"]
    score(made)
    assert anyone.get(BOARD).json()["rows"][0]["submission"] == ""
    row = participant.get(BOARD).json()["rows"][0]
    assert (row["is_you"], row["submission"]) == (True, made)


def test_an_unchanged_board_costs_a_row(
    anyone: APIClient, participant: APIClient, score: Score, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    score(submit(participant).json()["id"], 0.5)
    answer = anyone.get(BOARD)
    with django_assert_max_num_queries(2):
        again = anyone.get(BOARD, headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == answer["ETag"]
    assert anyone.get(BOARD, {"limit": 5}, headers={"If-None-Match": answer["ETag"]}).status_code == 200
    assert participant.get(BOARD, headers={"If-None-Match": answer["ETag"]}).status_code == 200
    score(submit(participant).json()["id"], 0.6)
    assert anyone.get(BOARD, headers={"If-None-Match": answer["ETag"]}).status_code == 200


def test_pages_and_sorting(anyone: APIClient, small: Competition, score: Score) -> None:
    for index, name in enumerate(("ann", "bob", "cid", "dan", "eve")):
        _entrant(name, 0.5 + index / 10, score)
    seen, after = [], ""
    for _ in range(3):
        body = anyone.get(BOARD, {"limit": 2, "after": after}).json()
        seen += [row["participant"] for row in body["rows"]]
        after = body["next"]
    assert seen == ["eve", "dan", "cid", "bob", "ann"]
    assert after == ""
    by_name = anyone.get(BOARD, {"sort": "participant"}).json()["rows"]
    assert [row["participant"] for row in by_name] == ["ann", "bob", "cid", "dan", "eve"]
    found = anyone.get(BOARD, {"q": "BO"}).json()
    assert [(row["participant"], row["rank"]) for row in found["rows"]] == [("bob", 4)]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"sort": "colour"}, "sort"),
        ({"cols": "colour"}, "cols"),
        ({"after": "x"}, "cursor"),
        ({"limit": "0"}, "invalid"),
        ({"limit": "201"}, "invalid"),
        ({"format": "xml"}, "invalid"),
        ({"page": "2"}, "invalid"),
        ({"q": "a\x00b"}, "invalid"),
    ],
)
def test_questions_that_are_none(anyone: APIClient, small: Competition, query: dict[str, str], code: str) -> None:
    problem(anyone.get(BOARD, query), 400, code)


def test_csv_holds_everything_raw(anyone: APIClient, small: Competition, score: Score) -> None:
    _entrant("ben", 0.123456789, score)
    _entrant("eva", 0.9, score, display_name='=HYPERLINK("x")')
    answer = anyone.get(BOARD, {"format": "csv"})
    assert answer.streaming
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="small-now-main.csv"'
    text = b"".join(answer).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert rows[0]["participant"] == '\'=HYPERLINK("x")'
    assert float(rows[1]["performance.accuracy"]) == 0.123456789
    assert float(rows[1]["performance.accuracy.low"]) == pytest.approx(0.023456789)
    assert anyone.get(BOARD, {"format": "csv"}, headers={"If-None-Match": answer["ETag"]}).status_code == 304


def test_an_empty_board_is_a_header(anyone: APIClient, small: Competition) -> None:
    text = b"".join(anyone.get(BOARD, {"format": "csv"})).decode()
    assert text.startswith("rank,participant")
    assert anyone.get(BOARD).json()["rows"] == []


def test_a_failed_run_is_not_on_the_board(anyone: APIClient, participant: APIClient, score: Score) -> None:
    score(submit(participant).json()["id"], verdict=Verdict.CRASH, results=(), message="It fell over.")
    assert anyone.get(BOARD).json()["total"] == 0


def test_a_phase_without_feedback_shows_no_board(
    import_bundle: Callable[..., Competition], paula: User, anyone: APIClient, organiser: APIClient, score: Score
) -> None:
    import_bundle(feedback="none")
    client = client_for(paula)
    client.post("/api/v1/competitions/small/join", {"accept_terms": True}, format="json")
    score(submit(client).json()["id"], 0.7)
    body = client.get(BOARD).json()
    assert (body["rows"], body["total"]) == ([], 0)
    assert "no feedback" in body["hidden"]
    problem(anyone.get(BOARD, {"format": "csv"}), 403, "board_hidden")
    assert organiser.get(BOARD).json()["total"] == 1


def test_a_board_that_is_none_lists_those_there_are(anyone: APIClient, small: Competition) -> None:
    body = problem(anyone.get("/api/v1/competitions/small/leaderboards/now/other"), 404, "not_found")
    assert "now/main" in body["hint"]
