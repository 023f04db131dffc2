"""Pictures of numbers: small ones drawn by the server as SVG, and charts that a script draws from a chart's options.

A `Chart` is whole without its picture: it has a summary in words and a table of its numbers.
"""

from __future__ import annotations

from touchstone.web.charts.build import Axis, Level, Point, Series, bars, heatmap, lines, scatter
from touchstone.web.charts.chart import Chart, Table
from touchstone.web.charts.counts import share_bars
from touchstone.web.charts.curves import group_chart, result_charts
from touchstone.web.charts.geometry import (
    Interval,
    Plot,
    PlotRow,
    Scale,
    Tick,
    interval,
    scale_of,
    tick_text,
    ticks,
)

__all__ = [
    "Axis", "Chart", "Interval", "Level", "Plot", "PlotRow", "Point", "Scale", "Series", "Table", "Tick", "bars",
    "group_chart",
    "heatmap", "interval", "lines", "result_charts", "scale_of", "scatter", "share_bars", "tick_text", "ticks",
]  # fmt: skip
