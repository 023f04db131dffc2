"""Relative performance: how many fewer errors a model makes where an attribute is present than where it is absent.

With err+ the share of errors among items that have the attribute's value and err- among those that have
another, RP = 1 - err+/err-. Control groups of the same sizes, drawn whatever their value, tell what RP
chance alone gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import IntArray, MetricContext
from runners.metrics.fairness.groups import attribute_values, number
from runners.metrics.fairness.table import count
from runners.metrics.performance.counts import answers
from runners.registry import MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import (
    TABLE_DRAWS,
    cluster_codes,
    group_sums,
    groups_of,
    multinomial_tables,
    percentile_interval,
    table_interval,
)
from runners.statistics.intervals import FEW, Interval, mover_ratio

FloatArray = npt.NDArray[np.float64]
#: The items that are looked at.
Only = Literal["all", "negative", "positive"]
_SOURCE = "Xu et al., A comprehensive analysis of AI biases in deepfake detection, 2022"
_INTERVAL = (
    "Percentile bootstrap of the count table (4000 draws), or of whole clusters; from Wilson intervals (Donner and Zou "
    "2012) where one of the two has fewer than 20 errors, or fewer than 20 right answers."
)
#: Random numbers held at once for control groups of whole clusters.
_BUDGET = 20_000_000
#: More undefined control groups than this share, and there is no corrected value.
_UNDEFINED_SHARE = 0.1


@dataclass(frozen=True)
class Errors:
    """`counts` `[present, wrong]`, (2, 2), int64; index 1 is present, and wrong.

    Only where items share clusters, `cells` are present * 2 + wrong of each item, and `codes` their clusters.
    """

    present: str
    minimum: int
    counts: IntArray
    unknown: int
    cells: IntArray | None = None
    codes: IntArray | None = None


def relative(tables: IntArray) -> FloatArray:
    """RP of counts `[..., present, wrong]`; NaN where one of the two has no item, or no error where absent."""
    sizes = tables.sum(axis=-1)
    rate = np.divide(tables[..., 1], sizes, out=np.full(sizes.shape, np.nan), where=sizes > 0)
    present, absent = rate[..., 1], rate[..., 0]
    out = np.divide(present, absent, out=np.full(np.shape(absent), np.nan), where=absent > 0)
    return np.asarray(1 - out, dtype=np.float64)


def _errors(ctx: MetricContext, attribute: str, present: str | None, only: Only) -> Errors | MetricValue:
    found = attribute_values(ctx, attribute)
    if found is None:
        return undefined("the data split has no such attribute", state="not_applicable")
    spec, values = found
    name = present or spec.privileged
    wrong = ctx.labels != answers(ctx)
    chosen = None if only == "all" else (ctx.labels == ctx.task.positive_index) == (only == "positive")
    # The table of groups, with who is looked at in the place of the true outcome and errors in that of the predicted.
    key = ("fairness.errors", attribute, only)
    table = ctx.once(key, lambda: count(values, np.ones(ctx.n, dtype=bool) if chosen is None else chosen, wrong))
    looked = table.counts[:, 1]
    has = np.array([group == name for group in table.groups], dtype=bool)
    counts = np.stack([looked[~has].sum(axis=0), looked[has].sum(axis=0)]).astype(np.int64)
    if ctx.clusters is None:
        return Errors(name, spec.minimum, counts, table.unknown)
    kept = values.known if chosen is None else values.known & chosen
    cells = ((values == name) * 2 + wrong)[kept].astype(np.int64)
    return Errors(name, spec.minimum, counts, table.unknown, cells, cluster_codes(ctx.clusters[kept]))


def _value(ctx: MetricContext, attribute: str, errors: Errors | MetricValue, purpose: str) -> MetricValue:
    """RP with its interval, or why there is none."""
    if isinstance(errors, MetricValue):
        return errors
    n, sizes = int(errors.counts.sum()), errors.counts.sum(axis=1)
    details = _details(errors)
    if int(sizes.min()) < errors.minimum:
        which = "absent" if sizes[0] < sizes[1] else "present"
        reason = (
            f"{errors.present} is {which} in {int(sizes.min())} items of the {errors.minimum} that {attribute} asks for"
        )
        return MetricValue(None, n=n, state="too_few", reason=reason, details=details)
    value = number(relative(errors.counts))
    if value is None:
        reason = f"there is no error where {attribute} is not {errors.present}, so the ratio divides by zero"
        return MetricValue(None, n=n, state="undefined", reason=reason, details=details)
    low, high = _interval(ctx, errors, purpose)
    return MetricValue(value, low=low, high=high, n=n, details=details)


def _interval(ctx: MetricContext, errors: Errors, purpose: str) -> Interval:
    rng = ctx.rng(purpose)
    if errors.codes is not None and errors.cells is not None:
        units = int(groups_of(errors.codes, errors.cells // 2, 2).min())
        return table_interval(relative, errors.cells, (2, 2), errors.codes, rng=rng, units=units)
    wrong, sizes = errors.counts[:, 1], errors.counts.sum(axis=1)
    if int(errors.counts.min()) < FEW:
        # So little varies that a bootstrap would be too narrow.
        low, high = mover_ratio((int(wrong[1]), int(wrong[0])), (int(sizes[1]), int(sizes[0])))
        return None if high is None else 1 - high, None if low is None else 1 - low
    return percentile_interval(relative(multinomial_tables(errors.counts, draws=TABLE_DRAWS, rng=rng)))


def _details(errors: Errors) -> dict[str, JsonValue]:
    sizes = errors.counts.sum(axis=1)
    rates = [number(int(w) / int(n)) if n else None for w, n in zip(errors.counts[:, 1], sizes, strict=True)]
    return {
        "present": errors.present, "n_present": int(sizes[1]), "n_absent": int(sizes[0]), "error_present": rates[1],
        "error_absent": rates[0], "counts": errors.counts.tolist(), "unknown": errors.unknown,
    }  # fmt: skip


def controls(errors: Errors, draws: int, rng: np.random.Generator) -> FloatArray:
    """RP of pairs of control groups drawn without looking at the attribute, each pair anew: (draws,), NaN undefined.

    The two groups of a pair are drawn apart from each other. Where items share clusters, whole clusters
    are taken until the group is as large as the one it stands for.
    """
    total, wrong = int(errors.counts.sum()), int(errors.counts[:, 1].sum())
    sizes = errors.counts.sum(axis=1)
    if errors.codes is None or errors.cells is None:
        drawn = [rng.hypergeometric(wrong, total - wrong, int(size), size=draws) for size in sizes]
        return relative(np.stack([np.stack([s - d, d], axis=-1) for s, d in zip(sizes, drawn, strict=True)], axis=1))
    units = group_sums(errors.codes, np.column_stack([np.ones(errors.cells.size), errors.cells % 2]))
    draws = max(200, min(draws, _BUDGET * 10 // units.shape[0]))
    parts = [_clustered(units, sizes, part, rng) for part in _parts(draws, max(1, _BUDGET // units.shape[0]))]
    return np.concatenate(parts)


def _parts(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]


def _clustered(units: FloatArray, sizes: IntArray, draws: int, rng: np.random.Generator) -> FloatArray:
    tables = np.empty((draws, 2, 2))
    for side, size in enumerate(sizes.tolist()):
        order = rng.random((draws, units.shape[0])).argsort(axis=1)
        items = units[order, 0].cumsum(axis=1)
        # The cluster that makes the group large enough is in: a group is never empty.
        taken = np.argmax(items >= size, axis=1)[:, None]
        errors = np.take_along_axis(units[order, 1].cumsum(axis=1), taken, axis=1)[:, 0]
        tables[:, side, 1] = errors
        tables[:, side, 0] = np.take_along_axis(items, taken, axis=1)[:, 0] - errors
    return relative(np.rint(tables).astype(np.int64))


@metric(
    "fairness.relative_performance",
    title="Relative performance (RP)",
    direction="zero",
    range=(None, 1.0),
    needs=("predictions", "attributes"),
    results=("[attribute]",),
    reference=f"{_SOURCE}; interval: bootstrap of the count table",
    formula="RP = 1 − err₊ / err₋\nerr₊, err₋ = share of errors where the attribute is `present`, and where it is not",
    interval=_INTERVAL,
    limits="Not symmetric: twice the errors is −1, half of them 0.5. A group that is harder by itself, or has "
    "another mixture of classes, is seen as bias: read the control of `fairness.corrected_relative_performance`, "
    "and PDRP and DDRP for each class.",
)
def relative_performance(ctx: MetricContext, *, attribute: str, present: str | None = None) -> MetricReturn:
    """1 - error rate where the attribute is `present` / error rate where it is not: -1 is twice the errors.

    `present` is a value of the attribute, the privileged one unless given. Undefined where nothing else errs.
    """
    errors = _errors(ctx, attribute, present, "all")
    return {f"[{attribute}]": _value(ctx, attribute, errors, f"fairness.rp.{attribute}")}


@metric(
    "fairness.pristine_data_relative_performance",
    title="Pristine data relative performance (PDRP)",
    direction="zero",
    range=(None, 1.0),
    needs=("predictions", "attributes", "binary"),
    results=("[attribute]",),
    reference=f"{_SOURCE}; interval: bootstrap of the count table",
    formula="PDRP = 1 − FPR₊ / FPR₋ over the negative items",
    interval=_INTERVAL,
    limits="Where false positives are few the ratio jumps; undefined where there are none without the attribute. It "
    "says nothing of the positive items: read DDRP.",
)
def pristine_data_relative_performance(
    ctx: MetricContext, *, attribute: str, present: str | None = None
) -> MetricReturn:
    """Relative performance on the negative items alone (real ones, for a detector of fakes): errors are FPR."""
    errors = _errors(ctx, attribute, present, "negative")
    return {f"[{attribute}]": _value(ctx, attribute, errors, f"fairness.pdrp.{attribute}")}


@metric(
    "fairness.deepfake_data_relative_performance",
    title="Deepfake data relative performance (DDRP)",
    direction="zero",
    range=(None, 1.0),
    needs=("predictions", "attributes", "binary"),
    results=("[attribute]",),
    reference=f"{_SOURCE}; interval: bootstrap of the count table",
    formula="DDRP = 1 − FNR₊ / FNR₋ over the positive items",
    interval=_INTERVAL,
    limits="Where false negatives are few the ratio jumps; undefined where there are none without the attribute. It "
    "says nothing of the negative items: read PDRP.",
)
def deepfake_data_relative_performance(
    ctx: MetricContext, *, attribute: str, present: str | None = None
) -> MetricReturn:
    """Relative performance on the positive items alone (fakes, for a detector of fakes): errors are FNR."""
    errors = _errors(ctx, attribute, present, "positive")
    return {f"[{attribute}]": _value(ctx, attribute, errors, f"fairness.ddrp.{attribute}")}


@metric(
    "fairness.corrected_relative_performance",
    title="Corrected relative performance (CRP)",
    direction="zero",
    range=(None, None),
    needs=("predictions", "attributes"),
    results=("[attribute]",),
    reference=f"{_SOURCE}; the mean of many control draws in place of one",
    formula="CRP = RP − mean RP of `draws` pairs of control groups of the same sizes, drawn whatever their value",
    interval="That of RP, moved by the mean of the controls, whose own error is made small by `draws`.",
    limits="The source draws one control group; its number hangs on that draw. The correction takes off what ratios "
    "of small groups have by themselves, not what makes a group harder. Read `details.control`.",
)
def corrected_relative_performance(
    ctx: MetricContext,
    *,
    attribute: str,
    present: str | None = None,
    draws: Annotated[int, Field(ge=200, le=100_000)] = 2000,
) -> MetricReturn:
    """Relative performance minus what control groups of the same sizes have on average, drawn whatever their value.

    `details.control` has the range of 95 % of the controls, and how often one is as far from 0 as RP is.
    """
    key, errors = f"[{attribute}]", _errors(ctx, attribute, present, "all")
    value = _value(ctx, attribute, errors, f"fairness.rp.{attribute}")
    if isinstance(errors, MetricValue) or value.value is None:
        return {key: value}
    found = controls(errors, draws, ctx.rng(f"fairness.crp.{attribute}"))
    good = found[np.isfinite(found)]
    if good.size < (1 - _UNDEFINED_SHARE) * found.size:
        reason = f"{found.size - good.size} of {found.size} control groups have no error, so no RP"
        return {key: MetricValue(None, n=value.n, state="undefined", reason=reason, details=value.details)}
    mean, (low, high) = float(good.mean()), percentile_interval(good)
    as_far = (1 + int((np.abs(good) >= abs(value.value)).sum())) / (1 + good.size)
    details = value.details | {
        "relative_performance": value.value,
        "control": {"mean": mean, "low": low, "high": high, "draws": int(found.size), "as_far": as_far},
    }
    ends = [None if end is None else end - mean for end in (value.low, value.high)]
    return {key: MetricValue(value.value - mean, low=ends[0], high=ends[1], n=value.n, details=details)}
