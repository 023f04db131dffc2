"""A board of a draft as it would look: with the competition's own entries ranked anew, else with made-up ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext, gettext_noop

from runners.spec.catalogue_file import Offer
from runners.spec.models import LeaderboardSpec
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import Viewer, is_organiser
from touchstone.drafts.board_forms import Key
from touchstone.evaluations.models import Result
from touchstone.leaderboards.models import LeaderboardEntry
from touchstone.leaderboards.ranking import TRUST, Scored, anchor, rank

_MOST = 30


@dataclass(frozen=True)
class ExampleResult:
    """A made-up result."""

    key: str
    value: float | None
    low: float | None
    high: float | None
    direction: str
    state: str = "ok"
    reason: str = ""
    n: int | None = 1000
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entrant:
    """Somebody on the board with the results of one run."""

    name: str
    baseline: bool
    results: Mapping[str, Scored]


@dataclass(frozen=True)
class PreviewRow:
    """`moved`: places gained against the board before the change, None where it was not ranked then."""

    rank: int | None
    name: str
    baseline: bool
    unranked: str
    scores: Mapping[str, Mapping[str, Any]]
    moved: int | None


@dataclass(frozen=True)
class Swing:
    """How far a weight can go, the others left as they are, before two entries swap places. None: however far."""

    key: str
    weight: float
    down: float | None
    up: float | None


@dataclass(frozen=True)
class Preview:
    """`real`: results of the competition's own entries, not made up. `columns`: keys in the order of the board."""

    rows: list[PreviewRow]
    columns: list[str]
    real: bool
    swings: list[Swing]


def entrants_of(*, competition: Competition | None, user: Viewer) -> list[Entrant]:
    """The best run of each entry that the competition has, for its organisers; nothing for anybody else."""
    if competition is None or not is_organiser(user=user, competition=competition):
        return []
    entries = (
        LeaderboardEntry.objects.filter(leaderboard__phase__competition=competition, hidden=False)
        .select_related("participation")
        .order_by("leaderboard__phase__position", "leaderboard_id", "-sort_key", "pk")
        .values_list("run_id", "participation_id", "participation__display_name", "participation__is_baseline")
    )
    runs: dict[int, tuple[Any, str, bool]] = {}
    for run, participation, name, baseline in entries[: _MOST * 8]:
        if len(runs) < _MOST:
            runs.setdefault(participation, (run, name, baseline))
    results: dict[Any, dict[str, Scored]] = {}
    for result in Result.objects.filter(run_id__in=[run for run, _name, _baseline in runs.values()]):
        results.setdefault(result.run_id, {})[result.key] = result
    return [Entrant(name, baseline, results.get(run, {})) for run, name, baseline in runs.values() if run in results]


#: How good each made-up entry is, and whether it can be asked: a file of answers cannot.
EXAMPLES = (
    (gettext_noop("Always the same answer"), True, 0.10, True),
    (gettext_noop("Simple model"), True, 0.55, True),
    (gettext_noop("Careful model"), False, 0.70, True),
    (gettext_noop("Large model"), False, 0.80, True),
    (gettext_noop("File of answers"), False, 0.75, False),
)
_ASKED = ("robustness", "efficiency", "explainability")


def example_entrants(keys: Sequence[Key]) -> list[Entrant]:
    """Made-up entries, the same every time: nothing is drawn."""
    return [
        Entrant(gettext(name), baseline, {key.key: _example(key, name, skill, asked=asked) for key in keys})
        for name, baseline, skill, asked in EXAMPLES
    ]


def _example(key: Key, name: str, skill: float, *, asked: bool) -> ExampleResult:
    direction = key.column.direction
    if not asked and key.pillar in _ASKED:
        reason = "a file of answers cannot be asked"
        return ExampleResult(key.key, None, None, None, direction, "not_applicable", reason)
    noise = int.from_bytes(hashlib.sha256(f"{key.key}|{name}".encode()).digest()[:4], "big") / 2**32
    worst, best = _ends(key)
    # Good at one thing is not good at all: half hangs on the entry, half on the pair of entry and result.
    share = min(0.98, max(0.02, 0.7 * skill + 0.3 * noise))
    value, half = worst + share * (best - worst), 0.03 * abs(best - worst)
    low, high = key.column.range
    return ExampleResult(
        key.key, value, value - half if low is None else max(low, value - half),
        value + half if high is None else min(high, value + half), direction,
    )  # fmt: skip


