"""Times of the submission and of an echo, asked in turns; and what of a time is the submission's own."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runners.context import Inputs, MetricContext
from runners.metrics.efficiency.timing import SHARE, batch, echo_of, seconds_of
from runners.models.base import Answers, NoEcho
from runners.registry import MetricValue, undefined
from runners.statistics.intervals import quantile_interval

FloatArray = npt.NDArray[np.float64]


#: The share of a net tail that slow ways alone may make up.
_HALF = 0.5


@dataclass(frozen=True)
class Times:
    """Seconds by batch size. `echo` is empty where there is none, and `without` says why."""

    total: dict[int, FloatArray]
    echo: dict[int, FloatArray]
    without: str = ""


class _Turns:
    """Asks the submission, and an echo as long as there is one."""

    def __init__(self, ctx: MetricContext, echo: Answers | None, without: str, rng: np.random.Generator) -> None:
        self._ctx, self._echo, self._rng = ctx, echo, rng
        self.without = without
        self.spent = 0.0

    def ask(self, x: Inputs) -> tuple[float, float | None]:
        """Seconds of the submission, and of the echo: which comes first is drawn, so that neither gains by it."""
        first = self._rng.random() < 0.5
        early = self._ask_echo(x) if first else None
        seconds = seconds_of(self._ctx, x)
        self.spent += seconds
        return seconds, early if first else self._ask_echo(x)

    def _ask_echo(self, x: Inputs) -> float | None:
        if self._echo is None:
            return None
        try:
            return seconds_of(self._ctx, x, self._echo)
        except NoEcho as error:
            self._echo, self.without = None, str(error)
            return None


def ask_in_turns(
    ctx: MetricContext, sizes: tuple[int, ...], *, repeats: int, warm_up: int, rng: np.random.Generator
) -> Times:
    """Ask `repeats` questions of each size, other items each time, after `warm_up` that do not count.

    In each round every size is asked once, in an order that is drawn, so that drift hits all alike. It ends early
    once the questions took their share of the time that the run has left.
    """
    sizes = tuple(dict.fromkeys(sizes))
    budget = SHARE * ctx.remaining()
    found: dict[int, list[tuple[float, float | None]]] = {size: [] for size in sizes}
    with ExitStack() as stack:
        echo, without = echo_of(ctx, stack)
        turns = _Turns(ctx, echo, without, rng)
        for number in range(warm_up + repeats):
            if turns.spent > budget:
                break
            for size in rng.permutation(sizes).tolist():
                asked = turns.ask(batch(ctx, size, rng))
                if number >= warm_up:
                    found[size].append(asked)
            if number % max(1, (warm_up + repeats) // 10) == 0:
                ctx.progress("latency", (number + 1) / (warm_up + repeats))
    total = {size: np.array([seconds for seconds, _ in pairs]) for size, pairs in found.items()}
    if turns.without:
        return Times(total, {}, turns.without)
    return Times(total, {size: np.array([other for _, other in pairs]) for size, pairs in found.items()})


def net(times: Times, size: int, q: float) -> MetricValue:
    """Milliseconds of a quantile that are the submission's own: less the median of the echo.

    The interval joins those of the two quantiles (MOVER, Zou and Donner 2008), which takes them for independent: load
    that slows both makes it too wide, never too narrow. Undefined where the way there and back hides what the
    submission does: where the interval reaches zero, or a tail is for more than half the way's own.
    """
    if times.without:
        return undefined(times.without, state="not_applicable")
    total, echo = times.total[size] * 1000, times.echo[size] * 1000
    value, low, high = quantile_interval(total, q)
    middle, least, most = quantile_interval(echo, 0.5)
    own = value - middle
    below = None if low is None or most is None else own - math.hypot(value - low, most - middle)
    above = None if high is None or least is None else own + math.hypot(high - value, middle - least)
    if below is None or below <= 0:
        reason = f"cannot be told: of {value:.3g} ms, {middle:.3g} ms are the way there and back"
        return undefined(reason, n=total.size)
    tail = float(np.quantile(echo, q))
    if tail - middle > _HALF * own:
        reason = f"cannot be told: of {value:.3g} ms, the way there and back alone takes {tail:.3g} ms as often"
        return undefined(reason, n=total.size)
    ends = (below, above) if above is not None else (None, None)
    return MetricValue(own, low=ends[0], high=ends[1], n=total.size, details={"total_ms": value, "overhead_ms": middle})
