"""People whose scores are biased, and AIF360's mitigations of them."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from runners.adapters import aif360
from runners.measure import measure
from runners.metrics.fairness.mitigation import Fitted
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context


def people(n=2000, seed=0, bias=0.25, **more):
    """Scores that are right about most, and lower for the unprivileged by `bias`; a third value is in neither group."""
    rng = np.random.default_rng(seed)
    side = rng.integers(0, 2, n)
    y = rng.random(n) < 0.35 + 0.2 * side
    scores = np.clip(0.35 + 0.3 * y + bias * (side - 0.5) + rng.normal(0, 0.15, n), 0.001, 0.999)
    values = np.array(["u", "p"], dtype=object)[side]
    values[:: n // 20] = "other"
    return context(
        y.astype(int), (scores > 0.5).astype(int), task=binary_task(favourable="yes"),
        probabilities=np.column_stack([1 - scores, scores]), attributes={"a": values},
        attribute_specs={"a": AttributeSpec(privileged="p", unprivileged=("u",))}, **more,
    )  # fmt: skip


def with_validation(ctx, fitted=None):
    """The context with other people as validation split."""
    return dataclasses.replace(ctx, validation=people(seed=1) if fitted is None else fitted)


def found(name, ctx, **parameters):
    """Results of a mitigation by key, without its name."""
    return {
        r.key.removeprefix("x").removeprefix("."): r for r in measure(name, "x", {"attribute": "a", **parameters}, ctx)
    }


def fitted(ctx):
    """The items of a context as a mitigation sees them."""
    side = np.array([{"u": 0, "p": 1}.get(v, 2) for v in ctx.attributes["a"]])
    return Fitted(ctx.labels == 1, side, ctx.predictions == 1, ctx.probabilities[:, 1])


def data_sets(items):
    """AIF360's data sets of the same items: the truth, and the predictions with their scores."""
    import pandas as pd

    data, *_ = aif360._load()
    frame = pd.DataFrame({"side": items.side.astype(float), "y": items.y.astype(float), "weight": 1.0})
    truth, said = (
        data(df=frame, **aif360._OPTIONS),
        data(df=frame.assign(y=items.predicted.astype(float)), **aif360._OPTIONS),
    )
    said.scores = items.scores[:, None]
    return truth, said


def theirs(algorithm, **options):
    """AIF360's own algorithm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from aif360.algorithms import postprocessing

        return getattr(postprocessing, algorithm)(**aif360._SIDES, **options)
