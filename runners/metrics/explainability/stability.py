"""How far an explanation moves when the input hardly does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, JsonValue

from runners.attacks.geometry import Floats, distance, random_start
from runners.context import MetricContext
from runners.metrics.explainability.attributions import Explainer, Method, Source, asked_through, gradients, questions
from runners.metrics.explainability.subject import (
    Baseline,
    Items,
    Steps,
    Subject,
    Windows,
    maker,
    refused,
    subject,
)
from runners.models.base import Loss
from runners.registry import Cost, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval
from runners.statistics.wording import MEAN_INTERVAL

Scale = Literal["relative", "absolute"]


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    chosen = min(items, parameters["items"])
    typical = chosen * (1 + (parameters["samples"] + 1) * questions(parameters))
    back = chosen * (parameters["samples"] + 1) * gradients(parameters)
    return Cost(least=chosen, typical=typical, access=asked_through(parameters), gradients=back)


@metric(
    "explainability.stability",
    title="Instability of explanations (local Lipschitz)",
    direction="minimise",
    range=(0.0, None),
    needs=("queries",),
    reference="Alvarez-Melis and Jaakkola 2018, On the Robustness of Interpretability Methods",
    formula="mean over items of max over x′ within `radius` of |E(x) − E(x′)| / |x − x′|\n"
    "`scale: relative`: divided by |E(x)| too",
    interval=MEAN_INTERVAL,
    limits="A lower bound: the worst of `samples` neighbours, not of all. A map that ignores the input is perfectly "
    "stable. Numbers of different `radius`, `method` or `scale` cannot be compared.",
    queries=_cost,
)
def stability(
    ctx: MetricContext,
    *,
    radius: Annotated[float, Field(gt=0)],
    method: Method = "occlusion",
    source: Source = "offered",
    loss: Loss = "margin",
    items: Items = 50,
    samples: Annotated[int, Field(ge=1, le=1000)] = 10,
    scale: Scale = "relative",
    steps: Steps = 50,
    windows: Windows = 64,
    baseline: Baseline = "mean",
) -> MetricValue:
    """Mean over items of the largest |E(x) - E(x')| / |x - x'| for `samples` inputs x' within `radius` of x in l2.

    The class that is explained stays that of x. `relative` divides by |E(x)| as well, so that models with larger
    answers are not worse for it; items with no attribution at all are then left out. 0 is an explanation that does not
    move. Samples find a lower bound: the worst neighbour may be worse. `radius` is in the units of the inputs.
    `source`: whose maps, the submission's own or those of the platform's
    `method`; `details` say which.
    """
    reason = refused(ctx, (method,), source)
    if reason:
        return undefined(reason, state="not_applicable")
    aim = subject(ctx, items, baseline)
    if aim is None or ctx.input is None:
        return undefined("the split has no items", n=0)
    explainer = aim.explainer(maker(ctx, method, source), loss, steps, windows)
    ctx.progress(f"stability: {explainer.method} of {aim.n} items", 0.0)
    values = _largest(ctx, aim, explainer, radius, samples, scale)
    known = np.isfinite(values)
    if not known.any():
        return undefined("the attributions of every item are zero, or no neighbour differs from its item", n=0)
    clusters = None if aim.clusters is None else aim.clusters[known]
    low, high = mean_interval(values[known], cluster_codes(clusters), rng=ctx.rng("explainability.stability.interval"))
    details: dict[str, JsonValue] = {
        **explainer.told(),
        "median": float(np.median(values[known])), "largest": float(values[known].max()),
        "left_out": int((~known).sum()), "radius": radius, "samples": samples,
    }  # fmt: skip
    return MetricValue(float(values[known].mean()), low=low, high=high, n=int(known.sum()), details=details)


def _largest(
    ctx: MetricContext, aim: Subject, explainer: Explainer, radius: float, samples: int, scale: Scale
) -> Floats:
    """The largest ratio of each item, (n,); NaN where there is none."""
    if ctx.input is None:
        raise RuntimeError("a metric that asks the model must declare the need `queries`")
    rng = ctx.rng("explainability.stability")
    own = explainer.explain(aim.model, aim.x, aim.base, aim.target)
    size = distance(own, np.zeros_like(own), "l2") if scale == "relative" else np.ones(aim.n)
    worst = np.full(aim.n, np.nan)
    for number in range(samples):
        near = random_start(aim.x, np.full(aim.n, radius), "l2", ctx.input.range, rng)
        moved = explainer.explain(aim.model, near, aim.base, aim.target)
        step = distance(near, aim.x, "l2") * size
        ratio = np.divide(distance(moved, own, "l2"), step, out=np.full(aim.n, np.nan), where=step > 0)
        worst = np.fmax(worst, ratio)
        ctx.progress("stability: neighbours", (number + 1) / samples)
    return worst
