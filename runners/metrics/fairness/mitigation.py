"""What a mitigation did: fitted on the validation split, applied to the scored one, compared before and after.

A mitigation is a table of chances: the probability of the favourable outcome for each side and each
decision it starts from. Everything reported is the expectation over these chances, so that no result
depends on one draw of a randomised rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.context import MetricContext
from runners.metrics.fairness.formulae import COMBINED, Formula, difference, ratio
from runners.metrics.fairness.groups import Quartet, attribute_values, item_sides, number, rates_json
from runners.metrics.performance.counts import answers
from runners.registry import Column, MetricReturn, MetricValue, undefined
from runners.statistics.bootstrap import cluster_codes, table_interval

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

QUARTET: dict[Quartet, Formula] = {
    "spd": difference("selection_rate"),
    "di": ratio("selection_rate"),
    "eod": difference("true_positive_rate"),
    "aod": COMBINED["average_odds_difference"],
}
#: Results of every mitigation; `before` and the value itself are of the metric that is the objective.
COLUMNS = (
    Column("[attribute]"),
    Column("before[attribute]", title="The same before mitigation"),
    Column("balanced_accuracy[attribute]", title="Balanced accuracy after mitigation", direction="maximise",
           range=(0.0, 1.0)),
    Column("cost[attribute]", title="Balanced accuracy lost to mitigation", direction="minimise", range=(-1.0, 1.0)),
    Column("worse[attribute]", title="Group metrics made worse", unit="metrics", direction="minimise",
           range=(0.0, None)),
)  # fmt: skip
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Fitted:
    """Items a mitigation is fitted on, or applied to. `side` is 0 unprivileged, 1 privileged, 2 neither."""

    y: Bools
    side: IntArray
    predicted: Bools
    scores: FloatArray | None

    def table(self) -> IntArray:
        """Counts `[side, y, predicted]` of the two sides, (2, 2, 2)."""
        compared = self.side < 2
        cells = (self.side * 4 + self.y * 2 + self.predicted)[compared]
        return np.bincount(cells, minlength=8).reshape(2, 2, 2).astype(np.int64)


@dataclass(frozen=True)
class Rule:
    """`start` is each item's decision, (n,); `chance` `[side, start]` that it becomes favourable, (3, 2)."""

    start: Bools
    chance: FloatArray


def items_of(ctx: MetricContext, attribute: str) -> Fitted | MetricValue:
    """The items of a context as a mitigation sees them, or why there are too few."""
    found = attribute_values(ctx, attribute)
    if found is None:
        return undefined("the data split has no such attribute", state="not_applicable")
    spec, values = found
    side = item_sides(spec, values)
    for place, name in enumerate(("unprivileged", "privileged")):
        size = int((side == place).sum())
        if size < spec.minimum:
            reason = f"{name} has {size} items of the {spec.minimum} that {attribute} asks for"
            return undefined(reason, n=size, state="too_few")
    index = ctx.task.favourable_index
    scores = None if ctx.probabilities is None or index is None else ctx.probabilities[:, index]
    return Fitted(ctx.labels == index, np.where(side < 0, 2, side), answers(ctx) == index, scores)


def absent(attribute: str, value: MetricValue) -> dict[str, MetricValue]:
    """The same reason for each result."""
    return {column.key.replace("[attribute]", f"[{attribute}]"): value for column in COLUMNS}


def prepared(ctx: MetricContext, attribute: str) -> tuple[Fitted, Fitted] | MetricValue:
    """Items to fit on and items to apply to, or the reason why it cannot be done."""
    if ctx.validation is None:
        raise RuntimeError("a mitigation must declare the need `validation`")
    fitting, applied = items_of(ctx.validation, attribute), items_of(ctx, attribute)
    if isinstance(fitting, MetricValue):
        return undefined(f"validation split: {fitting.reason}", n=fitting.n, state=fitting.state)
    return applied if isinstance(applied, MetricValue) else (fitting, applied)


def expected(tables: npt.NDArray[Any], chance: FloatArray) -> FloatArray:
    """Expected counts `[..., side, y, decision]` of tables `[..., side, y, start]`."""
    given = (tables * chance[:, None, :]).sum(axis=-1)
    return np.stack([tables.sum(axis=-1) - given, given], axis=-1)


def distance(metric: Quartet, value: float) -> float:
    """How far a value is from the ideal: |d|, and for disparate impact |ln ratio|."""
    if metric != "di":
        return abs(value)
    return abs(math.log(value)) if value > 0 else math.inf


def worse_cells(
    before: Mapping[Quartet, float | None], after: Mapping[Quartet, float | None]
) -> tuple[list[Quartet], int]:
    """Metrics that are farther from their ideal after than before, and how many could be compared.

    One that was defined and is not any more has become worse.
    """
    defined = [(m, b) for m, b in before.items() if b is not None]
    out = []
    for metric, was in defined:
        now = after[metric]
        if now is None or distance(metric, now) > distance(metric, was) + _ROUNDING:
            out.append(metric)
    return out, len(defined)


def quartet(counts: npt.NDArray[Any]) -> dict[Quartet, float | None]:
    """The four of counts `[side, y, decision]`; None where undefined."""
    return {name: number(formula.value(counts)) for name, formula in QUARTET.items()}


