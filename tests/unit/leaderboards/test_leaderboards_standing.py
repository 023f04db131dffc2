"""Rank ranges, tie groups, the front, and the history of a board."""

from __future__ import annotations

import itertools
import math

import pytest

from runners.spec.models import LeaderboardSpec
from tests.factories.server import board_of, competition_make, metric, participation_make, run_make, submission_make
from touchstone.core.clock import now
from touchstone.evaluations.models import RunStatus
from touchstone.leaderboards import standing
from touchstone.leaderboards.comparing import front
from touchstone.leaderboards.models import LeaderboardEntry
from touchstone.leaderboards.ranking import rank
from touchstone.leaderboards.selectors import leaderboard_page
from touchstone.leaderboards.standing import facts_get

ACC = "performance.accuracy"
BOUNDS = [(0.80, 0.90), (0.78, 0.86), (0.70, 0.79), (0.60, 0.65), (0.62, 0.64)]


def fill(bounds: list[tuple[float, float]]):
    board = board_of(competition_make())
    for low, high in bounds:
        team = participation_make(board.phase.competition)
        key = (low + high) / 2
        LeaderboardEntry.objects.create(
            leaderboard=board, participation=team, run=run_make(submission_make(team, files=[]), RunStatus.SCORED),
            sort_key=key, key_low=low, key_high=high, achieved_at=now(),
            scores={ACC: {"value": key, "low": low, "high": high, "n": 9, "state": "ok", "reason": ""}},
        )  # fmt: skip
    return board


@pytest.mark.django_db
def test_a_range_counts_who_is_wholly_better_and_who_may_be_as_good() -> None:
    board = fill(BOUNDS)
    page = leaderboard_page(leaderboard=board, user=None)
    # By hand: best = 1 + whose low is above my high; worst = whose high reaches my low.
    assert [(row["best"], row["worst"], row["tied"]) for row in page.rows] == [
        (1, 2, 1), (1, 3, 2), (2, 3, 1), (4, 5, 1), (4, 5, 1),
    ]  # fmt: skip
    assert [row["group"] for row in page.rows] == [1, 1, 2, 3, 3]


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_groups_and_ranges_go_on_over_the_pages(limit: int) -> None:
    board = fill(BOUNDS)
    whole = leaderboard_page(leaderboard=board, user=None)
    rows, after = [], ""
    while True:
        page = leaderboard_page(leaderboard=board, user=None, limit=limit, after=after)
        rows += page.rows
        after = page.next
        if not after:
            break
    assert rows == whole.rows


@pytest.mark.django_db
def test_beyond_reach_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "REACH", 2)
    board = fill([(0.9, 0.99), (0.8, 0.85), (0.7, 0.75), (0.6, 0.65)])
    facts = facts_get(leaderboard=board, found=None, first=None)
    assert facts.standing(0.9, 0.99) == standing.Standing(1, 1, False)
    second = facts.standing(0.8, 0.85)
    assert second is not None
    assert (second.best, second.open) == (2, True)
    assert facts.standing(0.7, 0.75) is None


@pytest.mark.django_db
def test_above_a_size_entries_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "COUNTED", 3)
    monkeypatch.setattr("touchstone.leaderboards.selectors.COUNTED", 3)
    page = leaderboard_page(leaderboard=fill(BOUNDS), user=None)
    assert (page.total, page.total_is_least) == (3, True)


@pytest.mark.parametrize(
    ("direction", "value", "low", "high", "ends"),
    [
        ("maximise", 0.8, 0.7, 0.9, (0.7, 0.9)),
        ("minimise", 0.8, 0.7, 0.9, (-0.9, -0.7)),
        ("zero", 0.1, -0.2, 0.3, (-0.3, 0.0)),
        ("zero", -0.2, -0.3, -0.1, (-0.3, -0.1)),
        ("one", 0.5, 0.25, 0.8, (-math.log(4), math.log(0.8))),
        ("one", 1.25, 0.8, 2.0, (-math.log(2), 0.0)),
        ("maximise", 0.8, None, None, (0.8, 0.8)),
    ],
)
def test_ends_of_an_interval_are_turned_like_the_number(direction, value, low, high, ends) -> None:
    board = LeaderboardSpec.model_validate({"slug": "b", "rank_by": ACC})
    held = metric(value=value, low=low, high=high, direction=direction)
    ranking = rank(board=board, results={ACC: held}, offer=None)
    assert (ranking.key_low, ranking.key_high) == pytest.approx(ends)
    assert ranking.key_low <= ranking.sort_key <= ranking.key_high


def test_a_ratio_that_may_be_nothing_has_an_end_that_the_database_holds() -> None:
    board = LeaderboardSpec.model_validate({"slug": "b", "rank_by": ACC})
    ranking = rank(board=board, results={ACC: metric(value=0.5, low=0.0, high=1.0, direction="one")}, offer=None)
    assert math.isfinite(ranking.key_low)
    assert ranking.key_low < -1e300


def test_the_front_is_what_comparing_all_pairs_gives() -> None:
    values = [(x, y) for x, y in itertools.product((0.0, 0.5, 1.0), repeat=2) if x + y <= 1.0]
    values += [(0.5, 0.5), (0.2, 0.9)]

    def beaten(a: tuple[float, float]) -> bool:
        return any(b[0] >= a[0] and b[1] >= a[1] and b != a for b in values)

    assert front(values) == [not beaten(value) for value in values]
    assert front([]) == []
