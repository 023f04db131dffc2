"""Timing questions to a model: batches of given sizes, and what the machine was doing meanwhile."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
from pydantic import JsonValue

from runners.context import Inputs, MetricContext
from runners.models.base import Answers, NoEcho
from runners.registry import MetricValue, undefined

#: Multiply-adds a second of one processor of the node that calibrated times are told for.
REFERENCE = 5e10
#: Of the time that a run has left, the share that the questions of one metric may take.
SHARE = 0.5


def batch(ctx: MetricContext, size: int, rng: np.random.Generator) -> Inputs:
    """`size` items of the split, drawn with replacement where it has fewer."""
    if ctx.inputs is None:
        raise RuntimeError("timing runs only where the needs it declares are met")
    items = ctx.inputs.shape[0]
    picks = rng.choice(items, size=size, replace=size > items)
    return np.ascontiguousarray(ctx.inputs[picks])


def seconds_of(ctx: MetricContext, x: Inputs, model: Answers | None = None) -> float:
    """Seconds of one question, protocol included; to `model` instead of the submission where one is given."""
    asked: Answers | None = model or ctx.model
    if asked is None:
        raise RuntimeError("timing runs only where the needs it declares are met")
    started = ctx.clock()
    asked.predict(x)
    return ctx.clock() - started


def echo_of(ctx: MetricContext, stack: ExitStack) -> tuple[Answers | None, str]:
    """A server that answers at once, held by `stack`; or None, and why there is none."""
    if ctx.echo is None:
        return None, "nothing but the submission can be asked here"
    try:
        return stack.enter_context(ctx.echo()), ""
    except NoEcho as error:
        return None, str(error)


def calibrated(ctx: MetricContext, value: MetricValue) -> MetricValue:
    """A time as a node of the reference speed would take it: seconds x the node's rate / the reference rate.

    Not applicable on a node that has no calibration, and where the submission has a device of its own.
    """
    if value.value is None:
        return undefined(value.reason, n=value.n, state=value.state)
    if ctx.calibration is None:
        reason = "this node has no calibration, or none of the device that the submission has: compare its times with "
        return undefined(reason + "those of the same node only", n=value.n, state="not_applicable")
    factor = ctx.calibration / REFERENCE
    low, high = (None if end is None else end * factor for end in (value.low, value.high))
    details: dict[str, JsonValue] = {"node_rate": ctx.calibration, "reference_rate": REFERENCE}
    return replace(value, value=value.value * factor, low=low, high=high, details=details)


def surroundings() -> dict[str, JsonValue]:
    """Load average and processors of the node: timings are not comparable without them."""
    return {"load_average": [round(value, 2) for value in os.getloadavg()], "cpus": os.cpu_count()}
