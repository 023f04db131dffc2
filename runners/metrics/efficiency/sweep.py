"""Questions of growing size, each asked several times: what growth is fitted to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.context import Inputs, MetricContext
from runners.metrics.efficiency.timing import SHARE, batch, seconds_of
from runners.models.base import SizeRefused
from runners.spec.models import SizesSpec

FloatArray = npt.NDArray[np.float64]

#: Sizes without which nothing is fitted.
LEAST = 5
#: Largest question, in bytes: of items of the usual size, and of those of another, which are not divided.
LARGEST_BYTES = 64 * 2**20
_LARGEST_UNDIVIDED = 16 * 2**20


@dataclass(frozen=True)
class Sweep:
    """Sizes (m,) and seconds (m, repeats). `ended`: why larger sizes are missing. `refused`: answers by size."""

    n: FloatArray
    times: FloatArray
    ended: str
    refused: dict[int, str]

    @property
    def least(self) -> FloatArray:
        """Least seconds of each size, (m,): what else the machine does only adds."""
        return np.asarray(self.times.min(axis=1))

    def points(self) -> list[JsonValue]:
        """Sizes and times as details show them."""
        if not self.times.size:
            return []
        return [
            {"n": int(size), "min_ms": float(row.min()) * 1000, "median_ms": float(np.median(row)) * 1000}
            for size, row in zip(self.n, self.times, strict=True)
        ]

    def problem(self) -> str:
        """Why nothing can be fitted, or nothing."""
        if self.n.size < LEAST:
            said = [f"{self.n.size} sizes could be asked, {LEAST} are needed"]
            if self.ended:
                said.append(self.ended)
            if self.refused:
                said.append(f"{len(self.refused)} were refused, first: {next(iter(self.refused.values()))}")
            return "; ".join(said)
        return "" if (self.times > 0).all() else "the answers came faster than the clock can tell"


def sweep(
    ctx: MetricContext,
    sizes: list[int],
    make: Callable[[int], Inputs],
    *,
    repeats: int,
    seconds: float,
    rng: np.random.Generator,
    label: str,
) -> Sweep:
    """Ask questions of each of the ascending `sizes`; one of each comes first, two of the smallest, which only warm up.

    `make(size)` gives a question, other items each time. The repeats go in rounds, each in an order of its own. No
    more sizes are taken than fit into `seconds`, nor into the time that the run has left for this.
    """
    limit, started = min(seconds, SHARE * ctx.remaining()), ctx.clock()
    taken, refused, ended = _affordable(ctx, sizes, make, repeats=repeats, limit=limit)
    times: dict[int, list[float]] = {size: [] for size in taken}
    for turn in range(repeats if len(taken) >= LEAST else 0):
        if turn >= 3 and ctx.clock() - started > limit:
            break
        for size in rng.permutation(taken).tolist():
            times[size].append(seconds_of(ctx, make(size)))
        ctx.progress(label, (turn + 1) / repeats)
    found = np.array(list(times.values()), dtype=np.float64).reshape(len(taken), len(next(iter(times.values()), ())))
    return Sweep(np.array(taken, dtype=np.float64), found, ended, refused)


def _affordable(
    ctx: MetricContext, sizes: list[int], make: Callable[[int], Inputs], *, repeats: int, limit: float
) -> tuple[list[int], dict[int, str], str]:
    """Sizes whose repeats fit into the limit; what the submission answered to those it refused; why it ended."""
    taken: list[int] = []
    refused: dict[int, str] = {}
    spent = planned = last = 0.0
    for size in sizes:
        # The next size takes about so much longer than the last as it is larger, or more.
        hoped = last * size / taken[-1] if taken else 0.0
        if spent + planned + (repeats + 1) * hoped > limit:
            return taken, refused, f"{size} would not have fitted into {limit:.3g} s"
        calls = 0 if ctx.model is None else ctx.model.calls
        try:
            last = seconds_of(ctx, make(size))
        except SizeRefused as error:
            refused[size] = str(error)
            continue
        # A question that travels in several parts has steps of the protocol in its time, not of the model.
        if ctx.model is not None and ctx.model.calls - calls > 1:
            return taken, refused, f"a question of {size} no longer travels in one piece"
        spent += last
        slow_start = not taken  # many load or compile only then
        if slow_start or repeats * last > limit - spent - planned:
            again = seconds_of(ctx, make(size))
            spent, last = spent + again, min(last, again)
        if spent + planned + repeats * last > limit:
            return taken, refused, f"{size} did not fit into {limit:.3g} s"
        planned += repeats * last
        taken.append(size)
    return taken, refused, ""


def lengths(sizes: SizesSpec, count: int) -> list[int]:
    """Up to `count` lengths in geometric steps, each one that the competition allows."""
    step = sizes.multiple_of
    found = {step * round(value / step) for value in np.geomspace(sizes.least, sizes.most, count).tolist()}
    return sorted(found)


def of_length(x: Inputs, sizes: SizesSpec, length: int) -> Inputs:
    """The same items with this length on each axis that may have others: cut off, or begun again from the start."""
    for axis in sizes.axes:
        x = np.take(x, np.arange(length) % x.shape[axis + 1], axis=axis + 1)
    return np.ascontiguousarray(x)


def over_lengths(
    ctx: MetricContext, sizes: SizesSpec, *, count: int, items: int, repeats: int, seconds: float, purpose: str
) -> Sweep:
    """A sweep over input sizes, `items` in each question; n is the number of positions, of a square its area."""
    rng, across = ctx.rng(purpose), len(sizes.axes)
    by_positions = {length**across: length for length in lengths(sizes, count)}
    each = 4 if ctx.inputs is None else ctx.inputs[:1].nbytes // ctx.inputs.shape[1 + sizes.axes[0]] ** across
    fitting = [n for n in by_positions if n * each * items <= _LARGEST_UNDIVIDED]

    def make(n: int) -> Inputs:
        return of_length(batch(ctx, items, rng), sizes, by_positions[n])

    return sweep(ctx, fitting, make, repeats=repeats, seconds=seconds, rng=rng, label=purpose)
