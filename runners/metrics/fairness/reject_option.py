"""Reject option classification: close decisions go to the unprivileged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import MetricContext
from runners.metrics.fairness.groups import Quartet
from runners.metrics.fairness.mitigation import (
    COLUMNS,
    QUARTET,
    Bools,
    Fitted,
    FloatArray,
    IntArray,
    Rule,
    absent,
    prepared,
    report,
)
from runners.metrics.fairness.wording import MITIGATED_INTERVAL, MITIGATED_LIMITS
from runners.registry import MetricReturn, MetricValue, metric, undefined

#: What to take where no point of the grid is within the bounds: the closest to them, or AIF360's choice.
Fallback = Literal["closest", "smallest"]
#: Within these a metric counts as fair: the same to both sides of parity, and the four fifths.
BOUNDS: dict[Quartet, tuple[float, float]] = {
    "spd": (-0.05, 0.05), "eod": (-0.05, 0.05), "aod": (-0.05, 0.05), "di": (0.8, 1.25),
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A point of the grid with what it gives on the items it was fitted on."""

    threshold: float
    margin: float
    value: float
    balanced_accuracy: float
    satisfied: bool


def grid(thresholds: int = 100, margins: int = 50, low: float = 0.01, high: float = 0.99) -> tuple[FloatArray, ...]:
    """Thresholds and margins that are tried, each (thresholds * margins,): AIF360's, margins up to the nearer end."""
    t = np.linspace(low, high, thresholds)
    m = np.stack([np.linspace(0.0, value if value <= 0.5 else 1.0 - value, margins) for value in t])
    return np.repeat(t, margins), m.ravel()


def tables(items: Fitted, threshold: FloatArray, margin: FloatArray) -> IntArray:
    """Counts `[point, side, y, decision]`, (points, 3, 2, 2), from sorted scores: no item is looked at twice.

    Inside the band `threshold - margin < score <= threshold + margin` the unprivileged are favoured and
    the privileged not, so each side has one cut.
    """
    if items.scores is None:
        raise RuntimeError("the reject option needs scores")
    out = np.empty((threshold.size, 3, 2, 2), dtype=np.int64)
    for side, cut in enumerate((threshold - margin, threshold + margin, threshold)):
        for y in (0, 1):
            scores = np.sort(items.scores[(items.side == side) & (items.y == bool(y))])
            below = np.searchsorted(scores, cut, side="right")
            out[:, side, y, 0], out[:, side, y, 1] = below, scores.size - below
    return out


def fit(
    items: Fitted, objective: Quartet, bounds: tuple[float, float], *, fallback: Fallback = "closest", points: int = 100
) -> Point | None:
    """The point within the bounds with the best balanced accuracy, the first of equals; None where it is undefined.

    Where none is within: the closest to the bounds, and of these the best balanced accuracy; with
    `smallest` that of the smallest signed value, as AIF360 takes it.
    """
    threshold, margin = grid(points)
    found = tables(items, threshold, margin)
    overall = found.sum(axis=1)
    n = overall.sum(axis=-1)
    if not n.all():
        return None
    balanced = 0.5 * (overall[:, 1, 1] / n[:, 1] + overall[:, 0, 0] / n[:, 0])
    values = QUARTET[objective].value(found[:, :2])
    defined = np.isfinite(values)
    if not defined.any():
        return None
    within = defined & (values >= bounds[0]) & (values <= bounds[1])
    satisfied = bool(within.any())
    if satisfied:
        best = _best(balanced, within)
    elif fallback == "smallest":
        best = int(np.nanargmin(values))
    else:
        off = np.where(defined, np.maximum(bounds[0] - values, values - bounds[1]), np.inf)
        best = _best(balanced, off == off.min())
    return Point(float(threshold[best]), float(margin[best]), float(values[best]), float(balanced[best]), satisfied)


def _best(balanced: FloatArray, among: Bools) -> int:
    return int(np.argmax(np.where(among, balanced, -1.0)))


def decide(items: Fitted, threshold: float, margin: float) -> Bools:
    """The favourable decisions of the rule, (n,)."""
    if items.scores is None:
        raise RuntimeError("the reject option needs scores")
    cuts: npt.NDArray[np.float64] = np.array([threshold - margin, threshold + margin, threshold])
    return np.asarray(items.scores > cuts[items.side])


@metric(
    "fairness.reject_option",
    title="After reject option classification",
    direction="zero",
    range=(None, None),
    needs=("probabilities", "predictions", "attributes", "favourable", "validation"),
    results=COLUMNS,
    reference="Kamiran, Karim and Zhang, ICDM 2012; grid as in AIF360 (Bellamy et al. 2019)",
    formula="favourable if score > t − m (unprivileged), > t + m (privileged), > t (neither)\n"
    "t, m = the point of the grid with the best balanced accuracy whose `objective` is within the bounds on the "
    "validation split",
    interval=MITIGATED_INTERVAL,
    limits=MITIGATED_LIMITS,
)
def reject_option(
    ctx: MetricContext,
    *,
    attribute: str,
    objective: Quartet = "spd",
    lower: float | None = None,
    upper: float | None = None,
    thresholds: Annotated[int, Field(ge=2, le=1000)] = 100,
    fallback: Fallback = "closest",
) -> MetricReturn:
    """A fairness metric after close decisions went to the unprivileged, with what that cost and made worse.

    Threshold and margin are fitted on the validation split: the best balanced accuracy with `objective`
    between `lower` and `upper` (0.05 to both sides of 0; 0.8 to 1.25 for disparate impact).
    """
    found = prepared(ctx, attribute)
    if isinstance(found, MetricValue):
        return absent(attribute, found)
    fitting, applied = found
    if fitting.scores is None:
        return absent(attribute, undefined("the validation split has no probabilities", state="not_applicable"))
    default = BOUNDS[objective]
    bounds = (default[0] if lower is None else lower, default[1] if upper is None else upper)
    point = fit(fitting, objective, bounds, fallback=fallback, points=thresholds)
    if point is None:
        reason = "a side, or the split, lacks one of the two outcomes on the validation split"
        return absent(attribute, undefined(reason, n=fitting.y.size))
    told: dict[str, JsonValue] = {
        "threshold": point.threshold, "margin": point.margin, "satisfied": point.satisfied, "bounds": list(bounds),
        "validation": {"value": point.value, "balanced_accuracy": point.balanced_accuracy, "n": fitting.y.size},
    }  # fmt: skip
    rule = Rule(decide(applied, point.threshold, point.margin), np.array([[0.0, 1.0]] * 3))
    return report(ctx, attribute, applied, rule, objective, told)
