"""What privacy costs: accuracy against epsilon."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, JsonValue

from runners.context import FloatArray, IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.fairness.groups import attribute_values
from runners.metrics.performance.counts import answers
from runners.metrics.performance.shares import share_interval
from runners.metrics.privacy.accountant import Mechanism, numeric_epsilon, renyi_epsilon
from runners.metrics.privacy.accounted_epsilon import verdict
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import ITEM_DRAWS, cluster_codes, group_sums, percentile_interval, resample_sums
from runners.statistics.intervals import Interval

COLUMNS = (
    Column("", title="Accuracy over epsilon (area)"),
    Column("reach", title="Epsilon that reaches the accuracy without privacy", direction="minimise",
           range=(0.0, None)),
    Column("without_privacy", title="Accuracy without privacy"),
    Column("cost", title="Accuracy lost at the smallest epsilon", direction="minimise", range=(-1.0, 1.0)),
)  # fmt: skip


@metric(
    "privacy.accuracy_epsilon",
    title="Accuracy against epsilon",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes"),
    results=COLUMNS,
    reference="Jayaraman and Evans 2019, Evaluating Differentially Private Machine Learning in Practice",
    formula="area = ∫ accuracy d(ln ε) / ln(ε_max / ε_min), straight between levels\n"
    "reach = the least ε on that curve with accuracy ≥ accuracy without privacy − tolerance",
    interval="Percentile bootstrap: of items at each level on its own, or of whole clusters; a cluster that holds one "
    "item at all levels makes the levels' errors go together, as they do. Accuracy without privacy: Wilson.",
    limits="One training run a level: how much accuracy differs between runs is not in the interval. The epsilons are "
    "those that the split declares; only where `noise` is given are they checked against an accountant. A submission "
    "that is asked sees inputs and no level, so only files of predictions can answer level by level.",
)
def accuracy_epsilon(
    ctx: MetricContext,
    *,
    attribute: str = "epsilon",
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.01,
    noise: tuple[Annotated[float, Field(gt=0, le=1e4)], ...] = (),
    rate: Annotated[float, Field(gt=0, le=1)] | None = None,
    steps: Annotated[int, Field(ge=1, le=10**8)] | None = None,
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5,
) -> MetricReturn:
    """Accuracy at each privacy level, the mean of it over the logarithm of epsilon, and where privacy costs nothing.

    The split holds each test item once for each level, with the level as `attribute`: a number, or `inf` for the model
    without privacy. A submission is one file that answers each row with the model of that level; give the rows of one
    item the same cluster. `cost` is the accuracy without privacy less that at the smallest epsilon.

    `noise`: the noise multipliers of the levels, from the smallest epsilon to the largest finite one, which share
    `rate`, `steps` and `delta`: then `details.curve` has what the accountant gives for each, and whether the level's
    epsilon holds (`privacy.accounted_epsilon`).
    """
    found = attribute_values(ctx, attribute)
    if found is None:
        return _absent(f"the data split has no attribute {attribute}", "not_applicable")
    spec, values = found
    case = _levels(ctx, attribute, values.tolist(), spec.minimum)
    finite = np.isfinite(case.epsilons)
    if finite.sum() < 2:
        return _absent(f"fewer than two finite levels of {attribute} have {spec.minimum} items", "too_few")
    if noise and (len(noise) != int(finite.sum()) or rate is None or steps is None):
        raise ScorerFault(
            f"`noise` has {len(noise)} numbers for {int(finite.sum())} finite levels; it needs one each, and `rate` "
            "and `steps`."
        )
    accuracy = case.right / case.counts
    details: dict[str, JsonValue] = {
        "tolerance": tolerance, "curve": _curve(ctx, case, [Mechanism(s, rate or 0, steps or 0) for s in noise], delta)
    }  # fmt: skip
    draws = _drawn(ctx, case)
    area_of = MetricValue(
        float(area(case.epsilons[finite], accuracy[finite])), *_spread(area(case.epsilons[finite], draws[:, finite])),
        n=int(case.counts.sum()), details=details,
    )  # fmt: skip
    return {"": area_of, **_against(ctx, case, accuracy, draws, tolerance)}


@dataclass(frozen=True)
class _Levels:
    """`epsilons` (levels,), increasing, the last perhaps infinite; `level` of each item of `rows`, `hits` of them."""

    epsilons: FloatArray
    rows: IntArray
    level: IntArray
    hits: FloatArray

    @property
    def counts(self) -> FloatArray:
        return np.asarray(np.bincount(self.level, minlength=self.epsilons.size), dtype=np.float64)

    @property
    def right(self) -> FloatArray:
        return np.asarray(np.bincount(self.level, weights=self.hits, minlength=self.epsilons.size), dtype=np.float64)


def _levels(ctx: MetricContext, attribute: str, values: list[str | None], minimum: int) -> _Levels:
    try:
        epsilons = np.array([math.nan if value is None else float(value) for value in values])
    except ValueError as error:
        raise ScorerFault(f"The attribute {attribute!r} must hold numbers or `inf`: {error}.") from error
    if (epsilons <= 0).any():
        raise ScorerFault(f"The attribute {attribute!r} holds an epsilon that is not above 0.")
    kinds, sizes = np.unique(epsilons[~np.isnan(epsilons)], return_counts=True)
    kinds = kinds[sizes >= minimum]
    rows = np.flatnonzero(np.isin(epsilons, kinds))
    hits = (answers(ctx)[rows] == ctx.labels[rows]).astype(np.float64)
    return _Levels(kinds, rows, np.searchsorted(kinds, epsilons[rows]), hits)


def _drawn(ctx: MetricContext, case: _Levels) -> FloatArray:
    """Accuracies of resampled items or clusters, (draws, levels); NaN where a draw misses a level."""
    rng = ctx.rng("privacy.accuracy_epsilon")
    counts = case.counts.astype(np.int64)
    if ctx.clusters is None:
        return np.asarray(rng.binomial(counts, case.right / counts, size=(ITEM_DRAWS, counts.size)) / counts)
    codes = cluster_codes(ctx.clusters[case.rows])
    if codes is None:
        raise RuntimeError("there are clusters")
    which = np.eye(counts.size)[case.level]
    sums = resample_sums(group_sums(codes, np.hstack([which * case.hits[:, None], which])), draws=ITEM_DRAWS, rng=rng)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[:, : counts.size] / sums[:, counts.size :])


def area(epsilons: FloatArray, accuracy: FloatArray) -> FloatArray:
    """Mean of the accuracies (..., levels) over ln epsilon, by the trapezoidal rule: (...). Finite levels only."""
    width = np.diff(np.log(epsilons))
    return np.asarray(((accuracy[..., 1:] + accuracy[..., :-1]) / 2 * width).sum(axis=-1) / width.sum())


def reach(epsilons: FloatArray, accuracy: FloatArray, wanted: float) -> float:
    """The least epsilon on the curve of accuracies (levels,) that has at least the wanted one; inf where none has."""
    enough = np.flatnonzero(accuracy >= wanted)
    if enough.size == 0:
        return math.inf
    k = int(enough[0])
    if k == 0:
        return float(epsilons[0])
    share = (wanted - accuracy[k - 1]) / (accuracy[k] - accuracy[k - 1])
    low, high = math.log(epsilons[k - 1]), math.log(epsilons[k])
    return math.exp(low + share * (high - low))


def _spread(draws: FloatArray) -> Interval:
    """Percentile interval; none where the resamples are all the same, for then nothing is known of the error."""
    known = draws[np.isfinite(draws)]
    return percentile_interval(draws) if known.size and known.min() < known.max() else (None, None)


def _against(
    ctx: MetricContext, case: _Levels, accuracy: FloatArray, draws: FloatArray, tolerance: float
) -> dict[str, MetricValue]:
    """The results that compare with the model without privacy."""
    if math.isfinite(case.epsilons[-1]):
        none = undefined("no item has the level `inf`: there is no model without privacy")
        return dict.fromkeys(("reach", "without_privacy", "cost"), none)
    low, high = _share_at(ctx, case, case.epsilons.size - 1)
    cost_low, cost_high = _spread(draws[:, -1] - draws[:, 0])
    return {
        "reach": _reached(case.epsilons[:-1], accuracy, draws, tolerance),
        "without_privacy": MetricValue(float(accuracy[-1]), low=low, high=high, n=int(case.counts[-1])),
        "cost": MetricValue(float(accuracy[-1] - accuracy[0]), low=cost_low, high=cost_high),
    }


def _share_at(ctx: MetricContext, case: _Levels, k: int) -> Interval:
    """Interval of the accuracy at a level."""
    mine = case.level == k
    clusters = None if ctx.clusters is None else ctx.clusters[case.rows[mine]]
    return share_interval(case.hits[mine] > 0, clusters, rng=ctx.rng(f"privacy.accuracy_epsilon.{k}"))


def _reached(levels: FloatArray, accuracy: FloatArray, draws: FloatArray, tolerance: float) -> MetricValue:
    value = reach(levels, accuracy[:-1], float(accuracy[-1]) - tolerance)
    if math.isinf(value):
        return undefined(f"no level reaches the accuracy without privacy less {tolerance:g}; the largest is "
                         f"{levels[-1]:g}")  # fmt: skip
    whole = draws[np.isfinite(draws).all(axis=1)]
    if not whole.size:  # each misses a level: whole levels are few clusters
        return MetricValue(value, details={"resamples_that_reach_it": None})
    found = np.sort([reach(levels, row[:-1], float(row[-1]) - tolerance) for row in whole])
    low, high = (float(found[round(share * (found.size - 1))]) for share in (0.025, 0.975))
    details: dict[str, JsonValue] = {"resamples_that_reach_it": float(np.isfinite(found).mean())}
    ends = [end if math.isfinite(end) else None for end in (low, high)]
    return MetricValue(value, low=ends[0], high=ends[1], details=details)


def _curve(ctx: MetricContext, case: _Levels, mechanisms: list[Mechanism], delta: float) -> list[JsonValue]:
    points: list[JsonValue] = []
    for k, epsilon in enumerate(case.epsilons):
        low, high = _share_at(ctx, case, k)
        point: dict[str, JsonValue] = {
            "epsilon": float(epsilon) if math.isfinite(epsilon) else "inf", "n": int(case.counts[k]),
            "accuracy": float(case.right[k] / case.counts[k]), "low": low, "high": high,
        }  # fmt: skip
        if k < len(mechanisms):
            ctx.progress("accounting for epsilon", k / len(mechanisms))
            exact, renyi = numeric_epsilon(mechanisms[k], delta), renyi_epsilon(mechanisms[k], delta)
            point |= {
                "accounted": None if exact is None else exact.value, "renyi": renyi,
                "verdict": verdict(float(epsilon), exact, renyi, None),
            }  # fmt: skip
        points.append(point)
    return points


def _absent(reason: str, state: str) -> dict[str, MetricValue]:
    value = undefined(reason, state="too_few" if state == "too_few" else "not_applicable")
    return {column.key: value for column in COLUMNS}
