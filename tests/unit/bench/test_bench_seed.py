"""A seeded board is what the services would have made of the same results."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from bench.board_seed import seed
from touchstone.evaluations.models import Result, Run
from touchstone.leaderboards.models import Leaderboard, LeaderboardEvent
from touchstone.leaderboards.services import leaderboard_rebuild
from touchstone.submissions.models import Submission

pytestmark = pytest.mark.django_db

_SIZE = 400


def _told(board: Leaderboard) -> dict[str, Any]:
    entry = ("participation_id", "run_id", "sort_key", "key_low", "key_high", "unranked", "achieved_at", "scores",
             "n_submissions", "hidden")  # fmt: skip
    event = ("participation_id", "run_id", "at", "kind", "sort_key", "is_frontier")
    return {
        "entries": list(board.entries.order_by("participation_id").values_list(*entry)),
        "events": list(LeaderboardEvent.objects.filter(leaderboard=board).order_by("run_id").values_list(*event)),
    }


def _indexes() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indrelid::regclass::text, indexrelid::regclass::text, indisunique, indpred IS NULL, indisvalid, "
            "indkey::text, indoption::text FROM pg_index ORDER BY 1, 2"
        )
        return list(cursor.fetchall())


def test_computing_the_board_anew_changes_nothing() -> None:
    before = _indexes()

    board = seed(_SIZE)

    assert _indexes() == before
    assert Submission.objects.count() == Run.objects.count() == _SIZE
    scored = Run.objects.filter(status="scored").count()
    assert 0.7 * _SIZE < scored < _SIZE
    assert Result.objects.count() == 5 * scored == 5 * LeaderboardEvent.objects.count()
    assert sum(board.entries.values_list("n_submissions", flat=True)) == scored
    assert LeaderboardEvent.objects.filter(is_frontier=True).count() > 1
    seeded = _told(board)
    assert leaderboard_rebuild(leaderboard=board) == len(seeded["entries"])
    assert _told(board) == seeded
