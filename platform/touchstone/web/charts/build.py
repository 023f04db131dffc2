"""Charts from series of points: lines, bars, scatter plots and heat maps, with intervals where there are some.

Options hold plain data only: what a script must draw itself is named by `draw`, which `web/js/chart.js` knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from touchstone.web import present
from touchstone.web.charts.chart import Chart, Table

#: More points on a line than this have no marks of their own.
_MARKED = 24


@dataclass(frozen=True)
class Point:
    """A point. `x` is a number, a moment in ISO 8601 or a category; bounds are None where no interval is known.

    `text`: what it says when pointed at, if not its numbers; `name`: what it is called in the table.
    """

    x: float | str
    y: float | None
    low: float | None = None
    high: float | None = None
    x_low: float | None = None
    x_high: float | None = None
    name: str = ""
    text: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Series:
    """Points with one name. `joined` ones of a scatter plot have a line through them, as a front does."""

    name: str
    points: Sequence[Point]
    joined: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis: `kind` is `value`, `log`, `time` or `category` (then with `categories`). `whole`: of counts, so without
    halves."""

    title: str
    kind: str = "value"
    low: float | None = None
    high: float | None = None
    categories: Sequence[str] = ()
    unit: str = ""
    whole: bool = False

    @property
    def label(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def options(self) -> dict[str, Any]:
        made: dict[str, Any] = {"type": self.kind, "name": self.label}
        if self.kind == "category":
            made["data"] = list(self.categories)
        if self.kind == "value":
            made["scale"] = True  # not from 0 if the values are far from it
        if self.whole:
            made["minInterval"] = 1
        return made | {name: value for name, value in (("min", self.low), ("max", self.high)) if value is not None}


@dataclass(frozen=True)
class Level:
    """A dashed line to compare with: across at `y`, or the `diagonal` where both axes are equal."""

    name: str
    y: float | None = None
    diagonal: bool = False


def lines(
    *, id: str, title: str, summary: str, x: Axis, y: Axis, series: Sequence[Series],  # noqa: A002
    levels: Sequence[Level] = (), steps: bool = False, tall: bool = False, notes: Sequence[str] = (),
) -> Chart:  # fmt: skip
    """Curves: one line for each series; intervals as bars, or as a band where the points are many."""
    made: list[dict[str, Any]] = []
    for number, one in enumerate(series):
        shown = [point for point in one.points if _finite(point.y)]
        said = Axis(one.name, whole=y.whole) if len(series) > 1 else y
        options: dict[str, Any] = {
            "type": "line", "name": one.name, "hue": number, "data": [_item(point, x, said) for point in shown],
            "showSymbol": len(shown) <= _MARKED,
        }  # fmt: skip
        if steps:
            options["step"] = "end"
        made += [*_bounds(one.name, number, shown), options]
    made += [_level(level, x, y) for level in levels]
    options = {"xAxis": x.options(), "yAxis": y.options(), "series": made, "tooltip": {"trigger": "axis"}}
    return Chart(id, title, summary, options, _table(series, x, y), tall, tuple(notes))


def bars(
    *, id: str, title: str, summary: str, categories: Sequence[str], y: Axis, series: Sequence[Series],  # noqa: A002
    head: str = "", stacked: bool = False, levels: Sequence[Level] = (), notes: Sequence[str] = (),
) -> Chart:  # fmt: skip
    """Lying bars, a group for each category from the top down, so that long names can be read.

    The points of a series name their category by `x`; `head` heads the categories in the table.
    """
    x = Axis(head or _("Group"), "category", categories=categories)
    made: list[dict[str, Any]] = []
    for number, one in enumerate(series):
        held = {str(point.x): point for point in one.points}
        data: list[Any] = [None] * len(categories)
        for place, name in enumerate(categories):
            point = held.get(name)
            if point is not None and _finite(point.y):
                data[place] = {"value": point.y, "text": point.text or _text(point, x, y)}
        made.append(
            {"type": "bar", "name": one.name, "hue": number, "data": data} | ({"stack": "all"} if stacked else {})
        )
        marks = [(place, held[name]) for place, name in enumerate(categories) if name in held and _known(held[name])]
        if marks and not stacked:
            made.append({
                "type": "custom", "draw": "bar-interval", "name": one.name, "hue": number, "silent": True,
                "place": number, "of": len(series), "data": [[point.low, place, point.high] for place, point in marks],
                "encode": {"x": [0, 2], "y": 1}, "tooltip": {"show": False},
            })  # fmt: skip
    made += [{**_level(level, x, y), "draw": "level-x", "data": [[level.y, 0]]} for level in levels]
    options = {
        "xAxis": y.options() | {"scale": False}, "yAxis": x.options() | {"inverse": True}, "series": made,
        "tooltip": {"trigger": "item"}, "rows": len(categories) * (1 if stacked else max(1, len(series))),
    }  # fmt: skip
    return Chart(id, title, summary, options, _wide(series, categories, x), len(categories) > 8, tuple(notes))


def scatter(
    *, id: str, title: str, summary: str, x: Axis, y: Axis, series: Sequence[Series],  # noqa: A002
    levels: Sequence[Level] = (), tall: bool = True, notes: Sequence[str] = (),
) -> Chart:  # fmt: skip
    """Points in a plane, with a cross where intervals are known and a line through the series that are `joined`."""
    made: list[dict[str, Any]] = []
    for number, one in enumerate(series):
        shown = [point for point in one.points if _finite(point.y)]
        crosses = [point for point in shown if _known(point) or (point.x_low is not None and point.x_high is not None)]
        if crosses:
            made.append({
                "type": "custom", "draw": "cross", "name": one.name, "hue": number, "silent": True,
                "tooltip": {"show": False}, "encode": {"x": [0, 2, 3], "y": [1, 4, 5]},
                "data": [[p.x, p.y, _or(p.x_low, p.x), _or(p.x_high, p.x), _or(p.low, p.y), _or(p.high, p.y)]
                         for p in crosses],
            })  # fmt: skip
        if one.joined:
            made.append({
                "type": "line", "name": one.name, "hue": number, "silent": True, "bare": True,
                "tooltip": {"show": False}, "data": [[point.x, point.y] for point in shown],
            })  # fmt: skip
        data = [_item(point, x, y) | {"label": point.name if point.strong else ""} for point in shown]
        made.append({
            "type": "scatter", "name": one.name, "hue": number, "data": data, "labelLayout": {"hideOverlap": True},
        })  # fmt: skip
    made += [_level(level, x, y) for level in levels]
    room = {"boundaryGap": ["4%", "4%"]}
    options = {
        "xAxis": room | x.options(), "yAxis": room | y.options(), "series": made, "tooltip": {"trigger": "item"},
    }  # fmt: skip
    return Chart(id, title, summary, options, _table(series, x, y), tall, tuple(notes))


def heatmap(
    *, id: str, title: str, summary: str, x: Axis, y: Axis, values: Sequence[Sequence[float | None]],  # noqa: A002
    low: float, high: float, notes: Sequence[str] = (),
) -> Chart:  # fmt: skip
    """A table of colours: `values[row][column]`, rows named by `y.categories`. Each cell has its number too."""
    whole = high > 1 and all(float(value).is_integer() for line in values for value in line if value is not None)
    told = (lambda value: present.number(value, decimals=0)) if whole else present.number
    data = [
        {"value": [column, row, value], "label": told(value),
         "text": f"{y.categories[row]} · {x.categories[column]}: {told(value)}"}
        for row, line in enumerate(values) for column, value in enumerate(line) if _finite(value)
    ]  # fmt: skip
    options = {
        "xAxis": x.options(), "yAxis": y.options() | {"inverse": True}, "tooltip": {"trigger": "item"},
        "series": [{"type": "heatmap", "name": title, "data": data}], "visualMap": {"min": low, "max": high},
    }  # fmt: skip
    rows = [[name, *(told(value) for value in line)] for name, line in zip(y.categories, values, strict=True)]
    table = Table([y.label, *x.categories], rows, frozenset(range(1, len(x.categories) + 1)))
    return Chart(id, title, summary, options, table, len(y.categories) > 8, tuple(notes))


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _known(point: Point) -> bool:
    return point.low is not None and point.high is not None


def _or(bound: float | None, value: float | str | None) -> float | str | None:
    return value if bound is None else bound


def _amount(value: float | str | None, axis: Axis) -> str:
    if isinstance(value, str):
        return value[:16].replace("T", " ") if axis.kind == "time" else value
    return present.number(value, decimals=0 if axis.whole else 3)


def _text(point: Point, x: Axis, y: Axis) -> str:
    interval = present.interval_text(point.low, point.high)
    told = f"{y.title}: {_amount(point.y, y)}{f' {interval}' if interval else ''}"
    return f"{point.name or ''}{' · ' if point.name else ''}{x.title}: {_amount(point.x, x)} · {told}"


def _item(point: Point, x: Axis, y: Axis) -> dict[str, Any]:
    made: dict[str, Any] = {"value": [point.x, point.y], "text": point.text or _text(point, x, y)}
    return made | ({"strong": True} if point.strong else {})


def _bounds(name: str, number: int, points: Sequence[Point]) -> list[dict[str, Any]]:
    known = [point for point in points if _known(point)]
    if not known:
        return []
    kind = "interval" if len(known) <= _MARKED else "band"
    return [{
        "type": "custom", "draw": kind, "name": name, "hue": number, "silent": True, "tooltip": {"show": False},
        "encode": {"x": 0, "y": [1, 2]}, "data": [[point.x, point.low, point.high] for point in known],
    }]  # fmt: skip


def _level(level: Level, x: Axis, y: Axis) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "custom", "draw": "diagonal" if level.diagonal else "level", "name": level.name, "silent": True,
        "tooltip": {"show": False}, "dashed": True,
    }  # fmt: skip
    # A place on both axes: a custom series draws one thing for each item.
    return made | {"data": [[_first(x), level.y if level.y is not None else _first(y)]]}


