"""Counts of classes and attribute values as bars: shares, so that splits of different size can be compared."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _

from touchstone.web import present
from touchstone.web.charts.build import Axis, Point, Series, bars
from touchstone.web.charts.chart import Chart, Table

#: Bars of one picture; of more values the largest are shown.
_MOST = 24

Counts = Mapping[str, Mapping[str, int]]


def share_bars(*, id: str, title: str, head: str, counts: Counts) -> Chart | None:  # noqa: A002 - a chart's id
    """Of each column (a split, a class) the share of each value. None where there is nothing to show.

    `counts`: column → value → items; the value "" is unknown.
    """
    totals = {column: sum(each.values()) for column, each in counts.items()}
    counts = {column: each for column, each in counts.items() if totals[column]}
    sums: dict[str, int] = {}
    for each in counts.values():
        for value, count in each.items():
            sums[value] = sums.get(value, 0) + count
    values = sorted((value for value in sums if value), key=lambda value: (-sums[value], value))[:_MOST]
    values += [""] if sums.get("") else []
    if not values:
        return None
    words = {value: value or _("(unknown)") for value in values}
    series = [
        Series(column, [_point(column, words[v], each.get(v, 0), totals[column]) for v in values])
        for column, each in counts.items()
    ]
    rows = [[words[v], *(_told(each.get(v, 0), totals[column]) for column, each in counts.items())] for v in values]
    table = Table([head, *counts], rows, frozenset(range(1, len(counts) + 1)))
    made = bars(
        id=id, title=title, summary=_summary(counts, totals, words), categories=list(words.values()),
        y=Axis(_("Share"), low=0, unit="%"), series=series, head=head, notes=_notes(len(sums), len(values)),
    )  # fmt: skip
    return Chart(made.id, made.title, made.summary, made.options, table, made.tall, made.notes)


def _point(column: str, value: str, count: int, total: int) -> Point:
    return Point(value, round(100 * count / total, 2), text=f"{column} · {value}: {_told(count, total)}")


def _told(count: int, total: int) -> str:
    return f"{present.count(count)} ({100 * count / total:.1f} %)"


def _summary(counts: Counts, totals: Mapping[str, int], words: Mapping[str, str]) -> str:
    told = []
    for column, each in counts.items():
        most = max(words, key=lambda value: each.get(value, 0))
        told.append(
            _("%(column)s: mostly %(value)s, %(told)s of %(all)s")
            % {
                "column": column, "value": words[most], "told": _told(each.get(most, 0), totals[column]),
                "all": present.count(totals[column]),
            }
        )  # fmt: skip
    return "; ".join(told) + "."


def _notes(found: int, shown: int) -> list[str]:
    if found <= shown:
        return []
    return [_("%(n)s rarer values are not shown.") % {"n": present.count(found - shown)}]
