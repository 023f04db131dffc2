"""Pictures of a report as SVG made here: they are drawn without a script, on paper too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP, _BOTTOM = 640, 200, 84, 26, 8, 26
_TICKS = 4


@dataclass(frozen=True)
class Dot:
    """A value with its interval, and how it is written."""

    name: str
    value: float
    low: float | None
    high: float | None
    text: str


def dots(*, id: str, title: str, rows: Sequence[Dot], span: tuple[float | None, float | None]) -> SafeString:  # noqa: A002
    """One line for each row: a dot at its value, a bar over its interval. `span`: the range of the metric."""
    low, high = _axis(rows, span)
    inner = _WIDTH - _LEFT - _RIGHT

    def x(value: float) -> str:
        return f"{_LEFT + inner * (min(max(value, low), high) - low) / (high - low):.1f}"

    height = _TOP + _ROW * len(rows) + _BOTTOM
    floor = height - _BOTTOM
    ticks = [low + (high - low) * step / _TICKS for step in range(_TICKS + 1)]
    grid = format_html_join(
        "",
        '<line class="r-grid" x1="{0}" y1="{1}" x2="{0}" y2="{2}" stroke="#d8dee6"></line>'
        '<text class="r-muted" x="{0}" y="{3}" text-anchor="middle" font-size="11" fill="#56606e">{4}</text>',
        ((x(tick), _TOP, floor, floor + 16, f"{tick:.3g}") for tick in ticks),
    )
    lines = format_html_join("", "{}", ((_row(dot, _TOP + _ROW * i + _ROW / 2, x),) for i, dot in enumerate(rows)))
    return format_html(
        '<svg class="r-chart" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-labelledby="{id}" '
        'font-family="Inter Variable, sans-serif"><title id="{id}">{title}</title>{grid}{lines}</svg>',
        w=_WIDTH, h=height, id=id, title=title, grid=grid, lines=lines,
    )  # fmt: skip


def _row(dot: Dot, y: float, x: Callable[[float], str]) -> SafeString:
    bar = SafeString("")
    if dot.low is not None and dot.high is not None:
        bar = format_html(
            '<line class="r-bar" x1="{}" y1="{y}" x2="{}" y2="{y}" stroke="#7d8896" stroke-width="3"></line>',
            x(dot.low), x(dot.high), y=y,
        )  # fmt: skip
    return format_html(
        '<text class="r-text" x="{lx}" y="{ty}" text-anchor="end" font-size="12" fill="#1b2330">{name}</text>{bar}'
        '<circle class="r-dot" cx="{cx}" cy="{y}" r="5" fill="#0072b2"></circle>'
        '<text class="r-text" x="{rx}" y="{ty}" font-size="12" fill="#1b2330">{text}</text>',
        lx=_LEFT - 12, ty=y + 4, name=_short(dot.name), bar=bar, cx=x(dot.value), y=y, rx=_WIDTH - _RIGHT + 10,
        text=dot.text,
    )  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"


def _axis(rows: Sequence[Dot], span: tuple[float | None, float | None]) -> tuple[float, float]:
    """From end to end of the metric's range where it has one, else a little around what was measured."""
    values = [v for dot in rows for v in (dot.value, dot.low, dot.high) if v is not None and math.isfinite(v)]
    low = span[0] if span[0] is not None else min([0.0, *values])
    high = span[1] if span[1] is not None else max([0.0, *values])
    return (low, high) if high > low else (low, low + 1.0)
