"""Average drop and increase in confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import JsonValue

from runners.attacks.geometry import Floats
from runners.context import MetricContext
from runners.metrics.explainability.attributions import Method, Source, asked_through, gradients, per_unit, questions
from runners.metrics.explainability.removal import kept, places
from runners.metrics.explainability.subject import (
    MASKED,
    Baseline,
    Items,
    Steps,
    Subject,
    Windows,
    absent,
    maker,
    refused,
    subject,
)
from runners.metrics.performance.shares import share_interval
from runners.models.base import Loss
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric
from runners.statistics.bootstrap import cluster_codes, mean_interval

#: Percent of an item that is kept.
_KEPT = (100, 50, 15)
COLUMNS = (
    *(Column(f"drop_{v}", title=f"Average drop ({v} % kept)") for v in _KEPT),
    *(Column(f"increase_{v}", title=f"Increase in confidence ({v} % kept)", direction="maximise") for v in _KEPT),
    Column("queries", title="Questions per explanation", unit="queries/item", direction="none", range=(0.0, None)),
)


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    chosen = min(items, parameters["items"])
    typical = chosen * (1 + questions(parameters) + 2 * len(_KEPT))
    back = chosen * gradients(parameters)
    return Cost(least=chosen, typical=typical, access=asked_through(parameters), gradients=back)


@metric(
    "explainability.average_drop",
    title="Average drop",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("queries",),
    results=COLUMNS,
    reference="Chattopadhay et al. 2018 (Grad-CAM++); 100, 50 and 15 % kept: Gkartzonika et al. 2022 (L-CAM)",
    formula="drop_v = (1/n) Σᵢ max(0, yᵢ − oᵢ) / yᵢ;  increase_v = share of items with oᵢ > yᵢ\n"
    "y, o = probability of the predicted class for the item, and for the item times its map cut to the most "
    "important v %",
    interval="Percentile bootstrap of the mean over items, or over whole clusters; of increase: Wilson.",
    limits=MASKED,
    queries=_cost,
)
def average_drop(
    ctx: MetricContext,
    *,
    method: Method = "occlusion",
    source: Source = "offered",
    loss: Loss = "margin",
    items: Items = 100,
    steps: Steps = 50,
    windows: Windows = 64,
    baseline: Baseline = "mean",
) -> MetricReturn:
    """What the model's confidence loses when only what an explanation calls important is left of the input.

    The predicted class of each item is explained. y is its probability; o that with the item multiplied by its map,
    which is scaled to [0, 1] and cut to the most important 100, 50 or 15 %; hidden parts become `baseline`, a number or
    the mean item of the split. Average drop is the mean of max(0, y - o) / y, 0 to 1, increase in confidence the share
    of items with o > y. `details` have a random map in the same place: an explanation that does no better explains
    nothing. `source`: whose maps, the submission's own or those of the platform's `method`; `details` say which.
    Masked inputs are unlike all that the model was trained on; compare numbers of one baseline only.
    `queries` counts one explanation.
    """
    reason = refused(ctx, (method,), source)
    if reason:
        return absent(COLUMNS, reason, applicable=False)
    aim = subject(ctx, items, baseline)
    if aim is None:
        return absent(COLUMNS, "the split has no items")
    before = aim.model.queries
    explainer = aim.explainer(maker(ctx, method, source), loss, steps, windows)
    ctx.progress(f"average drop: {explainer.method} of {aim.n} items", 0.0)
    found = explainer.explain(aim.model, aim.x, aim.base, aim.target)
    asked = aim.model.queries - before
    units = per_unit(found, image=aim.image)
    rng = ctx.rng("explainability.average_drop")
    ctx.progress("average drop: masks", 0.6)
    shares = tuple(v / 100 for v in _KEPT)
    scores = kept(aim, units, places(units, rng), shares)
    noise = rng.random(units.shape)
    control = kept(aim, noise, places(noise, rng), shares)
    out: dict[str, MetricValue] = {}
    for v, score, random in zip(_KEPT, scores, control, strict=True):
        out[f"drop_{v}"] = _drop(ctx, aim, score, random, explainer.told())
    for v, score, random in zip(_KEPT, scores, control, strict=True):
        out[f"increase_{v}"] = _increase(ctx, aim, score, random)
    return {**out, "queries": MetricValue(asked / aim.n, n=aim.n, details=explainer.told())}


def drops(score: Floats, kept_score: Floats) -> Floats:
    """Relative loss of each item's score, (n,); the score of a predicted class is never 0."""
    return np.asarray(np.maximum(0.0, score - kept_score) / score, dtype=np.float64)


def _drop(ctx: MetricContext, aim: Subject, score: Floats, random: Floats, told: dict[str, JsonValue]) -> MetricValue:
    values = drops(aim.score, score)
    low, high = mean_interval(values, cluster_codes(aim.clusters), rng=ctx.rng("explainability.average_drop.interval"))
    details: dict[str, JsonValue] = {**told, "random_map": float(drops(aim.score, random).mean())}
    return MetricValue(float(values.mean()), low=low, high=high, n=aim.n, details=details)


def _increase(ctx: MetricContext, aim: Subject, score: Floats, random: Floats) -> MetricValue:
    hits = score > aim.score
    low, high = share_interval(hits, aim.clusters, rng=ctx.rng("explainability.increase.interval"))
    details: dict[str, JsonValue] = {"random_map": float((random > aim.score).mean())}
    return MetricValue(float(hits.mean()), low=low, high=high, n=aim.n, details=details)
