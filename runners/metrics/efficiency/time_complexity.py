"""The time-complexity metric: how answering time grows with the size of the question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import MetricContext
from runners.metrics.efficiency.growth import ClassFit, PowerLaw, classes, power_law
from runners.metrics.efficiency.timing import batch, seconds_of, surroundings
from runners.registry import Cost, MetricValue, metric

FloatArray = npt.NDArray[np.float64]

#: Growth over the whole sweep below which constant cost may hide the rest, and below which it surely does.
_LITTLE_GROWTH = 1.5
_LEAST_GROWTH = 1.05
#: An interval wider than this does not tell n from n^2.
_WIDEST = 1.0
_LEAST_R2 = 0.8
#: Seconds below which a clock with a resolution near a microsecond says little.
_SHORTEST = 20e-6
#: Largest question, in bytes.
_LARGEST_BYTES = 64 * 2**20


def _cost(parameters: Mapping[str, Any], _items: int) -> Cost:
    """The whole sweep; it ends early where it would take too long, so nothing of it is sure."""
    smallest, largest = parameters["smallest"], max(parameters["smallest"], parameters["largest"])
    sizes = np.geomspace(smallest, largest, parameters["sizes"])
    return Cost(least=0, typical=int(sizes.sum()) * (parameters["repeats"] + 1))


@metric(
    "efficiency.time_complexity",
    title="Time complexity (exponent)",
    direction="minimise",
    range=(0.0, 4.0),
    needs=("queries",),
    reference="a + b·n^c by relative least squares, interval by profile; class by AICc (Hurvich and Tsai 1989)",
    queries=_cost,
)
def time_complexity(
    ctx: MetricContext,
    *,
    smallest: Annotated[int, Field(ge=1, le=4096)] = 1,
    largest: Annotated[int, Field(ge=16, le=1_048_576)] = 256,
    sizes: Annotated[int, Field(ge=5, le=32)] = 9,
    repeats: Annotated[int, Field(ge=3, le=1000)] = 7,
    seconds: Annotated[float, Field(gt=0)] = 60.0,
) -> MetricValue:
    """Exponent c of t = a + b·n^c, where n is the number of items in one question.

    `sizes` batch sizes in geometric steps from `smallest` to `largest` are asked `repeats` times each,
    in turns; the least time of each size is used, for noise only adds. The constant a takes in what
    does not depend on n. Undefined where it cannot be told: too short, too noisy, or a constant
    cost that hides the growth. The sweep ends early where it would take more than `seconds`, and at
    the size that no longer travels in one question.
    """
    if ctx.n == 0:
        return MetricValue(None, n=0, state="undefined", reason="the split has no items")
    grid = _grid(ctx, smallest, largest, sizes)
    n, times = _sweep(ctx, grid, repeats, seconds)
    points: list[JsonValue] = [
        {"n": int(size), "min_ms": float(row.min()) * 1000, "median_ms": float(np.median(row)) * 1000}
        for size, row in zip(n, times, strict=True)
    ]
    details: dict[str, JsonValue] = {"points": points, "repeats": repeats, **surroundings()}
    t = times.min(axis=1)
    if n.size < 5:
        reason = f"cannot be told: only {n.size} batch sizes fit into {seconds:g} s and one question; 5 are needed"
        return MetricValue(None, n=n.size, state="undefined", reason=reason, details=details)
    if not (t > 0).all():
        reason = "cannot be told: the answers came faster than the clock can tell"
        return MetricValue(None, n=n.size, state="undefined", reason=reason, details=details)
    fit, candidates = power_law(n, t), classes(n, t)
    details.update(_fit_json(fit, candidates))
    reason = _refusal(n, t, fit)
    if reason:
        return MetricValue(None, n=n.size, state="undefined", reason=f"cannot be told: {reason}", details=details)
    return MetricValue(fit.c, low=fit.low, high=fit.high, n=n.size, details=details)


def _grid(ctx: MetricContext, smallest: int, largest: int, sizes: int) -> list[int]:
    """Batch sizes in geometric steps, each once, none larger than a question may be."""
    item = 4 if ctx.inputs is None else max(4, ctx.inputs[:1].nbytes)
    top = max(smallest + 1, min(largest, _LARGEST_BYTES // item))
    return sorted({round(value) for value in np.geomspace(smallest, top, sizes).tolist()})


def _sweep(ctx: MetricContext, grid: list[int], repeats: int, limit: float) -> tuple[FloatArray, FloatArray]:
    """Sizes (m,) and seconds (m, repeats). A first question of each size warms up and is not counted."""
    rng, started = ctx.rng("efficiency.time_complexity"), ctx.clock()
    questions: dict[int, npt.NDArray[np.float32]] = {}
    for size in grid:
        x = batch(ctx, size, rng)
        calls = 0 if ctx.model is None else ctx.model.calls
        once = seconds_of(ctx, x)
        # A question that travels in several parts has steps of the protocol in its time, not of the model.
        if ctx.model is not None and ctx.model.calls - calls > 1:
            break
        # All repeats of this size, and about as much again for the smaller ones, must fit.
        if len(questions) >= 5 and ctx.clock() - started + 2 * repeats * once > limit:
            break
        questions[size] = x
    times: dict[int, list[float]] = {size: [] for size in questions}
    for turn in range(repeats):
        for size in rng.permutation(list(questions)).tolist():
            times[size].append(seconds_of(ctx, questions[size]))
        ctx.progress("time complexity", (turn + 1) / repeats)
    return np.array(list(questions), dtype=np.float64), np.array(list(times.values()), dtype=np.float64)


def _fit_json(fit: PowerLaw, candidates: list[ClassFit]) -> dict[str, JsonValue]:
    return {
        "class": candidates[0].name,
        "plausible": [c.name for c in candidates if c.plausible],
        "candidates": [
            {"class": c.name, "delta_aicc": c.aicc, "a_ms": c.a * 1000, "b_ms": c.b * 1000} for c in candidates
        ],
        "constant_ms": fit.a * 1000,
        "factor_ms": fit.b * 1000,
        "exponent": fit.c,
        "exponent_low": fit.low,
        "exponent_high": fit.high,
        "r2": fit.r2,
        "relative_noise": fit.noise,
    }


def _refusal(n: FloatArray, t: FloatArray, fit: PowerLaw) -> str:
    """Why the exponent is not worth telling, or the empty string."""
    growth = float(t[-1] / t[0])
    if float(t.max()) < _SHORTEST:
        return f"even {int(n[-1])} items take only {t.max() * 1e6:.1f} µs; ask for larger batches"
    unbounded = fit.low is None or fit.high is None or fit.high - fit.low > _WIDEST
    if growth < _LEAST_GROWTH or (unbounded and growth < _LITTLE_GROWTH):
        return (
            f"from {int(n[0])} to {int(n[-1])} items the time changes by {100 * (growth - 1):.1f} % only, "
            "so constant cost hides the growth; ask for larger batches"
        )
    if unbounded:
        return f"too noisy (relative noise {100 * fit.noise:.1f} %): the exponent may be anything in a wide range"
    if fit.r2 < _LEAST_R2:
        return f"no power law describes the times (R² {fit.r2:.2f})"
    return ""
