"""How far the groups that several attributes form together lie apart."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, JsonValue

from runners.context import MetricContext
from runners.metrics.fairness.evaluation import About, outcome_of
from runners.metrics.fairness.gaps import FloatArray, against_the_rest, effective_sizes, gap, holm
from runners.metrics.fairness.groups import number
from runners.metrics.fairness.joint import MOST_ATTRIBUTES, Joint, item_cells, joint_table
from runners.metrics.fairness.shares import SHARES
from runners.metrics.performance.counts import answers
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes
from runners.statistics.intervals import wilson

Rate = Literal[
    "selection_rate", "base_rate", "true_positive_rate", "false_positive_rate", "true_negative_rate",
    "false_negative_rate", "positive_predictive_value", "negative_predictive_value", "false_discovery_rate",
    "false_omission_rate", "accuracy", "error_rate",
]  # fmt: skip
Attributes = Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_ATTRIBUTES)]
_COLUMNS = (
    Column(""),
    Column("raw", title="Gap between groups, uncorrected"),
    Column("ratio", title="Lowest rate over highest", direction="maximise"),
    Column("suppressed", title="Groups with too few items", unit="groups", direction="none", range=(0.0, None)),
    Column("minimum_n", title="Items of the smallest group", unit="items", direction="none", range=(1.0, None)),
    Column("differing", title="Groups that differ from the rest", unit="groups", direction="minimise",
           range=(0.0, None)),
)  # fmt: skip
_DRAWS = 2000


@metric(
    "fairness.intersectional_gap",
    title="Gap between groups",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=_COLUMNS,
    reference="Kearns et al. 2018; plain as in fairlearn between groups; bias by parametric bootstrap; Holm 1979",
    formula="gap = max over groups of the rate − min over groups of the rate, less the bias that noise gives "
    "extremes\n"
    "ratio = min / max",
    interval="Parametric bootstrap about each possible gap: those to which the observed one is not extreme. In "
    "simulations of two groups it held the true gap in 97 to 99 of 100 cases. None for `raw`, `ratio` and the counts.",
    limits="Groups below `minimum` are suppressed and counted: a gap may hide in them. Which groups are the "
    "extremes is uncertain where many are alike, so read `details.groups` with their intervals; `differing` is "
    "corrected for their number, the intervals are not.",
)
def intersectional_gap(
    ctx: MetricContext,
    *,
    attribute: Attributes,
    rate: Rate = "selection_rate",
    about: About = "favourable",
    minimum: Annotated[int, Field(ge=1)] | None = None,
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05,
) -> MetricReturn:
    """Highest minus lowest rate over all groups that the attributes form together, freed of the bias of noise.

    Groups whose rate has fewer than `minimum` items to it (the largest of the attributes' unless given)
    are suppressed and counted. `raw` and `ratio` are plain; `differing` counts groups whose rate differs
    from that of all others together at `level`, corrected for their number.
    """
    outcome = outcome_of(ctx, about)
    joint = outcome if isinstance(outcome, MetricValue) else joint_table(ctx, attribute, outcome)
    if isinstance(joint, MetricValue):
        return {column.key: joint for column in _COLUMNS}
    if not joint.cells:
        return {column.key: undefined("no item has a known value of each attribute", n=0) for column in _COLUMNS}
    least = joint.minimum if minimum is None else minimum
    hits, trials = (array.astype(np.float64) for array in SHARES[rate].counts(joint.counts))
    kept = np.flatnonzero(trials >= least)
    worth = trials if ctx.clusters is None else _worth(ctx, joint, rate, about)
    sizes = joint.counts.sum(axis=(1, 2))
    shared: dict[str, JsonValue] = {
        "rate": rate, "attributes": list(attribute), "minimum": least, "unknown": joint.unknown,
        "groups": _groups(joint, rate, hits, trials, worth, kept.tolist()),
    }  # fmt: skip
    n = int(sizes.sum())
    out = {
        "suppressed": MetricValue(float(len(joint.cells) - kept.size), n=n),
        "minimum_n": MetricValue(float(sizes.min()), n=n),
    }
    if kept.size < 2:
        reason = f"{kept.size} of {len(joint.cells)} groups have the {least} items that are asked for; a gap needs two"
        few = MetricValue(None, n=n, state="too_few", reason=reason, details=shared)
        return dict.fromkeys(("", "raw", "ratio", "differing"), few) | out
    return _compared(ctx, hits[kept] / trials[kept], worth[kept], n, level, shared, f"{rate}.{attribute}") | out


def _compared(
    ctx: MetricContext, rates: FloatArray, worth: FloatArray, n: int, level: float, details: dict[str, JsonValue],
    purpose: str,
) -> dict[str, MetricValue]:  # fmt: skip
    found = gap(rates, worth, draws=_DRAWS, rng=ctx.rng(f"fairness.intersectional_gap.{purpose}"))
    adjusted = holm(against_the_rest(rates, worth))
    shown = details["groups"]
    for told, p in zip([g for g in shown if isinstance(g, dict) and g["shown"]], adjusted, strict=True):  # type: ignore[union-attr]
        told["p_holm"] = float(p)
    highest = float(rates.max())
    nothing = undefined("no group has a rate above 0, so the ratio divides by zero", n=n)
    return {
        "": MetricValue(found.value, low=found.low, high=found.high, n=n, details=details),
        "raw": MetricValue(found.raw, n=n),
        "ratio": MetricValue(float(rates.min()) / highest, n=n) if highest > 0 else nothing,
        "differing": MetricValue(float((adjusted < level).sum()), n=n),
    }


def _worth(ctx: MetricContext, joint: Joint, rate: Rate, about: About) -> FloatArray:
    """Independent items that each group's rate is worth."""
    share, outcome = SHARES[rate], ctx.task.positive_index if about == "positive" else ctx.task.favourable_index
    y, yhat = ctx.labels == outcome, answers(ctx) == outcome
    cells = item_cells(ctx, joint)
    base = (cells >= 0) & share.trials(y, yhat)
    codes = cluster_codes(None if ctx.clusters is None else ctx.clusters[base])
    if codes is None:
        return np.bincount(cells[base], minlength=len(joint.cells)).astype(np.float64)
    return effective_sizes(cells[base], share.hits(y, yhat)[base], codes, len(joint.cells))


def _groups(
    joint: Joint, rate: Rate, hits: FloatArray, trials: FloatArray, worth: FloatArray, kept: list[int]
) -> list[JsonValue]:
    """Every group with its size; rate and interval of those that are large enough. Nothing else of small ones."""
    out: list[JsonValue] = []
    for i, name in enumerate(joint.names):
        told: dict[str, JsonValue] = {"group": name, "n": int(joint.counts[i].sum()), "shown": i in kept}
        if i in kept:
            value = number(SHARES[rate].of(joint.counts[i]))
            low, high = wilson(hits[i] / trials[i] * worth[i], worth[i])
            told |= {"trials": int(trials[i]), "rate": value, "low": low, "high": high}
        out.append(told)
    return out
