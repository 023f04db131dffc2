"""Entries beside each other: all of them in a plane of two results, or two to four in every result."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from runners.spec.models import CompetitionSpec, LeaderboardSpec
from touchstone.competitions.selectors import Viewer
from touchstone.core.errors import NotAllowed, NotFound, UserError
from touchstone.evaluations.models import Result
from touchstone.evaluations.visibility import results_blunted
from touchstone.leaderboards.columns import BoardColumn, column_keys, columns_available, columns_made
from touchstone.leaderboards.filters import Filters, entries_shown
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry
from touchstone.leaderboards.paging import BEST_FIRST
from touchstone.leaderboards.ranking import TRUST, columns_offered, signed
from touchstone.leaderboards.rows import score_of
from touchstone.leaderboards.selectors import board_blunt, board_hidden
from touchstone.leaderboards.standing import facts_get

#: Entries that a plane shows: the best so many.
PLANE = 500
MOST, LEAST = 4, 2


@dataclass(frozen=True)
class PlanePoint:
    """An entry in the plane. `front`: no other entry is as good in both results and better in one."""

    entry: LeaderboardEntry
    x: dict[str, Any]
    y: dict[str, Any]
    front: bool


@dataclass(frozen=True)
class Plane:
    """Entries by two results. `missing` have no value in one of them; `cut`: there are more than were looked at."""

    x: BoardColumn
    y: BoardColumn
    points: list[PlanePoint]
    missing: list[tuple[LeaderboardEntry, list[str]]]
    available: list[str]
    cut: bool
    blunt: bool


@dataclass(frozen=True)
class Compared:
    """Entries with their results, by key, as everybody may see them now."""

    entries: list[LeaderboardEntry]
    results: list[dict[str, Result]]
    blunt: bool


def board_readable(*, leaderboard: Leaderboard, user: Viewer) -> bool:
    """Whether numbers are rounded; raises `NotAllowed` while the phase hides the board."""
    hidden = board_hidden(phase=leaderboard.phase, user=user)
    if hidden:
        raise NotAllowed(hidden, _("Come back when the phase is over."), "board_hidden")
    return board_blunt(phase=leaderboard.phase, user=user)


def plane_get(*, leaderboard: Leaderboard, user: Viewer, x: str, y: str) -> Plane:
    """The entries by the results `x` and `y`; where they are not given, the ranking one and another of the board's.

    Raises `UserError` for a result there is not, `NotAllowed` while the board is hidden.
    """
    blunt = board_readable(leaderboard=leaderboard, user=user)
    spec = LeaderboardSpec.model_validate(leaderboard.spec)
    offer = columns_offered(spec=CompetitionSpec.model_validate(leaderboard.phase.competition.spec))
    available = columns_available(spec, offer)
    y = y or spec.rank_by
    x = x or next((key for key in column_keys("", spec, offer) if key != y), y)
    keys = column_keys(f"{x},{y}", spec, offer)
    shown = list(entries_shown(leaderboard=leaderboard, filters=Filters()).order_by(*BEST_FIRST)[: PLANE + 1])
    facts = facts_get(leaderboard=leaderboard, found=None, first=shown[0] if shown else None)
    made = columns_made(keys=keys, spec=spec, offer=offer, entries=shown, told=facts.results, blunt=blunt)
    by_key = {column.key: column for column in made}
    held, missing = [], []
    for entry in shown[:PLANE]:
        scores = [score_of(entry, key, blunt) for key in (x, y)]
        absent = [by_key[key].title for key, score in zip((x, y), scores, strict=True) if score["value"] is None]
        if absent:
            missing.append((entry, list(dict.fromkeys(absent))))
        else:
            held.append((entry, *scores))
    turned = [(_turned(a["value"], by_key[x].direction), _turned(b["value"], by_key[y].direction)) for _e, a, b in held]
    on_front = front(turned)
    points = [PlanePoint(e, a, b, here) for (e, a, b), here in zip(held, on_front, strict=True)]
    return Plane(by_key[x], by_key[y], points, missing, available, len(shown) > PLANE, blunt)


def _turned(value: float, direction: str) -> float:
    """Bigger is better; what has no direction is taken as it is."""
    turned = signed(value, direction)
    return value if turned is None else turned


def front(values: Sequence[tuple[float, float]]) -> list[bool]:
    """For each pair whether no other is at least as good in both and better in one; bigger is better."""
    order = sorted(range(len(values)), key=lambda i: values[i], reverse=True)
    chosen = [False] * len(values)
    best, at = float("-inf"), None
    for index in order:
        x, y = values[index]
        if y > best or (x, y) == at:
            chosen[index] = True
            best, at = y, (x, y)
    return chosen


def compared_get(*, leaderboard: Leaderboard, user: Viewer, submissions: Iterable[str]) -> Compared:
    """Two to four entries by the ids of their submissions, in the order asked for.

    Raises `UserError` for too few or too many, `NotFound` for one that is not on the board.
    """
    blunt = board_readable(leaderboard=leaderboard, user=user)
    asked = list(dict.fromkeys(submissions))
    if not LEAST <= len(asked) <= MOST:
        raise UserError(
            _("%(n)s entries were picked; %(least)s to %(most)s can be compared.")
            % {"n": len(asked), "least": LEAST, "most": MOST},
            _("Tick them on the leaderboard, then compare."),
            "picks",
        )
    found = {str(entry.run.submission_id): entry for entry in _picked(leaderboard, asked)}
    lacking = [pick for pick in asked if pick not in found]
    if lacking:
        raise NotFound(
            _("There is no entry %(value)r on this leaderboard.") % {"value": lacking[0][:40]},
            _("It may have been replaced by a better one, or withdrawn. Pick again on the leaderboard."),
        )
    entries = [found[pick] for pick in asked]
    results: list[dict[str, Result]] = [{} for _entry in entries]
    place = {entry.run_id: number for number, entry in enumerate(entries)}
    rows = list(Result.objects.filter(run_id__in=place).order_by("position"))
    for result in results_blunted(results=rows, phase=leaderboard.phase) if blunt else rows:
        results[place[result.run_id]][result.key] = result
    for entry, held in zip(entries, results, strict=True):
        if TRUST in entry.scores:
            held[TRUST] = _trust(score_of(entry, TRUST, blunt))
    return Compared(entries, results, blunt)


def _trust(score: dict[str, Any]) -> Result:
    """The trust score as a result, for it is one of the board and of no metric."""
    return Result(
        key=TRUST, metric=TRUST, pillar=TRUST, title="Trust", direction="maximise", unit="", value=score["value"],
        low=score["low"], high=score["high"], n=None, state=score["state"], reason=score["reason"],
    )  # fmt: skip


def _picked(leaderboard: Leaderboard, asked: Sequence[str]) -> list[LeaderboardEntry]:
    ids = []
    for pick in asked:
        try:
            ids.append(uuid.UUID(pick))
        except ValueError:
            continue
    shown = entries_shown(leaderboard=leaderboard, filters=Filters())
    return list(shown.filter(run__submission_id__in=ids))
