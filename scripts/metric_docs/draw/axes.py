"""Axes: from numbers to pixels, linear or logarithmic, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Largest over smallest from which positive numbers are shown on a logarithmic axis.
_WIDE = 30.0
#: From here on ticks are written in millions.
_MILLION = 1e6


@dataclass(frozen=True)
class Axis:
    """Numbers from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a number; what lies outside stops at the end."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers inside it: five or so, or the powers of ten of a logarithmic one."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            step = max(1, math.ceil((last - first) / 6))
            return [10.0**k for k in range(first, last + 1, step)]
        step = _step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.999)


def tick_text(value: float, axis: Axis) -> str:
    """A tick's number, as short as the axis allows."""
    if axis.log:
        return f"{value:,.0f}" if 1 <= value < 1e5 else f"{value:g}"
    if max(abs(axis.low), abs(axis.high)) >= _MILLION:
        return f"{value / _MILLION:,g} M".replace("-", "−")
    step = _step((axis.high - axis.low) / 5)
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if f"{step:e}".startswith("2.5") and step < 10 else 0)
    return f"{value:,.{digits}f}".replace("-", "−")


def fitted(
    values: Sequence[float], bounds: tuple[float | None, float | None], ideal: float | None, start: float, end: float
) -> Axis:
    """An axis for these numbers: the whole range where they fill a fair part of it, else a round window of it.

    It holds the ideal where there is one, and is logarithmic where the numbers are positive and far apart.
    """
    low, high = bounds
    found = [*values, *([] if ideal is None else [ideal])] or [0.0, 1.0]
    smallest, largest = min(found), max(found)
    if low is not None and high is not None and (largest - smallest) >= 0.2 * (high - low):
        return Axis(low, high, start, end)
    if low == 0.0 and high is None and ideal is None and min(values, default=0.0) > 0 and largest > _WIDE * smallest:
        return Axis(10.0 ** math.floor(math.log10(smallest)), 10.0 ** math.ceil(math.log10(largest)), start, end, True)
    if low == 0.0 and ideal is None and smallest < 0.6 * largest:
        smallest = 0.0
    room = 0.15 * ((largest - smallest) or abs(largest) or 1.0)
    step = _step(max(largest - smallest + 2 * room, 1e-12) / 5)
    bottom, top = math.floor((smallest - room) / step) * step, math.ceil((largest + room) / step) * step
    bottom = bottom if low is None else max(low, bottom)
    return Axis(bottom, top if high is None else min(high, top), start, end)
