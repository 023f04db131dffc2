"""Sanity checks: does an explanation depend on what it is said to explain?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import JsonValue

from runners.attacks.geometry import Floats, Ints
from runners.context import MetricContext
from runners.metrics.explainability.attributions import (
    Explainer,
    Method,
    Source,
    asked_through,
    gradients,
    per_unit,
    questions,
)
from runners.metrics.explainability.ranks import spearman
from runners.metrics.explainability.subject import (
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
from runners.models.base import Loss
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval
from runners.statistics.wording import MEAN_INTERVAL

COLUMNS = (
    Column("random_class", title="Agreement with the map of a random other class"),
    Column("input_only", title="Agreement with the input alone"),
    Column("random_map", title="Agreement with a random map", direction="zero"),
)


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    chosen = min(items, parameters["items"])
    typical, back = chosen * (1 + 2 * questions(parameters)), chosen * 2 * gradients(parameters)
    return Cost(least=chosen, typical=typical, access=asked_through(parameters), gradients=back)


@metric(
    "explainability.randomisation",
    title="Randomisation checks of explanations",
    direction="minimise",
    range=(-1.0, 1.0),
    needs=("queries",),
    results=COLUMNS,
    reference="Random class: Sixt et al. 2020; what a map owes to the input alone: Adebayo et al. 2018",
    formula="mean over items of Spearman's rank correlation between the map and another one",
    interval=MEAN_INTERVAL,
    limits="A low correlation is necessary, not sufficient: noise has it too. The check of Adebayo et al. with "
    "random weights is not offered, for weights cannot be changed through questions. Where classes look alike, maps "
    "of two classes may rightly agree.",
    queries=_cost,
)
def randomisation(
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
    """Mean rank correlation of the maps with maps that must not look like them.

    `random_class`: the map of another class, drawn for each item; near 1 the map does not depend on the class it
    explains. `input_only`: the distance of each part from `baseline`, for which no model is needed; near 1 the map
    shows the input, not the model. `random_map`: noise; 0 lies outside its interval once in twenty runs, and far
    outside only if something is wrong. Of two classes the platform's own methods give each the map of the other, turned
    round: then there is no `random_class`. Adebayo's own check, explaining a model with random weights, is not among
    them: a submission's weights cannot be changed through questions. Items whose map is the same everywhere are left
    out. `source`: whose maps, the submission's own or those of the platform's `method`; `details` say which.
    """
    reason = refused(ctx, (method,), source)
    if reason:
        return absent(COLUMNS, reason, applicable=False)
    aim = subject(ctx, items, baseline)
    if aim is None:
        return absent(COLUMNS, "the split has no items")
    explainer = aim.explainer(maker(ctx, method, source), loss, steps, windows)
    rng = ctx.rng("explainability.randomisation")
    other = (aim.target + rng.integers(1, aim.classes, aim.n)) % aim.classes
    ctx.progress(f"randomisation: {explainer.method} of {aim.n} items", 0.0)
    own = per_unit(explainer.explain(aim.model, aim.x, aim.base, aim.target), image=aim.image)
    alone = per_unit(np.abs(aim.x - aim.base.astype(np.float64)), image=aim.image)
    told = explainer.told()
    return {
        "random_class": _another_class(ctx, aim, explainer, own, other),
        "input_only": _agreement(ctx, aim, own, alone, told),
        "random_map": _agreement(ctx, aim, own, rng.random(own.shape), told),
    }


def _another_class(ctx: MetricContext, aim: Subject, explainer: Explainer, own: Floats, other: Ints) -> MetricValue:
    if aim.classes == 2 and explainer.method != "submission":
        reason = (
            "of two classes the platform's methods give the same map, turned round or without sign: their agreement "
            "says nothing of the model"
        )
        return undefined(reason, state="not_applicable")
    ctx.progress("randomisation: another class", 0.5)
    second = per_unit(explainer.explain(aim.model, aim.x, aim.base, other), image=aim.image)
    return _agreement(ctx, aim, own, second, explainer.told())


def _agreement(ctx: MetricContext, aim: Subject, own: Floats, other: Floats, told: dict[str, JsonValue]) -> MetricValue:
    values = spearman(own, other)
    known = np.isfinite(values)
    if not known.any():
        return undefined("one of the two maps is the same everywhere, for every item", n=0)
    clusters = None if aim.clusters is None else aim.clusters[known]
    rng = ctx.rng("explainability.randomisation.interval")
    low, high = mean_interval(values[known], cluster_codes(clusters), rng=rng)
    details: dict[str, JsonValue] = {**told, "left_out": int((~known).sum())}
    return MetricValue(float(values[known].mean()), low=low, high=high, n=int(known.sum()), details=details)
