"""How few parts of an input an explanation points at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import JsonValue

from runners.attacks.geometry import Floats
from runners.context import MetricContext
from runners.metrics.explainability.attributions import Method, Source, asked_through, gradients, per_unit, questions
from runners.metrics.explainability.subject import (
    Baseline,
    Items,
    Steps,
    Windows,
    maker,
    refused,
    subject,
)
from runners.models.base import Loss
from runners.registry import Cost, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval
from runners.statistics.wording import MEAN_INTERVAL


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    chosen = min(items, parameters["items"])
    typical, back = chosen * (1 + questions(parameters)), chosen * gradients(parameters)
    return Cost(least=chosen, typical=typical, access=asked_through(parameters), gradients=back)


@metric(
    "explainability.sparsity",
    title="Sparsity of explanations (Gini)",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("queries",),
    reference="Gini index: Hurley and Rickard 2009; of attributions: Chalasani et al. 2020",
    formula="Gini index of the absolute attributions a₍₁₎ ≤ … ≤ a₍d₎: Σⱼ (2j − d − 1) a₍ⱼ₎ / (d · Σⱼ a₍ⱼ₎), mean "
    "over items",
    interval=MEAN_INTERVAL,
    limits="Easy to read is not true: a map that always points at one corner is sparse. An `occlusion` map is even "
    "within its windows, so its index depends on `windows`.",
    queries=_cost,
)
def sparsity(
    ctx: MetricContext,
    *,
    method: Method = "occlusion",
    source: Source = "offered",
    loss: Loss = "margin",
    items: Items = 100,
    steps: Steps = 50,
    windows: Windows = 64,
    baseline: Baseline = "mean",
) -> MetricValue:
    """Mean Gini index of the absolute attributions: 0 where all parts weigh the same, 1 - 1/d where one of d has all.

    Items with no attribution at all have no index and are left out. A sparse explanation is easier to read, not truer.
    `source`: whose maps, the submission's own or those of the platform's
    `method`; `details` say which.
    """
    reason = refused(ctx, (method,), source)
    if reason:
        return undefined(reason, state="not_applicable")
    aim = subject(ctx, items, baseline)
    if aim is None:
        return undefined("the split has no items", n=0)
    explainer = aim.explainer(maker(ctx, method, source), loss, steps, windows)
    ctx.progress(f"sparsity: {explainer.method} of {aim.n} items", 0.0)
    found = explainer.explain(aim.model, aim.x, aim.base, aim.target)
    values = gini(per_unit(found, image=aim.image))
    known = np.isfinite(values)
    if not known.any():
        return undefined("the attributions of every item are zero", n=0)
    clusters = None if aim.clusters is None else aim.clusters[known]
    low, high = mean_interval(values[known], cluster_codes(clusters), rng=ctx.rng("explainability.sparsity"))
    details: dict[str, JsonValue] = {**explainer.told(), "without_attribution": int((~known).sum())}
    return MetricValue(float(values[known].mean()), low=low, high=high, n=int(known.sum()), details=details)


def gini(units: Floats) -> Floats:
    """Gini index of the absolute numbers of each row (n, units): (n,), NaN where all are zero."""
    size = np.sort(np.abs(units), axis=1)
    total, d = size.sum(axis=1), size.shape[1]
    weights = 2 * np.arange(1, d + 1) - d - 1
    found = np.divide(size @ weights, d * total, out=np.full(total.size, np.nan), where=total > 0)
    return np.asarray(found, dtype=np.float64)
