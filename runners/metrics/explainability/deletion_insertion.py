"""Deletion and insertion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, JsonValue

from runners.attacks.geometry import Floats
from runners.context import MetricContext
from runners.metrics.explainability.attributions import Method, Source, asked_through, gradients, per_unit, questions
from runners.metrics.explainability.removal import area, curves, places
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
from runners.models.base import Loss
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric
from runners.statistics.bootstrap import cluster_codes, mean_interval
from runners.statistics.wording import MEAN_INTERVAL

_GAIN: tuple[float, float] = (-1.0, 1.0)
COLUMNS = (
    Column("deletion", title="Deletion (AUC)", direction="minimise"),
    Column("insertion", title="Insertion (AUC)", direction="maximise"),
    Column("deletion_gain", title="Deletion: better than a random map", direction="maximise", range=_GAIN),
    Column("insertion_gain", title="Insertion: better than a random map", direction="maximise", range=_GAIN),
)


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    chosen = min(items, parameters["items"])
    typical = chosen * (1 + questions(parameters) + 4 * (parameters["points"] + 1))
    back = chosen * gradients(parameters)
    return Cost(least=chosen, typical=typical, access=asked_through(parameters), gradients=back)


@metric(
    "explainability.deletion_insertion",
    title="Deletion and insertion",
    direction="none",
    range=(0.0, 1.0),
    needs=("queries",),
    results=COLUMNS,
    reference="Petsiuk et al. 2018 (RISE); random control: Samek et al. 2017",
    formula="area under P(predicted class) against the share of the input removed (deletion) or put back "
    "(insertion), important parts first\n"
    "gain = how much better than a random map on the same items",
    interval=MEAN_INTERVAL,
    limits=MASKED,
    queries=_cost,
)
def deletion_insertion(
    ctx: MetricContext,
    *,
    method: Method = "occlusion",
    source: Source = "offered",
    loss: Loss = "margin",
    items: Items = 100,
    points: Annotated[int, Field(ge=1, le=1000)] = 20,
    steps: Steps = 50,
    windows: Windows = 64,
    baseline: Baseline = "mean",
) -> MetricReturn:
    """Area under the probability of the predicted class while parts of the input go, or come, the important first.

    In `points` equal steps; hidden parts become `baseline`. A faithful explanation makes the probability fall at once
    (deletion near 0) or rise at once (insertion near 1). Both depend on how sure the model is of whole items and of the
    baseline, so the gains compare with a random map on the same items: 0 is no better than chance. Half-hidden inputs
    are unlike all that the model was trained on; compare numbers of one baseline only. `source`: whose maps, the
    submission's own or those of the platform's `method`; `details` say which.
    """
    reason = refused(ctx, (method,), source)
    if reason:
        return absent(COLUMNS, reason, applicable=False)
    aim = subject(ctx, items, baseline)
    if aim is None:
        return absent(COLUMNS, "the split has no items")
    explainer = aim.explainer(maker(ctx, method, source), loss, steps, windows)
    ctx.progress(f"deletion and insertion: {explainer.method} of {aim.n} items", 0.0)
    found = explainer.explain(aim.model, aim.x, aim.base, aim.target)
    units = per_unit(found, image=aim.image)
    rng = ctx.rng("explainability.deletion_insertion")
    ctx.progress("deletion and insertion: curves", 0.5)
    shares, deleted, inserted = curves(aim, places(units, rng), points)
    ctx.progress("deletion and insertion: random map", 0.75)
    _, random_deleted, random_inserted = curves(aim, places(rng.random(units.shape), rng), points)
    gone, come = area(shares, deleted), area(shares, inserted)
    random_gone, random_come = area(shares, random_deleted), area(shares, random_inserted)
    return {
        "deletion": _mean(ctx, aim, gone, explainer.told() | _curve(shares, deleted, random_deleted)),
        "insertion": _mean(ctx, aim, come, explainer.told() | _curve(shares, inserted, random_inserted)),
        "deletion_gain": _mean(ctx, aim, random_gone - gone, {"random_map": float(random_gone.mean())}),
        "insertion_gain": _mean(ctx, aim, come - random_come, {"random_map": float(random_come.mean())}),
    }


def _curve(shares: Floats, scores: Floats, random: Floats) -> dict[str, JsonValue]:
    points: list[JsonValue] = [
        {"share": float(share), "probability": float(row.mean()), "random_map": float(other.mean())}
        for share, row, other in zip(shares, scores, random, strict=True)
    ]
    return {"curve": points}


def _mean(ctx: MetricContext, aim: Subject, values: Floats, details: dict[str, JsonValue]) -> MetricValue:
    rng = ctx.rng("explainability.deletion_insertion.interval")
    low, high = mean_interval(values, cluster_codes(aim.clusters), rng=rng)
    return MetricValue(float(values.mean()), low=low, high=high, n=aim.n, details=details)
