"""Values as dots with their intervals, one row each, the numbers written beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.metric_docs.draw.axes import Axis, fitted, tick_text
from scripts.metric_docs.draw.canvas import LETTER, WIDTH, Canvas
from scripts.metric_docs.words import number, spaced

_LEFT = 16
_ROW = 20
_PLOT_END = 516
_LONGEST = 52


@dataclass(frozen=True)
class Dot:
    """One value. `before` is where it started, for what was changed; `missing` says why there is none."""

    series: int
    value: float | None
    low: float | None = None
    high: float | None = None
    before: float | None = None
    missing: str = ""


@dataclass(frozen=True)
class Row:
    """Dots that belong together: of a submission, a group, or a part of a result."""

    label: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Panel:
    """Rows on one axis. `ideal` is marked; `better` says in words which end is."""

    title: str
    rows: Sequence[Row]
    bounds: tuple[float | None, float | None] = (None, None)
    ideal: float | None = None
    unit: str = ""
    better: str = ""


def draw(canvas: Canvas, panel: Panel) -> None:
    """The panel below what is drawn already."""
    start = _start(panel)
    axis = fitted(_values(panel), panel.bounds, panel.ideal, start, _PLOT_END)
    canvas.y += 22
    canvas.text(_LEFT, canvas.y, f"{panel.title}, {panel.unit}" if panel.unit else panel.title, "ink bold")
    if LETTER * (1.1 * len(panel.title + panel.unit) + len(panel.better)) > WIDTH - 60:
        canvas.y += 15
    if panel.better:
        canvas.text(WIDTH - 16, canvas.y, panel.better, "muted small", anchor="end")
    canvas.y += 10
    top = canvas.y
    bottom = top + sum(max(1, len(row.dots)) * _ROW + 4 for row in panel.rows)
    _frame(canvas, axis, top, bottom, panel)
    y = top
    for row in panel.rows:
        canvas.text(_LEFT, y + _ROW * max(1, len(row.dots)) / 2 + 6, _short(row.label), "ink")
        for dot in row.dots:
            _dot(canvas, axis, y + _ROW / 2 + 2, dot)
            y += _ROW
        y += 4
    canvas.y = bottom + 32


def _start(panel: Panel) -> float:
    longest = max((len(_short(row.label)) for row in panel.rows), default=0)
    return max(120.0, _LEFT + 14 + LETTER * longest)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"


def _values(panel: Panel) -> list[float]:
    ends = [end for row in panel.rows for dot in row.dots for end in (dot.value, dot.low, dot.high, dot.before)]
    return [end for end in ends if end is not None]


def _frame(canvas: Canvas, axis: Axis, top: float, bottom: float, panel: Panel) -> None:
    for tick in axis.ticks():
        x = axis.at(tick)
        canvas.line(x, top, x, bottom, "grid")
        canvas.text(x, bottom + 15, tick_text(tick, axis), "muted small", anchor="middle")
    canvas.line(axis.start, bottom, axis.end, bottom, "axis")
    if panel.ideal is not None and axis.low <= panel.ideal <= axis.high:
        canvas.line(axis.at(panel.ideal), top, axis.at(panel.ideal), bottom, "axis", width=1.5, dash="4 3")


def _dot(canvas: Canvas, axis: Axis, y: float, dot: Dot) -> None:
    if dot.value is None:
        canvas.text(axis.start + 6, y + 4, f"no value: {dot.missing}"[:72], "muted small")
        return
    x = axis.at(dot.value)
    if dot.before is not None:
        canvas.line(axis.at(dot.before), y, x, y, f"l{dot.series}", width=1.5, dash="3 2")
        canvas.mark(axis.at(dot.before), y, dot.series, hollow=True)
    if dot.low is not None and dot.high is not None:
        canvas.line(axis.at(dot.low), y, axis.at(dot.high), y, f"l{dot.series}", width=2)
        for end in (dot.low, dot.high):
            canvas.line(axis.at(end), y - 4, axis.at(end), y + 4, f"l{dot.series}", width=1.5)
    canvas.mark(x, y, dot.series)
    canvas.text(_PLOT_END + 16, y + 4, spaced(number(dot.value), dot.low, dot.high), "ink small")