def _first(axis: Axis) -> float | int | None:
    return 0 if axis.kind == "category" else axis.low


def _table(series: Sequence[Series], x: Axis, y: Axis) -> Table:
    named = any(point.name for one in series for point in one.points)
    several = len(series) > 1
    ranged = any(_known(point) for one in series for point in one.points)
    heads = [_("Name")] if named else []
    heads += [_("Series")] if several else []
    rows = []
    for one in series:
        for point in one.points:
            row = [point.name or "–"] if named else []
            row += [one.name] if several else []
            row += [_amount(point.x, x), _amount(point.y, y)]
            rows.append([*row, present.interval_text(point.low, point.high) or "–"] if ranged else row)
    start = len(heads)
    heads += [x.label, y.label, *([_("Interval")] if ranged else [])]
    return Table(heads, rows, frozenset(range(max(start, 1), len(heads))))


def _wide(series: Sequence[Series], categories: Sequence[str], x: Axis) -> Table:
    held = [{str(point.x): point for point in one.points} for one in series]
    rows = []
    for name in categories:
        row = [name]
        for points in held:
            point = points.get(name)
            interval = present.interval_text(point.low, point.high) if point else ""
            row.append((present.number(point.y) if point else "–") + (f" {interval}" if interval else ""))
        rows.append(row)
    return Table([x.label, *(one.name for one in series)], rows, frozenset(range(1, len(series) + 1)))