def _ends(key: Key) -> tuple[float, float]:
    """Both ends of made-up values: those of the range, else of a usual size."""
    column = key.column
    low, high = column.range
    if key.pillar == "performance" and (column.direction, low, high) == ("maximise", 0.0, 1.0):
        low = 0.5
    least = low if low is not None else min(0.0, high - 1.0 if high is not None else 0.0)
    most = high if high is not None else least + 10.0
    if column.direction == "minimise":
        return most, least
    if column.direction == "zero":
        return min(most, 0.4 * max(abs(least), abs(most))), 0.0
    return (0.3, 1.0) if column.direction == "one" else (least, most)


def preview_of(
    *, board: LeaderboardSpec, before: LeaderboardSpec | None, offer: Offer, entrants: Sequence[Entrant], real: bool
) -> Preview:
    """The board with these entrants, best first, each with how far it moved since `before`."""
    ranked = _ranked(board, offer, entrants)
    old = _places(_ranked(before, offer, entrants)) if before is not None and before != board else {}
    places = _places(ranked)
    rows = [
        PreviewRow(
            places.get(entrant.name), entrant.name, entrant.baseline, found.unranked, found.scores,
            _moved(old, places, entrant.name),
        )
        for entrant, found in ranked
    ]  # fmt: skip
    columns = list(dict.fromkeys([board.rank_by, *board.columns]))
    swings = swings_of(board=board, offer=offer, entrants=entrants) if board.rank_by == TRUST else []
    return Preview(rows, columns, real, swings)


def _ranked(board: LeaderboardSpec, offer: Offer, entrants: Sequence[Entrant]) -> list[tuple[Entrant, Any]]:
    found = [(entrant, rank(board=board, results=entrant.results, offer=offer)) for entrant in entrants]
    return sorted(found, key=lambda pair: (pair[1].sort_key is None, -(pair[1].sort_key or 0.0), pair[0].name))


def _places(ranked: Sequence[tuple[Entrant, Any]]) -> dict[str, int]:
    """Ranks of those that are ranked; who is equal shares one."""
    places: dict[str, int] = {}
    last: tuple[float, int] | None = None
    for number, (entrant, found) in enumerate(ranked, 1):
        if found.sort_key is None:
            continue
        place = last[1] if last is not None and last[0] == found.sort_key else number
        places[entrant.name], last = place, (found.sort_key, place)
    return places


def _moved(old: Mapping[str, int], places: Mapping[str, int], name: str) -> int | None:
    if name not in old or name not in places:
        return None
    return old[name] - places[name]


def swings_of(*, board: LeaderboardSpec, offer: Offer, entrants: Sequence[Entrant]) -> list[Swing]:
    """How far each weight can move before the order of any two ranked entries changes.

    Trust is a mean of utilities u with weights w, so the order of two entries hangs on the sign of Σ w·(u - u'), which
    is a straight line in each weight.
    """
    ranked = [entrant for entrant, found in _ranked(board, offer, entrants) if found.sort_key is not None]
    rows = [_utilities(board, offer, entrant) for entrant in ranked]
    gaps = [{key: a[key] - b[key] for key in a} for a, b in pairwise(rows)]
    leads = [sum(board.utility[key].weight * gap[key] for key in gap) for gap in gaps]
    found = []
    for key, utility in board.utility.items():
        turns = [-lead / gap[key] for lead, gap in zip(leads, gaps, strict=True) if gap[key] and lead > 1e-12]
        up = min((turn for turn in turns if turn > 0), default=None)
        down = max((turn for turn in turns if turn < 0), default=None)
        least = None if down is None or utility.weight + down <= 0 else utility.weight + down
        found.append(Swing(key, utility.weight, least, None if up is None else utility.weight + up))
    return found


def _utilities(board: LeaderboardSpec, offer: Offer, entrant: Entrant) -> dict[str, float]:
    found = {}
    for key, utility in board.utility.items():
        result = entrant.results[key]
        anchored = anchor(utility=utility, column=offer.find(key), direction=result.direction)
        found[key] = anchored.utility(result.value) if anchored is not None and result.value is not None else 0.0
    return found
