"""The one place that turns the results of a run into the number it is ranked by.

`sort_key` is bigger-is-better whatever the metric's direction. A run that cannot be ranked has None and a reason.

The trust score is a weighted mean of anchored utilities. For a result v with anchors worst and best,

    u = clip((v - worst) / (best - worst), 0, 1)        trust = Σ w·u / Σ w

Anchors are fixed by the competition, or by the metric's range and direction; never by who takes part, so one
entrant cannot move another's score. Directions that aim at a value are turned first: zero uses |v| (best 0), one
uses min(v, 1/v) (best 1). The interval of the trust score puts every result at its pessimistic, then at its
optimistic bound at once. That is conservative: it is never narrower than a joint interval.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from runners.spec import catalogue
from runners.spec.catalogue_file import Column, Offer, offer_of
from runners.spec.gates import Gate, parse_gate
from runners.spec.models import CompetitionSpec, LeaderboardSpec, UtilitySpec
from touchstone.evaluations.validity import validity_of

TRUST = "trust"


class Scored(Protocol):
    """A metric result, as the database or a test has it."""

    key: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    direction: str
    state: str
    reason: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Ranking:
    """`scores`: {key: {value, low, high, n, state, reason}}, the trust score included where there is one.

    One whose validity was checked has {verdict, doubts} besides. `key_low` and `key_high` are the ends of the ranking
    number's interval, turned as `sort_key` is; where no interval is known, both are `sort_key`.
    """

    sort_key: float | None
    unranked: str
    scores: dict[str, dict[str, Any]]
    key_low: float | None = None
    key_high: float | None = None


@dataclass(frozen=True)
class _Anchored:
    """A utility with its direction and both anchors known."""

    weight: float
    turn: Callable[[float], float]
    worst: float
    best: float
    direction: str

    def utility(self, value: float) -> float:
        return min(1.0, max(0.0, (self.turn(value) - self.worst) / (self.best - self.worst)))

    def bounds(self, low: float, high: float) -> tuple[float, float]:
        """Smallest and largest utility of any value between low and high."""
        tried = [self.utility(low), self.utility(high)]
        target = {"zero": 0.0, "one": 1.0}.get(self.direction)
        if target is not None and low <= target <= high:
            tried.append(self.utility(target))
        return min(tried), max(tried)


def columns_offered(*, spec: CompetitionSpec) -> Offer:
    """What the competition's metrics give: direction and range of each result key."""
    known = catalogue()["metrics"]
    offer = Offer()
    for use in spec.metrics:
        if use.use in known:
            offer.add(offer_of(use, known[use.use], spec.attributes))
    return offer


def rank(*, board: LeaderboardSpec, results: Mapping[str, Scored], offer: Offer) -> Ranking:
    """Rank one run on one board. Never raises for what a run may hold."""
    scores = {key: _score(result) for key, result in results.items()}
    trust_reason = ""
    if board.utility:
        scores[TRUST], trust_reason = trust(utilities=board.utility, results=results, offer=offer)
    if board.rank_by == TRUST:
        sort_key, reason = (
            (scores[TRUST]["value"], trust_reason) if board.utility else (None, "the board has no utilities")
        )
    else:
        sort_key, reason = _by_result(results.get(board.rank_by), board.rank_by)
    reason = reason or _gates(board.gates, scores)
    if reason or sort_key is None:
        return Ranking(None, reason[:300], scores)
    direction = "maximise" if board.rank_by == TRUST else results[board.rank_by].direction
    return Ranking(sort_key, "", scores, *_ends(sort_key, scores[board.rank_by], direction))


def _ends(key: float, score: Mapping[str, Any], direction: str) -> tuple[float, float]:
    """The worse and the better end of the interval of a ranking number, as `signed` turns it."""
    low, high = score["low"], score["high"]
    if low is None or high is None:
        return key, key
    tried = [turned for end in (low, high) if (turned := signed(end, direction)) is not None]
    target = {"zero": 0.0, "one": 1.0}.get(direction)
    if target is not None and low <= target <= high:
        tried.append(0.0)
    # A ratio of 0 is infinitely far from 1; the database holds no infinities.
    return max(min(*tried, key), -sys.float_info.max), max(*tried, key)


