"""The pictures of one result: groups, curves and tables that its details hold, each with what it shows in words.

Details may come from an organiser's own scorer, so every shape is met calmly: what is not as expected has no picture.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from touchstone.core.names import named
from touchstone.evaluations.models import Result
from touchstone.web import present
from touchstone.web.charts.build import Axis, Point, Series, bars, heatmap, lines
from touchstone.web.charts.chart import Chart
from touchstone.web.charts.curves import result_charts

Row = Mapping[str, Any]
_MOST = 40
_Z = 1.959964

#: Which rate of each group a metric compares, by a part of its name; and of which share of the group it is a rate.
_RATES = (
    ("parity", ("selection_rate",)), ("disparate_impact", ("selection_rate",)), ("equal_opportunity", ("tpr",)),
    ("odds", ("tpr", "fpr")), ("positive_predictive", ("ppv",)), ("accuracy", ("accuracy",)), ("", ("selection_rate",)),
)  # fmt: skip
_RATE_TITLES = {
    "selection_rate": gettext_lazy("Selection rate"), "tpr": gettext_lazy("True positive rate"),
    "fpr": gettext_lazy("False positive rate"), "ppv": gettext_lazy("Precision"),
    "accuracy": gettext_lazy("Accuracy"), "success_rate": gettext_lazy("Share that the attack fools"),
    "rate": gettext_lazy("Rate"),
}  # fmt: skip
_OF: dict[str, Callable[[Row], float]] = {
    "tpr": lambda row: row["n"] * (_number(row.get("base_rate")) or 0),
    "fpr": lambda row: row["n"] * (1 - (_number(row.get("base_rate")) or 0)),
    "ppv": lambda row: row["n"] * (_number(row.get("selection_rate")) or 0),
}


def pictures_of(result: Result) -> list[Chart]:
    """Every picture that the details of a result allow, the most telling first."""
    details = result.details if isinstance(result.details, Mapping) else {}
    title = named(result.title) or result.metric
    key = re.sub(r"[^a-z0-9]+", "-", result.key.lower()).strip("-")
    # Groups are drawn here: by the rate that the metric compares, with intervals.
    found = [*_groups(f"{key}-groups", title, details, result), *result_charts([result], without=("groups",))]
    for number, make in enumerate(_MAKERS):
        found += list(make(f"{key}-{number}", title, details, result))
    return found


def _groups(id: str, title: str, details: Row, result: Result) -> Iterator[Chart]:  # noqa: A002
    rows = _rows(details.get("groups"), "group")
    for rate in _rates_of(details, rows, result):
        points = [point for row in rows if (point := _group(row, rate, clustered=bool(details.get("clusters"))))]
        if len(points) < 2:
            continue
        low, high = min(points, key=_height), max(points, key=_height)
        name = str(_RATE_TITLES[rate])
        if rate == "rate" and str(details.get("rate")) in _RATE_TITLES:
            name = str(_RATE_TITLES[str(details["rate"])])
        told = {
            "rate": name, "low": low.x, "low_value": present.number(low.y), "high": high.x,
            "high_value": present.number(high.y), "gap": present.number(_height(high) - _height(low)),
        }  # fmt: skip
        summary = _("%(rate)s: lowest for %(low)s, %(low_value)s; highest for %(high)s, %(high_value)s. The gap is "
                    "%(gap)s.") % told  # fmt: skip
        notes = [] if all(point.low is not None for point in points) else [_("No interval: items share clusters.")]
        yield bars(
            id=f"{id}-{rate}", title=_("%(title)s: %(rate)s by group") % {"title": title, "rate": name.lower()},
            summary=summary, categories=[str(point.x) for point in points], y=Axis(name, low=0.0, high=1.0),
            series=[Series(name, points)], notes=notes,
        )  # fmt: skip


def _rates_of(details: Row, rows: Sequence[Row], result: Result) -> tuple[str, ...]:
    if not rows:
        return ()
    if any("success_rate" in row for row in rows):
        return ("success_rate",)
    if "rate" in details:
        return ("rate",)
    return next(rates for part, rates in _RATES if part in result.metric)


def _group(row: Row, rate: str, *, clustered: bool) -> Point | None:
    value, n = _number(row.get(rate)), _number(row.get("n", row.get("n_attacked")))
    if value is None or not 0 <= value <= 1:
        return None
    low, high = _number(row.get("low")), _number(row.get("high"))
    if low is None and n and not clustered:
        low, high = _wilson(value, _OF.get(rate, lambda row: n)({**row, "n": n}))
    text = f"{row['group']}: {present.number(value)} {present.interval_text(low, high)}".strip()
    return Point(str(row["group"])[:80], value, low, high, text=f"{text} · n = {present.number(n)}" if n else text)


#: Curves that need no words of their own: where they are in the details, x, y, their titles, and the axis' kind.
_CURVES = (
    ("curve", "share", ("probability", "random_map"), gettext_lazy("probability versus share of the input"),
     gettext_lazy("Share of the input"), gettext_lazy("Probability"), "value"),
    ("checkpoints", "checkpoint", ("accuracy",), gettext_lazy("accuracy by checkpoint"), gettext_lazy("Checkpoint"),
     gettext_lazy("Accuracy"), "value"),
    ("curve", "epsilon", ("accuracy",), gettext_lazy("accuracy versus epsilon"), gettext_lazy("Epsilon"),
     gettext_lazy("Accuracy"), "value"),
)  # fmt: skip
_NAMES = {
    "accuracy": gettext_lazy("accuracy"),
    "probability": gettext_lazy("by its map"), "random_map": gettext_lazy("by a random map"),
}  # fmt: skip


def _plain(id: str, title: str, details: Row, result: Result) -> Iterator[Chart]:  # noqa: A002
    for place, (name, x, ys, what, x_title, y_title, kind) in enumerate(_CURVES):
        several = [Series(str(_NAMES[y]), _curve(details.get(name), x, y)) for y in ys]
        several = [one for one in several if len(one.points) > 1]
        if not several:
            continue
        first, last = several[0].points[0], several[0].points[-1]
        told = {"a": present.number(first.y), "b": present.number(last.y), "name": several[0].name}
        yield lines(
            id=f"{id}-{place}", title=f"{title}: {what}", summary=_("%(name)s: from %(a)s to %(b)s.") % told,
            x=Axis(str(x_title), kind), y=Axis(str(y_title), kind), series=several,
        )  # fmt: skip


def _corruptions(id: str, title: str, details: Row, result: Result) -> Iterator[Chart]:  # noqa: A002
    levels = details.get("severities")
    if not isinstance(levels, list):
        return
    rows = [row for row in _rows(details.get("accuracy"), "kind") if isinstance(row.get("accuracy"), list)]
    rows = [row for row in rows if len(row["accuracy"]) == len(levels)]
    kinds = [str(row["kind"])[:40] for row in rows]
    values = [[_number(value) for value in row["accuracy"]] for row in rows]
    known = [
        (value, kinds[i], levels[j]) for i, row in enumerate(values) for j, value in enumerate(row) if value is not None
    ]
    if not known:
        return
    value, kind, level = min(known, key=lambda one: one[0])
    told = {"kind": kind, "level": level, "value": present.number(value)}
    yield heatmap(
        id=f"{id}-corruptions", title=_("%s: accuracy by corruption") % title,
        summary=_("Lowest for %(kind)s at severity %(level)s: %(value)s.") % told,
        x=Axis(_("Severity"), "category", categories=[str(level) for level in levels]),
        y=Axis(_("Corruption"), "category", categories=kinds), values=values, low=0.0, high=1.0,
    )  # fmt: skip


def _confusion(id: str, title: str, details: Row, result: Result) -> Iterator[Chart]:  # noqa: A002
    table, classes = details.get("confusion"), details.get("classes")
    if not isinstance(table, list) or not isinstance(classes, list) or not 1 < len(classes) == len(table) <= 20:
        return
    values = [[_number(value) for value in row] for row in table if isinstance(row, list) and len(row) == len(classes)]
    if len(values) != len(classes) or any(value is None for row in values for value in row):
        return
    wrong = [(row[j] or 0.0, classes[i], classes[j]) for i, row in enumerate(values) for j in range(len(row)) if i != j]
    count, truth, told_as = max(wrong, key=lambda one: one[0])
    words = {"count": present.number(count, decimals=0), "truth": truth, "as": told_as}
    yield heatmap(
        id=f"{id}-confusion", title=_("%s: what is taken for what") % title,
        summary=_("Most often wrong: %(truth)s taken for %(as)s, %(count)s times.") % words,
        x=Axis(_("Predicted"), "category", categories=[str(name)[:40] for name in classes]),
        y=Axis(_("True class"), "category", categories=[str(name)[:40] for name in classes]),
        values=values, low=0.0, high=max(float(value or 0) for row in values for value in row) or 1.0,
    )  # fmt: skip


_MAKERS = (_corruptions, _confusion, _plain)


def _rows(value: object, key: str) -> list[Row]:
    found = value if isinstance(value, list) else []
    return [row for row in found if isinstance(row, Mapping) and row.get(key) is not None][:_MOST]


def _curve(value: object, x: str, y: str) -> list[Point]:
    pairs = [(_number(row[x]), _number(row.get(y))) for row in _rows(value, x)]
    return [Point(at, height) for at, height in pairs if at is not None and height is not None]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _height(point: Point) -> float:
    return float(point.y or 0.0)


def _wilson(share: float, n: float) -> tuple[float | None, float | None]:
    """95 % of a share of `n` independent items; nothing for none."""
    if n < 1:
        return None, None
    z = _Z * _Z
    middle = (share + z / (2 * n)) / (1 + z / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z / (4 * n * n)) / (1 + z / n)
    return max(0.0, middle - half), min(1.0, middle + half)
