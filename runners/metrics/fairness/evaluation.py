"""From a comparison and a formula to a value with its interval, or to the reason why there is none."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import JsonValue

from runners.context import IntArray, MetricContext
from runners.metrics.fairness.formulae import Folded, Formula
from runners.metrics.fairness.groups import Comparison, compare, comparison_details, number
from runners.metrics.fairness.shares import SHARES
from runners.registry import MetricValue, undefined
from runners.statistics.bootstrap import (
    TABLE_DRAWS,
    groups_of,
    multinomial_tables,
    percentile_interval,
    table_interval,
)
from runners.statistics.intervals import Interval

Engine = Literal["native", "aif360"]
#: Which class the rates are about: the outcome people want, or the class that TPR and FPR usually mean.
About = Literal["favourable", "positive"]


def outcome_of(ctx: MetricContext, about: About) -> int | MetricValue:
    """The class in question, or why there is none."""
    if about == "positive" and ctx.task.kind != "binary":
        return undefined("only a task of two classes has a positive class", state="not_applicable")
    index = ctx.task.positive_index if about == "positive" else ctx.task.favourable_index
    return undefined("the competition declares no favourable class", state="not_applicable") if index is None else index


def comparison_of(ctx: MetricContext, attribute: str, about: About = "favourable") -> Comparison | MetricValue:
    """The comparison, or the value that says why there is none: no column, no outcome, too few items."""
    outcome = outcome_of(ctx, about)
    if isinstance(outcome, MetricValue):
        return outcome
    c = compare(ctx, attribute, outcome)
    if c is None:
        return undefined("the data split has no such attribute", state="not_applicable")
    sizes = {"unprivileged": int(c.counts[0].sum()), "privileged": int(c.counts[1].sum())}
    small = [f"{name} has {size}" for name, size in sizes.items() if size < c.spec.minimum]
    if small:
        reason = f"{' and '.join(small)} items of the {c.spec.minimum} that {attribute} asks for"
        n = int(c.counts.sum())
        return MetricValue(None, n=n, state="too_few", reason=reason, details=comparison_details(ctx, c))
    return c


def evaluate(
    ctx: MetricContext,
    attribute: str,
    formula: Formula | Folded,
    *,
    purpose: str,
    engine: Engine = "native",
    about: About = "favourable",
) -> dict[str, MetricValue]:
    """One formula for one attribute, as `{"[attribute]": value}`.

    `purpose` names the random draws of the interval, and the method of AIF360 where `engine` is aif360:
    that library then gives the value, while states and interval stay ours.
    """
    key = f"[{attribute}]"
    c = comparison_of(ctx, attribute, about)
    if isinstance(c, MetricValue):
        return {key: c}
    details, n = comparison_details(ctx, c), int(c.counts.sum())
    parts = formula.turned(c.counts) if isinstance(formula, Folded) else (formula,)
    values = [number(part.value(c.counts)) for part in parts]
    defined = [value for value in values if value is not None]
    if len(defined) < len(values):
        reason = parts[values.index(None)].why_undefined(c.counts)
        return {key: MetricValue(None, n=n, state="undefined", reason=reason, details=details)}
    intervals = [_interval(ctx, c, part, f"fairness.{purpose}.{attribute}{'.' * i}") for i, part in enumerate(parts)]
    value, (low, high) = defined[0], intervals[0]
    if isinstance(formula, Folded):
        details["parts"] = [_part(*told) for told in zip(parts, defined, intervals, strict=True)]
        value, (low, high) = _folded(formula, defined, intervals)
    if engine == "aif360":
        from runners.adapters.aif360 import classification_metric

        value = classification_metric(purpose, c.counts)
    return {key: MetricValue(value, low=low, high=high, n=n, details=details)}


def _part(formula: Formula, value: float, interval: Interval) -> JsonValue:
    return {"rates": list(formula.shares), "value": value, "low": interval[0], "high": interval[1]}


def _folded(formula: Folded, values: list[float], intervals: list[Interval]) -> tuple[float, Interval]:
    """The combined value, and an interval from those of the parts: a little too wide rather than too narrow."""
    folded = [formula.fold_interval(interval) for interval in intervals]
    lows, highs = [low for low, _ in folded if low is not None], [high for _, high in folded if high is not None]
    value = formula.combine([formula.fold(v) for v in values])
    if len(lows) < len(folded) or len(highs) < len(folded):
        return value, (None, None)
    return value, (formula.combine(lows), formula.combine(highs))


def _interval(ctx: MetricContext, c: Comparison, formula: Formula, purpose: str) -> Interval:
    """Bootstrap of the eight cells, or of whole clusters; score intervals where little or nothing varies."""
    rng = ctx.rng(purpose)
    if c.codes is None or c.cells is None:
        if formula.sparse(c.counts):
            return formula.score_interval(c.counts)
        return percentile_interval(formula.value(multinomial_tables(c.counts, draws=TABLE_DRAWS, rng=rng)))
    if formula.flat(c.counts):
        return formula.score_interval(_in_clusters(c, formula))
    units = min(int(_clusters(c, share).min()) for share in formula.shares)
    return table_interval(formula.value, c.cells, (2, 2, 2), c.codes, rng=rng, units=units)


def _clusters(c: Comparison, share: str) -> IntArray:
    """How many clusters a share rests on, for the two sides: (2,)."""
    if c.codes is None or c.cells is None:
        raise RuntimeError("only a comparison of items that share clusters has clusters")
    whole = np.isin(c.cells % 4, [y * 2 + yhat for y, yhat in SHARES[share].whole])
    return groups_of(c.codes[whole], c.cells[whole] // 4, 2)


def _in_clusters(c: Comparison, formula: Formula) -> IntArray:
    """The table of a flat comparison with clusters in the place of items, for items that share one are not independent.

    Every share that is read is 0 or 1, so the items of its whole are all within its part or all outside:
    one cell of each stands for them, with the number of clusters in it.
    """
    out = np.zeros((2, 2, 2), dtype=np.int64)
    for name in formula.shares:
        share, units = SHARES[name], _clusters(c, name)
        for s in (0, 1):
            hit = float(share.of(c.counts[s])) == 1.0
            within = [x for x in share.whole if (x in share.part) == hit]
            out[(s, *within[0])] = units[s]
    return out
