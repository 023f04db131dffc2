"""Do the metrics of explanations agree on which explanation is the better one?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from runners.attacks.geometry import Floats
from runners.context import MetricContext
from runners.errors import ScorerFault
from runners.metrics.explainability.attributions import Maker, Method, Source, access, gradients, per_unit, questions
from runners.metrics.explainability.average_drop import drops
from runners.metrics.explainability.ranks import kendall
from runners.metrics.explainability.removal import area, curves, kept, places
from runners.metrics.explainability.subject import (
    Baseline,
    Items,
    Steps,
    Subject,
    Windows,
    absent,
    explains_itself,
    refused,
    subject,
)
from runners.models.base import Loss
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval
from runners.statistics.wording import MEAN_INTERVAL

#: Metrics whose orders are compared; each as "larger is better".
_METRICS = ("deletion", "insertion", "drop_50")
COLUMNS = (
    Column("", title="Rank agreement between metrics of explanations"),
    Column("deletion_insertion", title="Rank agreement: deletion and insertion"),
    Column("deletion_drop_50", title="Rank agreement: deletion and average drop"),
    Column("insertion_drop_50", title="Rank agreement: insertion and average drop"),
)
_ALL: tuple[Method, ...] = ("saliency", "gradient_x_input", "integrated_gradients", "occlusion")
_Methods = Annotated[tuple[Method, ...], Field(min_length=1, max_length=4)]


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    chosen, methods = min(items, parameters["items"]), parameters["methods"]
    each = sum(questions(parameters, method) for method in methods)
    own = 1 if parameters["source"] == "submission" else 0
    typical = chosen * (1 + each + own + (len(methods) + own + 1) * (2 * (parameters["points"] + 1) + 1))
    back = chosen * sum(gradients(parameters, method) for method in methods)
    if own:
        return Cost(least=chosen, typical=typical, access="explanations", gradients=back)
    needs = {access(method) for method in methods}
    return Cost(
        least=chosen, typical=typical, access="gradients" if "gradients" in needs else "queries", gradients=back
    )


@metric(
    "explainability.rank_agreement",
    title="Rank agreement between metrics of explanations",
    direction="maximise",
    range=(-1.0, 1.0),
    needs=("queries",),
    results=COLUMNS,
    reference="Kendall's tau-b; agreement of saliency metrics: Tomsett et al. 2020, Sanity Checks for Saliency Metrics",
    formula="mean over items, and over pairs of metrics, of Kendall's τ-b between the orders in which they put the "
    "same explanations",
    interval=MEAN_INTERVAL,
    limits="Agreement is not truth: metrics that share a baseline share its errors. With four methods and a random "
    "map there are few places to disagree about, so single items are noisy.",
    queries=_cost,
)
def rank_agreement(
    ctx: MetricContext,
    *,
    methods: _Methods = _ALL,
    source: Source = "offered",
    loss: Loss = "margin",
    items: Items = 50,
    points: Annotated[int, Field(ge=1, le=1000)] = 10,
    steps: Steps = 50,
    windows: Windows = 64,
    baseline: Baseline = "mean",
) -> MetricReturn:
    """Mean over items of Kendall's tau-b between the orders in which two metrics put the same explanations.

    On each item `methods` and a random map are ordered by deletion, by insertion and by average drop at 50 %. 1: the
    metrics always agree; 0: what one calls better says nothing about another, and a ranking by either is a matter of
    taste. The value is the mean over the three pairs of metrics. Items that a metric cannot order are left out.
    Where a submission gives its own maps they are compared as well, unless `source` is `platform`; with `submission`
    the metric is for those alone.
    """
    if len(set(methods)) < len(methods):
        raise ScorerFault("`methods` names a method twice.")
    reason = refused(ctx, methods, source)
    if reason:
        return absent(COLUMNS, reason, applicable=False)
    aim = subject(ctx, items, baseline)
    if aim is None:
        return absent(COLUMNS, "the split has no items")
    rng = ctx.rng("explainability.rank_agreement")
    maps = []
    makers = _makers(ctx, methods, source)
    for number, method in enumerate(makers):
        ctx.progress(f"rank agreement: {method} of {aim.n} items", number / (2 * len(makers)))
        found = aim.explainer(method, loss, steps, windows).explain(aim.model, aim.x, aim.base, aim.target)
        maps.append(per_unit(found, image=aim.image))
    maps.append(rng.random(maps[0].shape))
    ctx.progress("rank agreement: metrics", 0.5)
    marks = np.stack([_marks(aim, units, points, rng) for units in maps], axis=-1)
    taus = {
        f"{_METRICS[a]}_{_METRICS[b]}": kendall(marks[a], marks[b]) for a, b in combinations(range(len(_METRICS)), 2)
    }
    means: dict[str, JsonValue] = {
        name: dict(zip((*makers, "random_map"), marks[k].mean(axis=0).tolist(), strict=True))
        for k, name in enumerate(_METRICS)
    }
    together = np.mean(list(taus.values()), axis=0)
    return {"": _mean(ctx, aim, together, {"larger_is_better": means})} | {
        name: _mean(ctx, aim, values, {}) for name, values in taus.items()
    }


def _makers(ctx: MetricContext, methods: tuple[Method, ...], source: Source) -> tuple[Maker, ...]:
    """What makes the maps: beside the submission's own, the methods that it gives what they ask through."""
    if not explains_itself(ctx, source):
        return methods
    return ("submission", *(method for method in methods if not ctx.missing((access(method),))))


def _marks(aim: Subject, units: Floats, points: int, rng: np.random.Generator) -> Floats:
    """What each metric says of one map on each item, larger is better: (metrics, n)."""
    place = places(units, rng)
    shares, deleted, inserted = curves(aim, place, points)
    drop = drops(aim.score, kept(aim, units, place, (0.5,))[0])
    return np.stack([-area(shares, deleted), area(shares, inserted), -drop])


def _mean(ctx: MetricContext, aim: Subject, values: Floats, details: dict[str, JsonValue]) -> MetricValue:
    known = np.isfinite(values)
    if not known.any():
        return undefined("no item has explanations that both metrics can order", n=0)
    clusters = None if aim.clusters is None else aim.clusters[known]
    rng = ctx.rng("explainability.rank_agreement.interval")
    low, high = mean_interval(values[known], cluster_codes(clusters), rng=rng)
    details = {**details, "left_out": int((~known).sum())}
    return MetricValue(float(values[known].mean()), low=low, high=high, n=int(known.sum()), details=details)
