"""Pages of a board: order, ranks, cursors, what is hidden, and a constant number of queries."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories.server import (
    at,
    board_of,
    competition_make,
    participation_make,
    run_make,
    submission_make,
    user_make,
)
from touchstone.core.errors import NotFound, UserError
from touchstone.evaluations.models import Result, RunStatus
from touchstone.leaderboards.models import LeaderboardEntry
from touchstone.leaderboards.selectors import leaderboard_export_rows, leaderboard_get, leaderboard_page
from touchstone.leaderboards.services import entry_hide

pytestmark = pytest.mark.django_db

ACC, LOSS = "performance.accuracy", "performance.log_loss"


def score(value, low=None, high=None, reason=""):
    state = "ok" if value is not None else "undefined"
    return {"value": value, "low": low, "high": high, "n": 40, "state": state, "reason": reason}


def fill(competition, values, *, losses=None, names=None) -> None:
    """One entry for each value; None is an unranked one."""
    board = board_of(competition)
    for i, value in enumerate(values):
        name = names[i] if names else f"team {i:03d}"
        team = participation_make(competition, display_name=name)
        run = run_make(submission_make(team, files=[]), RunStatus.SCORED)
        loss = losses[i] if losses else 1.0 + i
        LeaderboardEntry.objects.create(
            leaderboard=board, participation=team, run=run, sort_key=value,
            achieved_at=at("2026-01-01T00:00") + timedelta(minutes=i),
            unranked="" if value is not None else f"{ACC}: undefined", n_submissions=i + 1,
            scores={ACC: score(value, 0.1, 0.9), LOSS: score(loss)},
        )  # fmt: skip
    if values:
        Result.objects.create(
            run=run,
            position=0,
            key=LOSS,
            metric=LOSS,
            title="Log loss",
            unit="nat",
            direction="minimise",
            state="ok",
            value=1,
        )


def pages(board, **options):
    """All rows, page by page."""
    rows, after = [], ""
    while True:
        page = leaderboard_page(leaderboard=board, user=None, after=after, **options)
        rows += page.rows
        after = page.next
        if not after:
            return rows


def test_order_ranks_ties_and_unranked_last() -> None:
    competition = competition_make()
    fill(competition, [0.5, 0.9, None, 0.7, 0.7, None, 0.7])

    page = leaderboard_page(leaderboard=board_of(competition), user=None)

    assert [(row["rank"], row["participant"]) for row in page.rows] == [
        ("1", "team 001"), ("=2", "team 003"), ("=2", "team 004"), ("=2", "team 006"), ("5", "team 000"),
        ("–", "team 002"), ("–", "team 005"),
    ]  # fmt: skip
    assert page.rows[-1]["unranked"] == f"{ACC}: undefined"
    assert (page.total, page.next, page.hidden) == (7, "", "")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("sort", ["", "-rank", LOSS, f"-{LOSS}", "participant", "-submissions", "submitted"])
def test_pages_put_together_are_the_whole(limit, sort) -> None:
    competition = competition_make()
    fill(competition, [0.5, 0.9, None, 0.7, 0.7, None, 0.7, 0.9, 0.1], losses=[3, 3, 1, 2, 2, 9, 9, 5, 5])
    board = board_of(competition)
    whole = leaderboard_page(leaderboard=board, user=None, sort=sort, limit=200).rows

    assert pages(board, sort=sort, limit=limit) == whole
    assert {row["participant"]: row["rank"] for row in whole} == {
        "team 001": "=1", "team 007": "=1", "team 003": "=3", "team 004": "=3", "team 006": "=3", "team 000": "6",
        "team 008": "7", "team 002": "–", "team 005": "–",
    }  # fmt: skip


def test_sorting_by_another_result() -> None:
    competition = competition_make()
    fill(competition, [0.1, 0.2, 0.3, 0.4], losses=[30.0, 4.0, None, 100.0])
    board = board_of(competition)

    rising = [row["participant"] for row in pages(board, sort=LOSS)]
    falling = [row["participant"] for row in pages(board, sort=f"-{LOSS}")]

    assert rising == ["team 001", "team 000", "team 003", "team 002"]  # as numbers, and none last
    assert falling == ["team 003", "team 000", "team 001", "team 002"]


def test_search_keeps_the_true_rank() -> None:
    competition = competition_make()
    fill(competition, [0.9, 0.8, 0.7, 0.6], names=["Anna", "Bert", "Hanna", "Carl"])

    page = leaderboard_page(leaderboard=board_of(competition), user=None, q="ANNA")

    assert [(row["rank"], row["participant"]) for row in page.rows] == [("1", "Anna"), ("3", "Hanna")]
    assert page.total == 2


def test_cells_are_formatted() -> None:
    competition = competition_make()
    fill(competition, [0.8125], losses=[-12.3456])

    page = leaderboard_page(leaderboard=board_of(competition), user=None)

    assert [(c.key, c.title, c.unit, c.direction, c.is_ranking) for c in page.columns] == [
        (ACC, "Accuracy", "", "maximise", True), (LOSS, "Log loss", "nat", "minimise", False)
    ]  # fmt: skip
    accuracy, loss = page.rows[0]["cells"]
    assert (accuracy["text"], accuracy["low_text"], accuracy["high_text"]) == ("0.812", "0.100", "0.900")
    assert (loss["text"], loss["low_text"]) == ("−12.35", "")


def test_cells_have_the_raw_numbers_too() -> None:
    competition = competition_make()
    fill(competition, [1 / 3], losses=[-12.3456789])
    LeaderboardEntry.objects.update(scores={ACC: score(1 / 3, 1 / 7, 6 / 7), LOSS: score(-12.3456789)})

    accuracy, loss = leaderboard_page(leaderboard=board_of(competition), user=None).rows[0]["cells"]

    assert [accuracy[name] for name in ("value", "low", "high", "n")] == [1 / 3, 1 / 7, 6 / 7, 40]
    assert [loss[name] for name in ("value", "low", "high", "n")] == [-12.3456789, None, None, 40]


def test_a_result_that_a_run_has_not_is_missing() -> None:
    competition = competition_make()
    fill(competition, [0.5])
    LeaderboardEntry.objects.update(scores={ACC: score(0.5)})
    board = board_of(competition)

    cell = leaderboard_page(leaderboard=board, user=None).rows[0]["cells"][1]

    assert (cell["text"], cell["value"], cell["n"], cell["state"]) == ("–", None, None, "missing")


def test_chosen_columns() -> None:
    competition = competition_make()
    fill(competition, [0.5])

    page = leaderboard_page(leaderboard=board_of(competition), user=None, cols=LOSS)

    assert [column.key for column in page.columns] == [LOSS]
    assert page.available == [ACC, LOSS]


@pytest.mark.parametrize(
    "options",
    [
        {"sort": "nonsense"},
        {"cols": "nonsense"},
        {"after": "nonsense"},
        {"after": "W10"},
        {"after": "WzFlOTk5LCAiIiwgIiJd"},
    ],
)
def test_bad_options_are_told(options) -> None:
    competition = competition_make()
    fill(competition, [0.5])

    with pytest.raises(UserError):
        leaderboard_page(leaderboard=board_of(competition), user=None, **options)


def test_own_row_is_marked_and_links_to_its_submission() -> None:
    competition = competition_make()
    fill(competition, [0.5, 0.4])
    entry = LeaderboardEntry.objects.select_related("participation__user", "run").get(sort_key=0.4)

    rows = leaderboard_page(leaderboard=board_of(competition), user=entry.participation.user).rows

    assert [(row["is_you"], row["submission"]) for row in rows] == [(False, ""), (True, str(entry.run.submission_id))]


def phases(feedback: str, closes: str | None = None):
    return {
        "phases": [
            {"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "closes": closes, "feedback": feedback}
        ]
    }


def test_no_feedback_hides_the_board_until_the_phase_is_over() -> None:
    running, over = (
        competition_make(**phases("none", "2099-01-01T00:00Z")),
        competition_make(**phases("none", "2021-01-01T00:00Z")),
    )
    for competition in (running, over):
        fill(competition, [0.5])

    hidden = leaderboard_page(leaderboard=board_of(running), user=user_make())

    assert (hidden.rows, hidden.total, hidden.columns) == ([], 0, [])
    assert "2099-01-01" in hidden.hidden
    assert list(leaderboard_export_rows(leaderboard=board_of(running), user=None)) == []
    assert len(leaderboard_page(leaderboard=board_of(running), user=running.owner).rows) == 1
    assert len(leaderboard_page(leaderboard=board_of(over), user=None).rows) == 1


def test_rounded_feedback_is_blunt_everywhere() -> None:
    competition = competition_make(**phases("rounded"))
    fill(competition, [0.8149, None])
    LeaderboardEntry.objects.filter(sort_key=None).update(unranked=f"gate {ACC} >= 0.9: 0.8149")
    board = board_of(competition)

    page = leaderboard_page(leaderboard=board, user=None)
    cell = page.rows[0]["cells"][0]
    export = list(leaderboard_export_rows(leaderboard=board, user=None))

    assert (cell["text"], cell["value"], cell["low"], cell["high"]) == ("0.81", 0.81, None, None)
    assert (cell["low_text"], cell["high_text"]) == ("", "")
    assert page.blunt
    assert (export[0][ACC], export[0][f"{ACC}.low"]) == (0.81, None)
    assert "8149" not in repr(page.rows) + repr(export)
    assert leaderboard_page(leaderboard=board, user=competition.owner).rows[0]["cells"][0]["text"] == "0.815"


def test_hidden_entries_are_nowhere() -> None:
    competition = competition_make()
    fill(competition, [0.9, 0.5])
    board = board_of(competition)
    entry_hide(entry=LeaderboardEntry.objects.get(sort_key=0.9), hidden=True)

    page = leaderboard_page(leaderboard=board, user=None)

    assert [(row["rank"], row["participant"]) for row in page.rows] == [("1", "team 001")]
    assert page.total == 1


def test_export() -> None:
    competition = competition_make()
    fill(competition, [0.5, None, 0.5])

    rows = list(leaderboard_export_rows(leaderboard=board_of(competition), user=None))

    assert [(r["rank"], r["participant"], r[ACC], r[f"{ACC}.low"]) for r in rows] == [
        (1, "team 000", 0.5, 0.1), (1, "team 002", 0.5, 0.1), (None, "team 001", None, 0.1)
    ]  # fmt: skip
    assert len({tuple(row) for row in rows}) == 1


def test_export_has_every_digit_and_every_key_in_the_board_s_order() -> None:
    competition = competition_make()
    fill(competition, [0.2, 1 / 3])
    LeaderboardEntry.objects.filter(sort_key=0.2).update(
        scores={"z.extra": score(2.0), ACC: score(0.2), "a": score(1.0)}
    )
    LeaderboardEntry.objects.filter(sort_key=1 / 3).update(scores={LOSS: score(0.7), ACC: score(1 / 3, 1 / 7, 6 / 7)})

    rows = list(leaderboard_export_rows(leaderboard=board_of(competition), user=None))

    assert [key for key in rows[0] if f"{key}.n" in rows[0]] == [ACC, LOSS, "a", "z.extra"]
    assert [rows[0][f"{ACC}{end}"] for end in ("", ".low", ".high", ".n")] == [1 / 3, 1 / 7, 6 / 7, 40]
    assert (rows[1][LOSS], rows[1][f"{LOSS}.state"]) == (None, "missing")


def test_export_is_read_as_it_is_asked_for(monkeypatch) -> None:
    monkeypatch.setattr("touchstone.leaderboards.selectors._CHUNK", 2)
    competition = competition_make()
    fill(competition, [0.9, 0.8, 0.8, 0.7, 0.6, None])
    made = []
    monkeypatch.setattr(LeaderboardEntry, "from_db", counted(LeaderboardEntry.from_db, made))

    rows = leaderboard_export_rows(leaderboard=board_of(competition), user=None)
    first = next(rows)

    assert (first["rank"], len(made)) == (1, 1)
    assert [row["rank"] for row in rows] == [2, 2, 4, 5, None]


def counted(function, calls: list):
    def call(*args):
        calls.append(args)
        return function(*args)

    return call


def test_a_rounding_board_gives_no_exact_number_away_in_its_cursor() -> None:
    competition = competition_make(**phases("rounded"))
    fill(competition, [0.81493, 0.81492, 0.5, None])
    board = board_of(competition)

    page = leaderboard_page(leaderboard=board, user=None, limit=1)

    assert "8149" not in base64.urlsafe_b64decode(page.next.partition("~")[0] + "==").decode()
    assert [row["participant"] for row in pages(board, limit=1)] == ["team 000", "team 001", "team 002", "team 003"]
    assert [row["rank"] for row in pages(board, limit=3)] == ["1", "2", "3", "–"]


@pytest.mark.parametrize("options", [{}, {"sort": f"-{LOSS}"}, {"q": "team"}])
def test_queries_do_not_grow_with_the_board(options) -> None:
    counts = []
    for size in (3, 40):
        competition = competition_make()
        fill(competition, [i / 100 for i in range(size)])
        board = board_of(competition)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            leaderboard_page(leaderboard=board, user=competition.owner, limit=2, **options)
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 8


def test_unknown_board() -> None:
    competition = competition_make()

    assert leaderboard_get(competition=competition, phase="main", board="main") == board_of(competition)
    with pytest.raises(NotFound, match="no leaderboard"):
        leaderboard_get(competition=competition, phase="main", board="x")