def report(
    ctx: MetricContext, attribute: str, items: Fitted, rule: Rule, objective: Quartet, fit: Mapping[str, JsonValue]
) -> MetricReturn:
    """Every result of a mitigation with its interval; `fit` tells in the details what was fitted."""
    # Cells [side, y, predicted before, start]: before and after come from the same items.
    cells = ((items.side * 2 + items.y) * 2 + items.predicted) * 2 + rule.start
    shape = (3, 2, 2, 2)
    counts = np.bincount(cells, minlength=24).reshape(shape)
    codes = cluster_codes(ctx.clusters)

    def after(tables: IntArray) -> FloatArray:
        return expected(tables.sum(axis=-2), rule.chance)

    def value(name: str, statistic: Callable[[IntArray], FloatArray]) -> MetricValue:
        found = number(statistic(counts))
        if found is None:
            return undefined("a side, or the split, lacks one of the two outcomes", n=int(counts.sum()))
        rng = ctx.rng(f"fairness.mitigation.{name}.{attribute}")
        low, high = table_interval(statistic, cells, shape, codes, rng=rng)
        return MetricValue(found, low=low, high=high, n=int(counts.sum()))

    then = value(objective, lambda t: _shown(objective, after(t)[..., :2, :, :]))
    was = value(f"before.{objective}", lambda t: _shown(objective, t.sum(axis=-1)[..., :2, :, :]))
    then.details.update({**fit} | _told(counts, after(counts), rule.chance, objective))
    return {
        f"[{attribute}]": then,
        f"before[{attribute}]": was,
        f"balanced_accuracy[{attribute}]": value("balanced_accuracy", lambda t: _balanced(after(t))),
        f"cost[{attribute}]": value("cost", lambda t: _balanced(t.sum(axis=-1)) - _balanced(after(t))),
        f"worse[{attribute}]": _worse(ctx, items, rule),
    }


def _shown(objective: Quartet, counts: npt.NDArray[Any]) -> FloatArray:
    """What is reported of counts `[..., side, y, decision]`; 0 is parity whatever the objective, so boards can rank.

    Of disparate impact the natural logarithm, which treats both sides alike: ±0.22 are the four fifths.
    """
    values = QUARTET[objective].value(counts)
    if objective != "di":
        return values
    return np.asarray(np.log(values, out=np.full(np.shape(values), np.nan), where=values > 0), dtype=np.float64)


def _balanced(tables: npt.NDArray[Any]) -> FloatArray:
    """Balanced accuracy of all items of counts `[..., side, y, decision]`."""
    table = tables.sum(axis=-3)
    n = table.sum(axis=-1)
    right = np.stack([table[..., 0, 0], table[..., 1, 1]], axis=-1)
    shares = np.divide(right, n, out=np.full(n.shape, np.nan), where=n > 0)
    return np.asarray(shares.mean(axis=-1), dtype=np.float64)


def _told(counts: IntArray, after: FloatArray, chance: FloatArray, objective: Quartet) -> dict[str, JsonValue]:
    before = counts.sum(axis=-1)
    given = chance[:, None, None, :]
    changed = (counts[:, :, 0] * given[:, :, 0] + counts[:, :, 1] * (1 - given[:, :, 0])).sum()
    return {
        "objective": objective,
        "before": _summary(before),
        "after": _summary(after),
        "unprivileged": {"before": rates_json(before[0]), "after": rates_json(after[0])},
        "privileged": {"before": rates_json(before[1]), "after": rates_json(after[1])},
        "changed": float(changed),
    }


def _summary(table: npt.NDArray[Any]) -> dict[str, JsonValue]:
    return {
        **{str(name): value for name, value in quartet(table[:2]).items()},
        "balanced_accuracy": number(_balanced(table)),
    }


def _worse(ctx: MetricContext, items: Fitted, rule: Rule) -> MetricValue:
    """Metrics made worse, over every attribute that the split has: mitigating one may harm another."""
    given = rule.chance[items.side, rule.start.astype(np.intp)]
    listed: list[JsonValue] = []
    total = 0
    for name in sorted(ctx.attribute_specs):
        found = attribute_values(ctx, name)
        if found is None:
            continue
        side = item_sides(*found)
        kept = side >= 0
        if min(np.bincount(side[kept], minlength=2)) < found[0].minimum:
            continue
        row = (side * 2 + items.y)[kept]
        tables = []
        for favourable in (items.predicted.astype(np.float64), given):
            yes = np.bincount(row, weights=favourable[kept], minlength=4)
            tables.append(np.stack([np.bincount(row, minlength=4) - yes, yes], axis=-1).reshape(2, 2, 2))
        before, after = quartet(tables[0]), quartet(tables[1])
        metrics, compared = worse_cells(before, after)
        total += compared
        listed += [{"attribute": name, "metric": m, "before": before[m], "after": after[m]} for m in metrics]
    if total == 0:
        return undefined("no metric of any attribute is defined before mitigation", n=0)
    return MetricValue(float(len(listed)), n=total, details={"worse": listed, "compared": total})
