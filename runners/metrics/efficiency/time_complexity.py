"""The time-complexity metric: how answering time grows with the size of the question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import MetricContext
from runners.metrics.efficiency.growth import ClassFit, PowerLaw, classes, power_law, told
from runners.metrics.efficiency.sweep import LARGEST_BYTES, Sweep, over_lengths, sweep
from runners.metrics.efficiency.timing import batch, surroundings
from runners.registry import Cost, MetricValue, metric, undefined

FloatArray = npt.NDArray[np.float64]

#: Growth over the whole sweep below which constant cost may hide the rest, and below which it surely does.
_LITTLE_GROWTH = 1.5
_LEAST_GROWTH = 1.05
#: An interval wider than this does not tell n from n^2.
_WIDEST = 1.0
_LEAST_R2 = 0.8
#: Seconds below which a clock with a resolution near a microsecond says little.
_SHORTEST = 20e-6


def _cost(parameters: Mapping[str, Any], _items: int) -> Cost:
    """The whole sweep; it ends early where it would take too long, so nothing of it is sure.

    Over input sizes every question has one item, which is larger than those of the split, or smaller.
    """
    smallest, largest = parameters["smallest"], max(parameters["smallest"], parameters["largest"])
    sizes = np.geomspace(smallest, largest, parameters["sizes"])
    items, first = (int(sizes.sum()), smallest) if parameters["over"] == "batch" else (parameters["sizes"], 1)
    return Cost(least=0, typical=items * (parameters["repeats"] + 1) + first)


@metric(
    "efficiency.time_complexity",
    title="Time complexity (exponent)",
    direction="minimise",
    range=(0.0, 4.0),
    needs=("queries",),
    reference="a + b·n^c by relative least squares, interval by profile; class by AICc (Hurvich and Tsai 1989)",
    formula="t(n) = a + b · nᶜ over batch or input sizes n, least time of `repeats` at each, least relative squares\n"
    "`details.class`: of 1, log n, n, n log n, n², n³ the one within 4 of the best AICc; n and n log n together",
    interval="Profile of the fit: exponents that an F test at 95 % does not refuse.",
    limits="Over batches it is about the number of items in a question; with `over: input` about the size of an item, "
    "which the judge cuts, or repeats, to have that size. Undefined, and why, where times are too short or too noisy, "
    "or a constant cost hides the growth. Processors that idle at small sizes make c smaller than the algorithm's, and "
    "items are asked more than once: a submission that remembers its answers looks faster than it is.",
    queries=_cost,
)
def time_complexity(
    ctx: MetricContext,
    *,
    over: Literal["batch", "input"] = "batch",
    smallest: Annotated[int, Field(ge=1, le=4096)] = 1,
    largest: Annotated[int, Field(ge=16, le=1_048_576)] = 256,
    sizes: Annotated[int, Field(ge=5, le=32)] = 9,
    repeats: Annotated[int, Field(ge=3, le=1000)] = 7,
    seconds: Annotated[float, Field(gt=0)] = 60.0,
) -> MetricValue:
    """Exponent c of t = a + b·n^c, where n is the size of a question: items in it, or positions of its one item.

    `over: batch` asks `sizes` batch sizes in geometric steps from `smallest` to `largest`; `over: input` asks one item
    in the sizes that the competition's `input.sizes` allows, and n is the product of the lengths that vary (tokens,
    samples, pixels). Each is asked `repeats` times, in turns; the least time of each size is used, for noise only adds.
    The constant a takes in what does not depend on n. Undefined where it cannot be told: too short, too noisy, or a
    constant cost that hides the growth. The sweep ends early where it would take more than `seconds`, or half of what
    the run has left, and at the size that no longer travels in one question. `details.class` is the growth class where
    one can be told; nothing is ranked by it.
    """
    if ctx.n == 0:
        return undefined("the split has no items", n=0)
    purpose = "efficiency.time_complexity"
    if over == "batch":
        rng = ctx.rng(purpose)
        found = sweep(
            ctx, _grid(ctx, smallest, largest, sizes), lambda size: batch(ctx, size, rng),
            repeats=repeats, seconds=seconds, rng=rng, label=purpose,
        )  # fmt: skip
    elif ctx.input is None or ctx.input.sizes is None:
        return undefined("the competition's `input.sizes` allows no other sizes of an item", state="not_applicable")
    else:
        found = over_lengths(
            ctx, ctx.input.sizes, count=sizes, items=1, repeats=repeats, seconds=seconds, purpose=purpose
        )
    return _fitted(found, over)


def _fitted(found: Sweep, over: str) -> MetricValue:
    n, details = found.n.size, _details(found, over)
    problem = found.problem()
    if problem:
        return MetricValue(None, n=n, state="undefined", reason=f"cannot be told: {problem}", details=details)
    fit, candidates = power_law(found.n, found.least), classes(found.n, found.least)
    refusal = _refusal(found.n, found.least, fit, "items" if over == "batch" else "positions")
    details |= {**_fit_json(fit, candidates), "class": None if refusal else told(candidates)}
    if refusal:
        return MetricValue(None, n=n, state="undefined", reason=f"cannot be told: {refusal}", details=details)
    return MetricValue(fit.c, low=fit.low, high=fit.high, n=n, details=details)


def _details(found: Sweep, over: str) -> dict[str, JsonValue]:
    return {
        "over": over, "points": found.points(), "repeats": found.times.shape[1],
        "ended": found.ended, "refused": {str(size): text for size, text in found.refused.items()}, **surroundings(),
    }  # fmt: skip


def _grid(ctx: MetricContext, smallest: int, largest: int, sizes: int) -> list[int]:
    """Batch sizes in geometric steps, each once, none larger than a question may be."""
    item = 4 if ctx.inputs is None else max(4, ctx.inputs[:1].nbytes)
    top = max(smallest + 1, min(largest, LARGEST_BYTES // item))
    return sorted({round(value) for value in np.geomspace(smallest, top, sizes).tolist()})


def _fit_json(fit: PowerLaw, candidates: list[ClassFit]) -> dict[str, JsonValue]:
    return {
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


def _refusal(n: FloatArray, t: FloatArray, fit: PowerLaw, unit: str) -> str:
    """Why the exponent is not worth telling, or the empty string."""
    growth = float(t[-1] / t[0])
    if float(t.max()) < _SHORTEST:
        return f"even {int(n[-1])} {unit} take only {t.max() * 1e6:.1f} µs; ask for larger sizes"
    unbounded = fit.low is None or fit.high is None or fit.high - fit.low > _WIDEST
    if growth < _LEAST_GROWTH or (unbounded and growth < _LITTLE_GROWTH):
        return (
            f"from {int(n[0])} to {int(n[-1])} {unit} the time changes by {100 * (growth - 1):.1f} % only, "
            "so constant cost hides the growth; ask for larger sizes"
        )
    if unbounded:
        return f"too noisy (relative noise {100 * fit.noise:.1f} %): the exponent may be anything in a wide range"
    if fit.r2 < _LEAST_R2:
        return f"no power law describes the times (R² {fit.r2:.2f})"
    return ""