def _score(r: Scored) -> dict[str, Any]:
    score = {"value": r.value, "low": r.low, "high": r.high, "n": r.n, "state": r.state, "reason": r.reason}
    validity = validity_of(r.details)
    if validity.verdict:
        score |= {"verdict": validity.verdict, "doubts": list(validity.doubts)}
    return score


def _by_result(result: Scored | None, key: str) -> tuple[float | None, str]:
    reason = _missing(result, key)
    if reason or result is None or result.value is None:
        return None, reason
    sort_key = signed(result.value, result.direction)
    if sort_key is None:
        return None, f"{key} has no better and worse, so nothing can be ranked by it"
    return (sort_key, "") if math.isfinite(sort_key) else (None, f"{key} is {result.value:g}, infinitely far from 1")


def signed(value: float, direction: str) -> float | None:
    """A value turned so that bigger is better; None where the direction is none."""
    if direction == "maximise":
        return value
    if direction == "minimise":
        return -value
    if direction == "zero":
        return -abs(value)
    if direction == "one":
        return -abs(math.log(value)) if value > 0 else -math.inf
    return None


def _missing(result: Scored | None, key: str) -> str:
    if result is None:
        return f"{key} was not computed"
    if result.value is None or not math.isfinite(result.value):
        state = {"not_applicable": "not applicable", "too_few": "too few items"}.get(result.state, result.state)
        return f"{key}: {state}" + (f" ({result.reason})" if result.reason else "")
    return ""


def _gates(gates: tuple[str, ...], scores: Mapping[str, Mapping[str, Any]]) -> str:
    for text in gates:
        gate: Gate = parse_gate(text)
        value = scores.get(gate.key, {}).get("value")
        if not gate.holds(value):
            return f"gate {gate}: {'no value' if value is None else f'{value:.4g}'}"
    return ""


def trust(
    *, utilities: Mapping[str, UtilitySpec], results: Mapping[str, Scored], offer: Offer
) -> tuple[dict[str, Any], str]:
    """The trust score as a score with interval, and why there is none. A missing result is never taken as 0."""
    total = low = high = weights = 0.0
    for key, utility in utilities.items():
        result = results.get(key)
        reason = _missing(result, key)
        if result is None or result.value is None or reason:
            return _no_trust(reason), reason
        anchored = anchor(utility=utility, column=offer.find(key), direction=result.direction)
        if anchored is None:
            reason = f"{key} has no anchors: the competition must set worst and best"
            return _no_trust(reason), reason
        u = anchored.utility(result.value)
        worst, best = (u, u) if result.low is None or result.high is None else anchored.bounds(result.low, result.high)
        total += utility.weight * u
        low += utility.weight * min(u, worst)
        high += utility.weight * max(u, best)
        weights += utility.weight
    score = {
        "value": total / weights,
        "low": low / weights,
        "high": high / weights,
        "n": None,
        "state": "ok",
        "reason": "",
    }
    return score, ""


def _no_trust(reason: str) -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "n": None, "state": "undefined", "reason": reason}


def anchor(*, utility: UtilitySpec, column: Column | None, direction: str) -> _Anchored | None:
    """The anchors of a utility: those declared, else those of the metric's range; None where one is missing."""
    low, high = column.range if column is not None else (None, None)
    turn: Callable[[float], float] = float
    worst: float | None
    best: float | None
    if direction == "maximise":
        worst, best = low, high
    elif direction == "minimise":
        worst, best = high, low
    elif direction == "zero":
        sides = [abs(side) for side in (low, high) if side is not None]
        turn, worst, best = abs, max(sides) if sides else None, 0.0
    elif direction == "one":
        turn, worst, best = _ratio, 0.0, 1.0
    else:
        worst = best = None
    worst = utility.worst if utility.worst is not None else worst
    best = utility.best if utility.best is not None else best
    if worst is None or best is None or worst == best:
        return None
    return _Anchored(utility.weight, turn, worst, best, direction)


def _ratio(value: float) -> float:
    """A ratio and its inverse are equally far from 1."""
    return 0.0 if value <= 0 else min(value, 1 / value)
