"""Maximum calibration error."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, JsonValue

from runners.context import FloatArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.calibration.reliability import (
    About,
    Bins,
    Scheme,
    chance_of,
    diagram,
    reliability,
)
from runners.registry import MetricValue, metric, undefined
from runners.statistics.wording import CHANCE_INTERVAL


def _largest(gaps: FloatArray, counts: FloatArray) -> FloatArray:
    means = np.divide(np.abs(gaps), counts, out=np.zeros_like(gaps), where=counts > 0)
    return np.asarray(means.max(axis=-1), dtype=np.float64)


@metric(
    "calibration.maximum_calibration_error",
    title="Maximum calibration error",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("predictions", "probabilities"),
    reference="Naeini et al., AAAI 2015; interval: bootstrap, bias taken off",
    formula="MCE = max over bins with at least `minimum` items of |mean probability stated − share that was right|",
    interval=CHANCE_INTERVAL,
    limits="The largest of several noisy numbers: bins with fewer than `minimum` items are left out and counted in "
    "`details.bins_left_out`, and yet chance alone makes it large; read `details.chance`. It tells of one bin only, "
    "whose place is in `details`.",
)
def maximum_calibration_error(
    ctx: MetricContext,
    *,
    bins: Bins = 15,
    scheme: Scheme = "equal_width",
    about: About = "confidence",
    minimum: Annotated[int, Field(ge=1)] = 30,
) -> MetricValue:
    """Largest |probability stated - share that was right| of a bin with at least `minimum` items.

    Bins, `scheme` and `about` are those of `calibration.expected_calibration_error`. Undefined where no bin has enough
    items: the largest of many noisy numbers says nothing.
    """
    if about == "positive" and ctx.task.kind != "binary":
        raise ScorerFault(
            "A task of more than two classes has no positive class.", hint="Set `about: confidence`, or leave it out."
        )
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    found = reliability(ctx, bins=bins, scheme=scheme, about=about)
    enough = found.counts >= minimum
    if not enough.any():
        return undefined(f"no bin has {minimum} items", n=ctx.n)
    gaps, counts = np.where(enough, found.sums(found.right - found.stated), 0.0), found.counts
    value = float(_largest(gaps, counts))
    place = int(np.argmax(np.abs(gaps) / np.maximum(counts, 1.0)))
    chance = chance_of(
        found, value, ctx, lambda drawn, sizes: _largest(np.where(enough, drawn, 0.0), sizes),
        rng=ctx.rng("calibration.maximum_calibration_error"),
    )  # fmt: skip
    details: dict[str, JsonValue] = {
        "bins": bins, "bins_left_out": int(((found.counts > 0) & ~enough).sum()), "scheme": scheme, "about": about,
        "from": float(found.edges[place]), "to": float(found.edges[place + 1]), "items": int(found.counts[place]),
        "debiased": chance.debiased(value), "chance": chance.alone, "diagram": diagram(found),
    }  # fmt: skip
    return MetricValue(value, low=chance.low, high=chance.high, n=ctx.n, details=details)
