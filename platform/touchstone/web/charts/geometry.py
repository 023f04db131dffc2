"""Geometry of intervals and dot plots. Coordinates are SVG attributes in per cent, so no style is needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LEFT, _RIGHT = 4.0, 96.0


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` onto 4 % … 96 % of the width, so that marks at the ends are whole."""

    low: float
    high: float

    def x(self, value: float) -> str:
        """Position of a value, clipped to the scale, as an SVG length such as `31.25%`."""
        share = 0.5 if self.high <= self.low else (value - self.low) / (self.high - self.low)
        return f"{_LEFT + (_RIGHT - _LEFT) * min(max(share, 0.0), 1.0):.2f}%"


@dataclass(frozen=True)
class Interval:
    """One mark: a dot, and a bar where an interval is known. `ideal` marks 0 or 1 where that is the aim."""

    dot: str
    start: str
    end: str
    ideal: str = ""

    @property
    def has_bar(self) -> bool:
        return self.start != ""


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def scale_of(values: Iterable[float | None], *, ideal: float | None = None) -> Scale | None:
    """The smallest scale that holds all values (and the ideal); None when there is no value."""
    held = _finite(values)
    if not held:
        return None
    if ideal is not None:
        held.append(ideal)
    low, high = min(held), max(held)
    if low == high:
        margin = abs(low) * 0.05 or 0.5
        low, high = low - margin, high + margin
    return Scale(low, high)


def interval(
    scale: Scale | None, value: float | None, low: float | None, high: float | None, *, ideal: float | None = None
) -> Interval | None:
    """The mark of one value; None when there is nothing to draw."""
    if scale is None or value is None or not math.isfinite(value):
        return None
    bar = low is not None and high is not None
    return Interval(
        dot=scale.x(value),
        start=scale.x(low) if bar and low is not None else "",
        end=scale.x(high) if bar and high is not None else "",
        ideal=scale.x(ideal) if ideal is not None else "",
    )


def ticks(scale: Scale, *, about: int = 5) -> list[float]:
    """Round numbers inside the scale: steps of 1, 2 or 5 times a power of ten."""
    span = scale.high - scale.low
    raw = span / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


@dataclass(frozen=True)
class PlotRow:
    """One line of a dot plot."""

    name: str
    text: str
    mark: Interval
    own: bool


@dataclass(frozen=True)
class Tick:
    x: str
    text: str


@dataclass(frozen=True)
class Plot:
    """A dot plot: rows from the best down, and the axis below them."""

    rows: Sequence[PlotRow]
    ticks: Sequence[Tick]


def tick_text(value: float, step: float) -> str:
    """A tick label with as many decimals as the step needs, and a real minus sign."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step else 0
    text = f"{value:.{min(decimals, 6)}f}"
    return text.replace("-", "−") if float(text) else text.replace("-", "")
