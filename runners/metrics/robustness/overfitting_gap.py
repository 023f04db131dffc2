"""Robust overfitting: what a model loses between its best checkpoint and its last."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.attributes import Attribute
from runners.context import IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.performance.counts import answers
from runners.registry import MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import ITEM_DRAWS, cluster_codes, group_sums, percentile_interval, resample_sums


def gap(best: float, final: float) -> float:
    """|BC - FC|, from the accuracy of the best checkpoint and of the last, in the unit of both."""
    return abs(best - final)


@metric(
    "robustness.overfitting_gap",
    title="Robust-overfitting gap",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("predictions", "attributes"),
    results=("[attribute]",),
    reference="Rice, Wong and Kolter, ICML 2020: best against last checkpoint",
    formula="gap = |accuracy of the best checkpoint − accuracy of the last|",
    interval="Percentile bootstrap over items, or whole clusters: give the copies of an item the same cluster. It "
    "keeps the best checkpoint as it is; none where the last is the best.",
    limits="The best of many noisy checkpoints is above the last by chance alone, and the interval does not show "
    "it: choose the best on other items where it matters. Whether it is about robust accuracy depends on the "
    "answers that the file holds.",
)
def overfitting_gap(ctx: MetricContext, *, attribute: str) -> MetricReturn:
    """|BC - FC|: the accuracy of the best checkpoint less that of the last, computed from the answers of both.

    The split holds every item once for each checkpoint, and `attribute` the number of its epoch. The last checkpoint
    is the one with the largest number. 0: the last is the best. Undefined with fewer than two checkpoints.

    The interval draws items (clusters, where the split has them: give the copies of one item the same cluster) and
    keeps the best checkpoint as it is, so it says nothing of the choice among checkpoints on the same items.

    Raises:
        ScorerFault: a value of the attribute is no number.
    """
    key = f"[{attribute}]"
    values = ctx.attributes.get(attribute)
    if values is None:
        return {key: undefined("the data split has no such attribute", state="not_applicable")}
    known = values.known
    epochs = _numbers(values[known], attribute)
    steps = np.unique(epochs)
    if steps.size < 2:
        return {key: undefined(f"{attribute} names {steps.size} checkpoints; a gap needs two", n=int(known.sum()))}
    right = (answers(ctx) == ctx.labels)[known]
    accuracy = [float(right[epochs == step].mean()) for step in steps]
    best, last = int(np.argmax(accuracy)), steps.size - 1
    clusters = None if ctx.clusters is None else ctx.clusters[known]
    low, high = _interval(ctx, right, epochs, (steps[best], steps[last]), cluster_codes(clusters))
    curve: list[JsonValue] = [
        {"checkpoint": float(step), "accuracy": a, "n": int((epochs == step).sum())}
        for step, a in zip(steps, accuracy, strict=True)
    ]
    details: dict[str, JsonValue] = {
        "best_checkpoint": float(steps[best]), "last_checkpoint": float(steps[last]), "best": accuracy[best],
        "final": accuracy[last], "checkpoints": curve, "unknown": int((~known).sum()),
    }  # fmt: skip
    value = gap(accuracy[best], accuracy[last])
    return {key: MetricValue(value, low=low, high=high, n=int((epochs == steps[last]).sum()), details=details)}


def _numbers(values: Attribute, attribute: str) -> npt.NDArray[np.float64]:
    try:
        met = values.sizes()
        table = np.array([float(name) if name in met else np.nan for name in values.names], dtype=np.float64)
        return np.asarray(table[values.codes])
    except ValueError as error:
        raise ScorerFault(
            f"{attribute} must hold the number of each item's checkpoint: {error}.",
            hint="Write the epoch as a number, for example 200.",
        ) from error


def _interval(
    ctx: MetricContext,
    right: npt.NDArray[np.bool_],
    epochs: npt.NDArray[np.float64],
    pair: tuple[float, float],
    codes: IntArray | None,
) -> tuple[float | None, float | None]:
    best, last = (epochs == step for step in pair)
    if pair[0] == pair[1]:
        return None, None
    rows = np.column_stack([best & right, best, last & right, last]).astype(np.float64)
    units = rows if codes is None else group_sums(codes, rows)
    if units.shape[0] < 2:
        return None, None
    sums = resample_sums(units, draws=ITEM_DRAWS, rng=ctx.rng("robustness.overfitting_gap"))
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = percentile_interval(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3], units=units.shape[0])
    # The best is never below the last: what lies below zero is no gap.
    return None if low is None else max(0.0, low), None if high is None else max(0.0, high)
