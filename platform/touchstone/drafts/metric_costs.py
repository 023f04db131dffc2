"""What the metrics of a draft will cost a submission, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from runners.costs import asks_something, foretell
from runners.forecast import GRADIENT_TIMES, Speed
from runners.spec.models import MetricUse
from runners.spec.values import parse_duration
from touchstone.drafts.metric_parameters import KNOWN

#: Taken where nothing is known: items of a split, and milliseconds that an answer takes.
USUAL_ITEMS, USUAL_MS, MOST_ITEMS = 1000, 2.0, 10**8
#: Wall clock of a run where the rules name none.
_LIMIT = 600.0


@dataclass(frozen=True)
class UseCost:
    """What one metric asks: questions, those of them with a gradient, and seconds. None where it is not known."""

    forward: int
    backward: int
    seconds: float
    endless: bool = False


@dataclass(frozen=True)
class Estimate:
    """`uses`: in the order of the metrics, None for one that asks nothing. `over`: more than a run may take."""

    uses: list[UseCost | None]
    forward: int
    backward: int
    seconds: float
    items: int
    split: str
    ms: float
    limit: float
    gradient_times: float = GRADIENT_TIMES

    @property
    def over(self) -> bool:
        return self.seconds > self.limit


def estimate(
    metrics: Sequence[Any], *, items: int, split: str = "", ms: float = USUAL_MS, limit: float = _LIMIT
) -> Estimate:
    """Of a submission that answers everything; one that cannot is asked less.

    Args:
        metrics: as the draft has them, sound or not.
        items: of the split, and `split` its name where that number is measured.
        ms: that one answer takes.
        limit: seconds that a run may take.
    """
    speed = Speed(ms / 1000)
    uses = [_cost(use, items, speed) for use in metrics]
    # The items are answered once for all metrics that only read answers.
    known = [use for use in uses if use is not None]
    forward = items + sum(use.forward for use in known)
    return Estimate(
        uses=uses, forward=forward, backward=sum(use.backward for use in known),
        seconds=items * speed.answer + sum(use.seconds for use in known),
        items=items, split=split, ms=ms, limit=limit,
    )  # fmt: skip


def use_cost(use: Any, *, items: int, ms: float = USUAL_MS) -> UseCost | None:
    """Of one metric; None where it asks nothing."""
    return _cost(use, items, Speed(ms / 1000))


def _cost(use: Any, items: int, speed: Speed) -> UseCost | None:
    if not isinstance(use, dict) or not asks_something(str(use.get("use"))):
        return None
    try:
        typed = MetricUse.model_validate(use)
    except ValidationError:
        return None
    found = foretell([typed], items=items)
    if not found:
        return None
    return UseCost(found[0].forward, found[0].backward, speed.seconds(found[0]), bool(found[0].fixed_seconds))


def told_by_nobody(metrics: Sequence[Any]) -> list[str]:
    """Metrics of extensions: what they ask is not in the catalogue."""
    names = [str(use.get("use")) for use in metrics if isinstance(use, dict)]
    return [name for name in names if name not in KNOWN["metrics"]]


def time_limit(rules: Mapping[str, Any]) -> float:
    """Seconds that a run may take, as the draft's rules say, or as by default where they say nothing sound."""
    submission = rules.get("submission")
    resources = submission.get("resources") if isinstance(submission, dict) else None
    given = resources.get("time") if isinstance(resources, dict) else None
    try:
        limit = parse_duration(given)
    except ValueError:
        return _LIMIT
    return float(limit) if isinstance(limit, int | float) and limit > 0 else _LIMIT


def largest_split(splits: Mapping[str, Mapping[str, Any]], phases: Sequence[Any]) -> tuple[int, str]:
    """Items of the largest split that a phase is scored on, and its name; the usual number where none is measured.

    `splits`: what was found in each.
    """
    names = [str(phase.get("split")) for phase in phases if isinstance(phase, dict)]
    sizes = {name: splits[name].get("n") for name in (names or splits) if name in splits}
    known = {name: n for name, n in sizes.items() if isinstance(n, int) and n > 0}
    if not known:
        return USUAL_ITEMS, ""
    name = max(known, key=lambda key: known[key])
    return known[name], name
