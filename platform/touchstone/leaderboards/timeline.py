"""Reading the history of a board: who led it when, and what one participant sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F, QuerySet

from touchstone.competitions.models import Participation
from touchstone.competitions.selectors import Viewer
from touchstone.evaluations.models import Result
from touchstone.leaderboards.comparing import board_readable
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry, LeaderboardEvent
from touchstone.leaderboards.ranking import TRUST
from touchstone.leaderboards.rows import ROUNDED
from touchstone.leaderboards.selectors import board_hidden

#: Steps of the frontier, and events of one participant, that are shown: the latest so many.
SHOWN = 200


@dataclass(frozen=True)
class Step:
    """A scored run in the history. `value` is the ranking number as its metric has it; None for one without a rank."""

    event: LeaderboardEvent
    value: float | None


def frontier_get(*, leaderboard: Leaderboard, user: Viewer) -> list[Step]:
    """The runs that led the board when they came, oldest first. Raises `NotAllowed` while the board is hidden."""
    blunt = board_readable(leaderboard=leaderboard, user=user)
    return _steps(_counting(leaderboard).filter(is_frontier=True), leaderboard, blunt)


def participant_history(*, leaderboard: Leaderboard, user: Viewer, participation: Participation) -> list[Step]:
    """What the board has shown of a participant, oldest first: where it keeps the best, each that was better."""
    blunt = board_readable(leaderboard=leaderboard, user=user)
    steps = _steps(_counting(leaderboard).filter(participation=participation), leaderboard, blunt)
    return _improvements(steps) if leaderboard.spec["entry"] == "best" else steps


def was_shown(*, leaderboard: Leaderboard, user: Viewer, event: LeaderboardEvent) -> bool:
    """Whether an event of a board that `user` may see was its participant's entry once."""
    if board_hidden(phase=leaderboard.phase, user=user):
        return False
    if leaderboard.spec["entry"] != "best" or event.is_frontier:
        return True
    earlier = _counting(leaderboard).filter(participation_id=event.participation_id, at__lt=event.at)
    return event.sort_key is not None and not earlier.filter(sort_key__gte=event.sort_key).exists()


def _improvements(steps: list[Step]) -> list[Step]:
    best, kept = float("-inf"), []
    for step in steps:
        if step.event.sort_key is not None and step.event.sort_key > best:
            best = step.event.sort_key
            kept.append(step)
    return kept


def _counting(leaderboard: Leaderboard) -> QuerySet[LeaderboardEvent]:
    """Scores that count: of the current run of each submission that was not withdrawn, by those who are not hidden."""
    hidden = LeaderboardEntry.objects.filter(leaderboard=leaderboard, hidden=True).values("participation_id")
    return (
        LeaderboardEvent.objects.filter(
            leaderboard=leaderboard, kind="score", run__submission__run=F("run"), run__submission__withdrawn_at=None
        )
        .exclude(participation_id__in=hidden)
        .select_related("participation", "run__submission")
    )


def _steps(found: QuerySet[LeaderboardEvent], leaderboard: Leaderboard, blunt: bool) -> list[Step]:
    events: list[Any] = list(found.order_by("-at", "-pk")[:SHOWN])[::-1]
    key = leaderboard.spec["rank_by"]
    if key == TRUST:
        values = {event.run_id: event.sort_key for event in events}
    else:
        runs = [event.run_id for event in events]
        values = dict(_results(runs, key))
    return [Step(event, _rounded(values.get(event.run_id), blunt)) for event in events]


def _results(runs: list[Any], key: str) -> list[tuple[Any, float | None]]:
    return list(Result.objects.filter(run_id__in=runs, key=key).values_list("run_id", "value"))


def _rounded(value: float | None, blunt: bool) -> float | None:
    return round(value, ROUNDED) if blunt and value is not None else value
