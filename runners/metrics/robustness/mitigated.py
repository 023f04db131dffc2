"""The reject option on top of any answers: fitted on some, laid over others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from pydantic import JsonValue

from runners.context import MetricContext
from runners.metrics.fairness.groups import Quartet
from runners.metrics.fairness.mitigation import items_of, worse_cells
from runners.metrics.fairness.reject_option import BOUNDS, Point, fit
from runners.metrics.robustness.paired import balanced_accuracy_change
from runners.registry import MetricValue, undefined

_QUARTET: tuple[Quartet, ...] = ("spd", "di", "eod", "aod")


def fitted(validation: MetricContext, attribute: str, objective: Quartet) -> Point | MetricValue:
    """Threshold and margin from the answers to the validation split, or why there are none."""
    items = items_of(validation, attribute)
    if isinstance(items, MetricValue):
        return undefined(f"validation split: {items.reason}", n=items.n, state=items.state)
    point = fit(items, objective, BOUNDS[objective])
    if point is None:
        return undefined("a side, or the validation split, lacks one of the two outcomes", n=items.y.size)
    return point


def laid_over(part: MetricContext, attribute: str, point: Point) -> MetricContext | MetricValue:
    """The context as if the rule had decided, or why a side is too small.

    Scores become (1 + score - cut of the item's side) / 2, which is above one half where the rule favours: so
    the AUC after mitigation is that of how far the items are from their own side's cut.
    """
    items, index = items_of(part, attribute), part.task.favourable_index
    if isinstance(items, MetricValue):
        return items
    if items.scores is None or index is None:
        raise RuntimeError("a mitigation needs probabilities and a favourable class")
    cuts = np.array([point.threshold - point.margin, point.threshold + point.margin, point.threshold])
    above = items.scores - cuts[items.side]
    chances = np.empty((part.n, 2))
    chances[:, index] = (1 + above) / 2
    chances[:, 1 - index] = (1 - above) / 2
    return replace(part, probabilities=chances, predictions=np.where(above > 0, index, 1 - index).astype(np.int64))


def lost(before: MetricContext, after: MetricContext, value: float | None) -> MetricValue:
    """Balanced accuracy that the rule costs, `value`, with an interval over the same items."""
    if value is None:
        return undefined("a class of the split has no items", n=before.n)
    # One column a class: the rule decides on the cut itself otherwise than the larger probability does.
    was, now = (np.eye(2)[part.predictions] for part in (before, after))
    low, high = balanced_accuracy_change(before, was, now)
    return MetricValue(value, low=low, high=high, n=before.n)


def worse(
    before: Mapping[str, Mapping[str, MetricValue]], after: Mapping[str, Mapping[str, MetricValue]]
) -> MetricValue:
    """Cells farther from parity after mitigation, over all conditions; `details.worse` names them.

    `before`, `after`: by condition, with `spd`, `di`, `eod`, `aod` in each.
    """
    listed: list[JsonValue] = []
    compared = 0
    for condition, row in after.items():
        was = {key: before[condition][key].value for key in _QUARTET}
        now = {key: row[key].value for key in _QUARTET}
        found, total = worse_cells(was, now)
        compared += total
        listed += [{"condition": condition, "metric": key, "before": was[key], "after": now[key]} for key in found]
    if compared == 0:
        return undefined("no metric of any condition is defined before mitigation", n=0)
    return MetricValue(float(len(listed)), n=compared, details={"worse": listed, "compared": compared})
