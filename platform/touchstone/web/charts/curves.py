"""The pictures in a result's details: curves of attacks, reliability diagrams, rates by group, time by size.

Details may come from an organiser's own scorer, so any shape is met calmly: what is not understood is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from touchstone.core.names import named
from touchstone.web import present
from touchstone.web.charts.build import Axis, Level, Point, Series, bars, lines
from touchstone.web.charts.chart import Chart

#: Groups and points that one picture shows at most.
_MOST = 40
#: Rates of a group, by what they are called; the first that a result names is drawn first.
RATES = {
    "rate": gettext_lazy("Rate"),
    "selection_rate": gettext_lazy("Selection rate"),
    "tpr": gettext_lazy("True positive rate"),
    "fpr": gettext_lazy("False positive rate"),
    "accuracy": gettext_lazy("Accuracy"),
    "success_rate": gettext_lazy("Share fooled"),
}


class Explained(Protocol):
    """A result as far as its pictures need it."""

    key: str
    title: str
    metric: str
    details: Any


Draw = Callable[[str, str, Mapping[str, Any]], "Chart | None"]


def result_charts(results: Iterable[Explained], *, prefix: str = "", without: Collection[str] = ()) -> list[Chart]:
    """Every picture that the details of the results hold, in the order of the results. The same picture comes once.

    `without`: kinds that are left out.
    """
    made: list[Chart] = []
    seen: set[str] = set()
    for result in results:
        if not isinstance(result.details, Mapping):
            continue
        name = f"{prefix}{slugify(result.key)}"
        for kind, draw in _KINDS.items():
            if kind in without:
                continue
            chart = draw(f"{name}-{kind}", named(result.title) or result.key, result.details)
            told = repr(chart.options) if chart else ""
            if chart is not None and told not in seen:
                seen.add(told)
                made.append(chart)
    return made


def group_chart(*, name: str, title: str, held: Sequence[tuple[str, Mapping[str, Any]]]) -> Chart | None:
    """One rate of each group for several submissions, `held` by name with their details; None where they have none."""
    tables = [
        (label, [row for row in _rows(details, "groups") if isinstance(row.get("group"), (str, int))])
        for label, details in held
    ]
    rate = next((r for r in RATES if all(sum(_is_number(row.get(r)) for row in rows) > 1 for _l, rows in tables)), "")
    if not rate or not tables:
        return None
    names = list(dict.fromkeys(str(row["group"]) for _label, rows in tables for row in rows))
    told = []
    for label, rows in tables:
        low, high = _ends(rows, rate)
        told.append(
            _("%(who)s: worst for %(low)s (%(a)s), gap %(gap)s.")
            % {"who": label, "low": low["group"], "a": present.number(low[rate]),
               "gap": present.number(high[rate] - low[rate])}
        )  # fmt: skip
    series = [Series(label, [_group_point(row, rate) for row in rows]) for label, rows in tables]
    return bars(
        id=name, title=_("%(title)s: %(rate)s by group") % {"title": title, "rate": RATES[rate]},
        summary=" ".join(told), categories=names, y=Axis(str(RATES[rate]), low=0), series=series, head=_("Group"),
    )  # fmt: skip


def _rows(details: Mapping[str, Any], name: str, *numbers: str) -> list[dict[str, Any]]:
    """The points under `name` in which all `numbers` are numbers."""
    found = details.get(name)
    if not isinstance(found, list):
        return []
    return [row for row in found[:_MOST] if isinstance(row, dict) and all(_is_number(row.get(n)) for n in numbers)]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _number(row: Mapping[str, Any], name: str) -> float | None:
    return float(row[name]) if _is_number(row.get(name)) else None


def _distance(name: str, title: str, details: Mapping[str, Any]) -> Chart | None:
    curves = {_("All"): _rows(details, "success_versus_distance", "distance", "success_rate")}
    for row in _rows(details, "groups"):
        curve = _rows(row, "success_versus_distance", "distance", "success_rate")
        if curve and "group" in row:
            curves[str(row["group"])] = curve
    series = [
        Series(label, [Point(row["distance"], row["success_rate"]) for row in rows])
        for label, rows in curves.items()
        if len(rows) > 1
    ][:6]
    if not series:
        return None
    return lines(
        id=name, title=_("%s: success versus distance") % title, summary=_distance_words(series[0]),
        x=Axis(_("Distance"), low=0, unit=str(details.get("norm", ""))), y=Axis(_("Share fooled"), low=0, high=1),
        series=series,
    )  # fmt: skip


def _distance_words(series: Series) -> str:
    last = series.points[-1]
    half = next((point for point in series.points if point.y is not None and point.y >= 0.5), None)
    end = _("Within a distance of %(x)s, %(y)s of the attacked items are fooled.") % {
        "x": present.number(float(last.x)), "y": _percent(last.y),
    }  # fmt: skip
    if half is None:
        return end
    return _("%(end)s Half of them are at a distance of %(x)s or less.") % {
        "end": end, "x": present.number(float(half.x)),
    }  # fmt: skip


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _budget(name: str, title: str, details: Mapping[str, Any]) -> Chart | None:
    rows = _rows(details, "accuracy_versus_eps", "eps", "accuracy")
    if len(rows) < 2:
        return None
    first, last = rows[0], rows[-1]
    summary = _("Accuracy falls from %(clean)s on untouched items to %(robust)s at a budget of %(eps)s.") % {
        "clean": _percent(first["accuracy"]), "robust": _percent(last["accuracy"]), "eps": present.number(last["eps"]),
    }  # fmt: skip
    return lines(
        id=name, title=_("%s: accuracy versus budget") % title, summary=summary,
        x=Axis(_("Budget eps"), low=0, unit=str(details.get("norm", ""))), y=Axis(_("Accuracy"), low=0, high=1),
        series=[Series(_("Accuracy"), [Point(row["eps"], row["accuracy"]) for row in rows])],
    )  # fmt: skip


def _reliability(name: str, title: str, details: Mapping[str, Any]) -> Chart | None:
    rows = _rows(details, "diagram", "stated", "right")
    if not rows:
        return None
    worst = max(rows, key=lambda row: abs(row["right"] - row["stated"]))
    summary = _(
        "On the dashed line, stated probability and share right are equal. The largest gap: %(stated)s stated, "
        "%(right)s right."
    ) % {"stated": present.number(worst["stated"]), "right": present.number(worst["right"])}
    points = [
        Point(
            row["stated"], row["right"], _number(row, "low"), _number(row, "high"),
            name=f"n = {row['n']}" if _is_number(row.get("n")) else "",
        )
        for row in rows
    ]  # fmt: skip
    return lines(
        id=name, title=_("%s: reliability") % title, summary=summary,
        x=Axis(_("Probability stated"), low=0, high=1), y=Axis(_("Share right"), low=0, high=1),
        series=[Series(_("Bins"), points)], levels=[Level(_("as stated"), diagonal=True)],
    )  # fmt: skip


def _groups(name: str, title: str, details: Mapping[str, Any]) -> Chart | None:
    """Rates of each group. The first rate that all known ones have leads, and its worst and best are told."""
    rows = [row for row in _rows(details, "groups") if isinstance(row.get("group"), (str, int))]
    drawn = [rate for rate in RATES if sum(_is_number(row.get(rate)) for row in rows) > 1][:3]
    if not drawn:
        return None
    names = [str(row["group"]) for row in rows]
    series = [Series(str(RATES[rate]), [_group_point(row, rate) for row in rows]) for rate in drawn]
    low, high = _ends(rows, drawn[0])
    summary = _("%(rate)s: lowest for %(low)s (%(a)s), highest for %(high)s (%(b)s); a gap of %(gap)s.") % {
        "rate": RATES[drawn[0]], "low": low["group"], "a": present.number(low[drawn[0]]), "high": high["group"],
        "b": present.number(high[drawn[0]]), "gap": present.number(high[drawn[0]] - low[drawn[0]]),
    }  # fmt: skip
    untold = [str(row["group"]) for row in rows if not any(_is_number(row.get(rate)) for rate in drawn)]
    notes = [_("Too few items to tell a rate: %s.") % ", ".join(untold)] if untold else []
    return bars(
        id=name, title=_("%s: by group") % title, summary=summary, categories=names, y=Axis(_("Rate"), low=0),
        series=series, head=_("Group"), notes=notes,
    )  # fmt: skip


def _group_point(row: Mapping[str, Any], rate: str) -> Point:
    bounded = rate == "rate"
    return Point(
        str(row["group"]), _number(row, rate), _number(row, "low") if bounded else None,
        _number(row, "high") if bounded else None,
    )  # fmt: skip


def _ends(rows: Sequence[Mapping[str, Any]], rate: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    known = [row for row in rows if _is_number(row.get(rate))]
    return min(known, key=lambda row: row[rate]), max(known, key=lambda row: row[rate])


def _sizes(name: str, title: str, details: Mapping[str, Any]) -> Chart | None:
    rows = _rows(details, "points", "n", "median_ms")
    if len(rows) < 2:
        return None
    summary = _("From %(a)s to %(b)s items, the median time goes from %(s)s ms to %(t)s ms.") % {
        "a": present.count(int(rows[0]["n"])), "b": present.count(int(rows[-1]["n"])),
        "s": present.number(rows[0]["median_ms"]), "t": present.number(rows[-1]["median_ms"]),
    }  # fmt: skip
    return lines(
        id=name, title=_("%s: time by size") % title, summary=summary, x=Axis(_("Size"), "log"),
        y=Axis(_("Time"), "log", unit="ms"),
        series=[Series(_("Median"), [Point(row["n"], row["median_ms"]) for row in rows])],
    )  # fmt: skip


_KINDS: dict[str, Draw] = {
    "distance": _distance, "budget": _budget, "reliability": _reliability, "groups": _groups, "sizes": _sizes,
}  # fmt: skip
