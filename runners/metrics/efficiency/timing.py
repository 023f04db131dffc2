"""Timing questions to a model: batches of given sizes, and what the machine was doing meanwhile."""

from __future__ import annotations

import os

import numpy as np
from pydantic import JsonValue

from runners.context import Inputs, MetricContext


def batch(ctx: MetricContext, size: int, rng: np.random.Generator) -> Inputs:
    """`size` items of the split, drawn with replacement where it has fewer."""
    if ctx.inputs is None:
        raise RuntimeError("timing runs only where the needs it declares are met")
    items = ctx.inputs.shape[0]
    picks = rng.choice(items, size=size, replace=size > items)
    return np.ascontiguousarray(ctx.inputs[picks])


def seconds_of(ctx: MetricContext, x: Inputs) -> float:
    """Seconds of one question, protocol included."""
    if ctx.model is None:
        raise RuntimeError("timing runs only where the needs it declares are met")
    started = ctx.clock()
    ctx.model.predict(x)
    return ctx.clock() - started


def surroundings() -> dict[str, JsonValue]:
    """Load average and processors of the node: timings are not comparable without them."""
    return {"load_average": [round(value, 2) for value in os.getloadavg()], "cpus": os.cpu_count()}
