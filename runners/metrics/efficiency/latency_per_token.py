"""Latency per token against the length of the context: flat where an answer costs O(1) a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import MetricContext
from runners.metrics.efficiency.sweep import Sweep, over_lengths
from runners.metrics.efficiency.timing import surroundings
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric, undefined

FloatArray = npt.NDArray[np.float64]

#: No timer is better than this, relative: a perfect fit must not claim a perfect interval.
_NOISE_FLOOR = 0.002
#: A change over the whole sweep by less than this share of a token's time counts as none.
_FLAT = 0.1
_KEYS = ("", "at_usual_length")


def _cost(parameters: Mapping[str, Any], _items: int) -> Cost:
    """One item a question; it ends early where it would take too long, so nothing of it is sure."""
    return Cost(least=0, typical=parameters["lengths"] * (parameters["repeats"] + 1) + 1)


@dataclass(frozen=True)
class Line:
    """t = fixed + each·n + slope·n², in seconds, with `covariance` of the three; `points` are corrected by `fixed`."""

    fixed: float
    each: float
    slope: float
    covariance: FloatArray
    t95: float

    def interval(self, weights: tuple[float, float, float]) -> tuple[float, float, float]:
        """A weighted sum of the three with its 95 % interval."""
        w = np.array(weights)
        value = float(w @ (self.fixed, self.each, self.slope))
        half = self.t95 * float(np.sqrt(max(0.0, w @ self.covariance @ w)))
        return value, value - half, value + half


def line(n: FloatArray, t: FloatArray) -> Line:
    """Least relative squares: noise of a timing grows with the timing.

    Args:
        n: lengths, (m,), m >= 5, not all equal. t: seconds, (m,), all above 0.
    """
    from scipy.stats import t as student

    scale = float(n.max())
    design = np.column_stack([np.ones_like(n), n / scale, (n / scale) ** 2]) / t[:, None]
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ np.ones_like(t)
    freedom = n.size - 3
    residual = design @ found - 1
    variance = max(float(residual @ residual) / freedom, _NOISE_FLOOR**2)
    units = np.diag([1.0, 1 / scale, 1 / scale**2])
    fixed, each, slope = (units @ found).tolist()
    return Line(fixed, each, slope, variance * units @ inverse @ units, float(student.ppf(0.975, freedom)))


@metric(
    "efficiency.latency_per_token",
    title="Growth of latency per token with the length of the context",
    direction="zero",
    range=(None, None),
    unit="µs/token per 1000 tokens",
    needs=("queries",),
    results=(
        "",
        Column("at_usual_length", title="Latency per token at the usual length", unit="ms/token", direction="minimise"),
    ),
    reference="Least relative squares with Student's t; a flat line is O(1) a token",
    formula="t(n) = a + b·n + s·n² over lengths n, least time of `repeats` at each\n"
    "latency per token = (t - a) / n = b + s·n; value = s",
    interval="Student's t of the fit, 95 %; no narrower than a timer's noise of 0.2 %.",
    limits="The judge's clock; a fixed cost of a question, such as most of the way there and back, is in a and thus in "
    "neither value. Tokens are positions along the axes of `input.sizes`; longer contexts are the items' own, begun "
    "again from the start. Growth other than quadratic shows in s only by and large. Compare nodes of one kind. "
    "Items are asked more than once: a submission that remembers its answers looks faster than it is.",
    queries=_cost,
)
def latency_per_token(
    ctx: MetricContext,
    *,
    lengths: Annotated[int, Field(ge=6, le=32)] = 9,
    repeats: Annotated[int, Field(ge=3, le=1000)] = 7,
    seconds: Annotated[float, Field(gt=0)] = 60.0,
) -> MetricReturn:
    """How much longer a token takes for every thousand tokens more of context; 0 is O(1) a token.

    One item is asked in up to `lengths` lengths that the competition's `input.sizes` allows, `repeats` times each, in
    an order drawn by the run's seed. Not applicable without `input.sizes`; undefined where fewer than 6 lengths fit
    into `seconds`, or are answered. `details.flat`: true where latency per token surely changes by less than a tenth
    over the sweep, false where it surely changes, null where neither is sure.
    """
    sizes = None if ctx.input is None else ctx.input.sizes
    if sizes is None or ctx.input is None:
        reason = "the competition's `input.sizes` allows no other sizes of an item"
        return dict.fromkeys(_KEYS, undefined(reason, state="not_applicable"))
    if ctx.n == 0:
        return dict.fromkeys(_KEYS, undefined("the split has no items", n=0))
    found = over_lengths(
        ctx, sizes, count=lengths, items=1, repeats=repeats, seconds=seconds, purpose="efficiency.latency_per_token"
    )
    usual = ctx.input.shape[sizes.axes[0]] ** len(sizes.axes)
    return _fitted(found, usual)


def _fitted(found: Sweep, usual: int) -> dict[str, MetricValue]:
    n = found.n
    details: dict[str, JsonValue] = {
        "points": found.points(), "ended": found.ended,
        "refused": {str(size): text for size, text in found.refused.items()}, **surroundings(),
    }  # fmt: skip
    problem = found.problem() or ("" if n.size > 5 else "5 lengths could be asked, 6 are needed")
    if problem:
        absent = MetricValue(None, n=n.size, state="undefined", reason=f"cannot be told: {problem}", details=details)
        return dict.fromkeys(_KEYS, absent)
    t = found.least
    fit = line(n, t)
    slope, low, high = (1e9 * end for end in fit.interval((0.0, 0.0, 1.0)))
    token, least, most = (1e3 * end for end in fit.interval((0.0, 1.0, float(usual))))
    corrected: list[JsonValue] = [
        {"n": int(size), "ms_per_token": 1e3 * (seconds - fit.fixed) / size}
        for size, seconds in zip(n.tolist(), t.tolist(), strict=True)
    ]
    details |= {"fixed_ms": 1e3 * fit.fixed, "latency_per_token": corrected, "flat": _flat(n, fit)}
    return {
        "": MetricValue(slope, low=low, high=high, n=n.size, details=details),
        "at_usual_length": _per_token(token, least, most, n=n.size, usual=usual),
    }


def _per_token(value: float, low: float, high: float, *, n: int, usual: int) -> MetricValue:
    if low <= 0:
        return undefined("cannot be told: the fixed cost of a question hides what a token takes", n=n)
    return MetricValue(value, low=low, high=high, n=n, details={"length": usual})


def _flat(n: FloatArray, fit: Line) -> bool | None:
    """Whether a token at the longest context takes what it takes at the shortest; None where that cannot be told."""
    middle, *_ = fit.interval((0.0, 1.0, float(n[0] + n[-1]) / 2))
    _, low, high = fit.interval((0.0, 0.0, float(n[-1] - n[0])))
    allowed = _FLAT * middle
    if -allowed < low and high < allowed:
        return True
    return False if low > 0 or high < 0 else None
