"""Lines over an axis: accuracy against a budget, a ROC, a reliability diagram, time against size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.metric_docs.draw.axes import Axis, tick_text
from scripts.metric_docs.draw.canvas import Canvas

_HEIGHT = 210
_LEFT = 62.0


@dataclass(frozen=True)
class Line:
    """Points of one line; `dashed` for what it is compared with, `marks` where each point is a measurement."""

    series: int
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    marks: bool = True


@dataclass(frozen=True)
class Chart:
    """Lines on two axes. `diagonal` is drawn where it means something, such as chance or perfect calibration."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    x_bounds: tuple[float, float]
    y_bounds: tuple[float, float] = (0.0, 1.0)
    log: tuple[bool, bool] = (False, False)
    diagonal: bool = False


def draw(canvas: Canvas, charts: Sequence[Chart]) -> None:
    """One chart, or several beside each other, below what is drawn already."""
    room = (704.0 - _LEFT) / len(charts)
    top = canvas.y + 46
    for place, chart in enumerate(charts):
        left = _LEFT + place * room
        right = left + min(room - (44 if place < len(charts) - 1 else 0), 460)
        canvas.text(left - 46, top - 26, chart.title, "ink bold")
        _chart(canvas, chart, left, right, top)
    canvas.y = top + _HEIGHT + 40


def _chart(canvas: Canvas, chart: Chart, left: float, right: float, top: float) -> None:
    x = Axis(*chart.x_bounds, left, right, chart.log[0])
    y = Axis(*chart.y_bounds, top + _HEIGHT, top, chart.log[1])
    for tick in x.ticks():
        canvas.line(x.at(tick), top, x.at(tick), top + _HEIGHT, "grid")
        canvas.text(x.at(tick), top + _HEIGHT + 15, tick_text(tick, x), "muted small", anchor="middle")
    for tick in y.ticks():
        canvas.line(left, y.at(tick), right, y.at(tick), "grid")
        canvas.text(left - 6, y.at(tick) + 4, tick_text(tick, y), "muted small", anchor="end")
    canvas.line(left, top + _HEIGHT, right, top + _HEIGHT, "axis")
    canvas.line(left, top, left, top + _HEIGHT, "axis")
    canvas.text((left + right) / 2, top + _HEIGHT + 32, chart.x, "muted small", anchor="middle")
    canvas.text(left - 46, top - 10, chart.y, "muted small")
    if chart.diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        steps = [low + (high - low) * k / 40 for k in range(41)] if not x.log else _even(low, high)
        canvas.polyline([(x.at(v), y.at(v)) for v in steps], "axis", dash="4 3")
    for line in chart.lines:
        places = [(x.at(a), y.at(b)) for a, b in line.points]
        canvas.polyline(places, f"l{line.series}", dash="5 4" if line.dashed else "")
        if line.marks and not line.dashed:
            for a, b in places:
                canvas.mark(a, b, line.series)


def _even(low: float, high: float) -> list[float]:
    return [low * (high / low) ** (k / 40) for k in range(41)]
