"""A leaderboard page as its table, dot plot and links; all state is in the query string."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from runners.spec import catalogue
from runners.spec.models import CompetitionSpec
from touchstone.core.names import named
from touchstone.leaderboards.columns import BoardColumn
from touchstone.leaderboards.ranking import TRUST, columns_offered
from touchstone.leaderboards.selectors import BoardPage
from touchstone.web import charts, present
from touchstone.web.board_query import Query

_PLOTTED = 10


@dataclass(frozen=True)
class Header:
    """A column's head. `aria` is the value of aria-sort where the table is sorted by it."""

    column: BoardColumn
    pillar: str
    detail: str
    direction: present.Direction
    n: str
    url: str
    aria: str


@dataclass(frozen=True)
class Cell:
    text: str
    interval: str
    mark: charts.Interval | None
    state: str
    reason: str
    sorted: bool
    verdict: str
    doubts: list[str]


@dataclass(frozen=True)
class Row:
    """`data` is the row as the selector gave it; `opens_unranked` is True for the first row without a rank, and
    `opens_group` for the first of each tie group but the first."""

    data: dict[str, Any]
    cells: list[Cell]
    rank: str
    tied: str
    submitted: datetime
    flags: list[present.Badge]
    opens_unranked: bool
    opens_group: bool


def detail_of(key: str, title: str) -> str:
    """What tells a column from others with the same title: the attribute in brackets, or the alias."""
    head, bracket, inside = key.partition("[")
    if bracket:
        text = inside.removesuffix("]").replace("=", ": ")
        return "" if text in title else text
    alias = head.split(".", 1)[0]
    return "" if alias in present.PILLARS or alias in title else alias


def rank_text(row: dict[str, Any]) -> str:
    """The range of a rank, `2–5`; the bare rank where no range is known, and `–` where there is none."""
    best, worst = row["best"], row["worst"]
    if best is None:
        return str(row["rank"])
    if worst is None:
        return _("%s or worse") % best
    return str(best) if best == worst else f"{best}–{worst}"


def tied_text(row: dict[str, Any]) -> str:
    """With how many others an entry is tied."""
    tied = row["tied"]
    return ngettext("tied with %d other", "tied with %d others", tied) % tied if tied else ""


def total_text(page: BoardPage) -> str:
    """How many entries there are, or that there are more than were counted."""
    shown = present.count(page.total)
    if page.total_is_least:
        return _("more than %s participants") % shown
    return ngettext("%s participant", "%s participants", page.total) % shown


def headers(page: BoardPage, query: Query) -> list[Header]:
    """Heads with links that sort: first the better way round, then the other."""
    made = []
    known = known_columns(page)
    for index, column in enumerate(page.columns):
        better = column.key if column.direction in {"minimise", "zero"} else f"-{column.key}"
        other = column.key if better.startswith("-") else f"-{column.key}"
        wanted = other if query.sort == better else better
        aria = {column.key: "ascending", f"-{column.key}": "descending"}.get(query.sort, "")
        made.append(
            Header(
                column=column,
                pillar=known[column.key][0],
                detail=detail_of(column.key, column.title),
                direction=present.direction(column.direction),
                n=_count(page, index),
                url=query.url(sort=wanted),
                aria=aria,
            )
        )
    return made


def spans(heads: Sequence[Header]) -> list[tuple[present.Pillar, int]]:
    """Neighbouring columns of one pillar, and how many they are."""
    return [(present.pillar(name), len(list(run))) for name, run in groupby(heads, lambda head: head.pillar)]


def known_columns(page: BoardPage) -> dict[str, tuple[str, dict[str, Any]]]:
    """The pillar and the catalogue's entry of each key that can be shown."""
    offer = columns_offered(spec=CompetitionSpec.model_validate(page.leaderboard.phase.competition.spec))
    metrics = catalogue()["metrics"]
    found = {}
    for key in dict.fromkeys([*page.available, *(column.key for column in page.columns)]):
        column = offer.find(key)
        entry = metrics.get(column.metric, {}) if column else {}
        found[key] = TRUST if key == TRUST else str(entry.get("pillar", key.split(".", 1)[0])), entry
    return found


def _count(page: BoardPage, index: int) -> str:
    """n of a column, from the first row that has one: all entries are measured on the same split."""
    found = next((row["cells"][index]["n"] for row in page.rows if row["cells"][index]["n"]), None)
    return present.count(found) if found else ""


def _numbers(cells: Sequence[dict[str, Any]]) -> list[float | None]:
    return [value for cell in cells for value in (cell["value"], cell["low"], cell["high"])]


def rows(page: BoardPage, query: Query) -> list[Row]:
    """Rows with the marks of their intervals; each column has one scale, so marks can be compared down it."""
    scales = [charts.scale_of(_numbers([row["cells"][i] for row in page.rows])) for i in range(len(page.columns))]
    sorted_by = [_is_sorted(column, query) for column in page.columns]
    made: list[Row] = []
    by_rank = query.sort in ("", "rank")
    for data in page.rows:
        before = made[-1].data if made else None
        made.append(
            Row(
                data=data,
                cells=list(_cells(data, scales, sorted_by)),
                rank=rank_text(data),
                tied=tied_text(data),
                submitted=data["submitted_at"],
                flags=[present.ENTRY_FLAGS[flag] for flag in data["flags"]],
                opens_unranked=bool(by_rank and data["unranked"] and not (before and before["unranked"])),
                opens_group=bool(before and data["group"] and before["group"] not in (0, data["group"])),
            )
        )
    return made


def _cells(data: dict[str, Any], scales: Sequence[charts.Scale | None], sorted_by: Sequence[bool]) -> Iterator[Cell]:
    for cell, scale, by in zip(data["cells"], scales, sorted_by, strict=True):
        yield Cell(
            text=cell["text"],
            interval=f"[{cell['low_text']}, {cell['high_text']}]" if cell["low_text"] and cell["high_text"] else "",
            mark=charts.interval(scale, cell["value"], cell["low"], cell["high"]),
            state=cell["state"],
            reason=cell["reason"],
            sorted=by,
            verdict=cell["verdict"],
            doubts=cell["doubts"],
        )


def _is_sorted(column: BoardColumn, query: Query) -> bool:
    key = query.sort.removeprefix("-")
    return column.is_ranking if key in ("", "rank") else column.key == key


def plot(page: BoardPage) -> charts.Plot | None:
    """The ranking metric of the first ranked rows, if there are two to compare."""
    index = next((i for i, column in enumerate(page.columns) if column.is_ranking), None)
    if index is None:
        return None
    shown = [
        (row, row["cells"][index])
        for row in page.rows
        if not row["unranked"] and row["cells"][index]["value"] is not None
    ]
    shown = shown[:_PLOTTED]
    scale = charts.scale_of(_numbers([cell for _row, cell in shown]))
    if len(shown) < 2 or scale is None:
        return None
    marks = charts.ticks(scale)
    step = marks[1] - marks[0] if len(marks) > 1 else scale.high - scale.low
    return charts.Plot(
        rows=[
            charts.PlotRow(row["participant"], cell["text"], mark, bool(row["is_you"]))
            for row, cell in shown
            if (mark := charts.interval(scale, cell["value"], cell["low"], cell["high"])) is not None
        ],
        ticks=[charts.Tick(scale.x(value), charts.tick_text(value, step)) for value in marks],
    )


@dataclass(frozen=True)
class Choice:
    """A column in the picker."""

    key: str
    title: str
    detail: str
    checked: bool


@dataclass(frozen=True)
class ChoiceGroup:
    name: str
    choices: list[Choice]


def picker(page: BoardPage) -> list[ChoiceGroup]:
    """Every column that can be shown, by pillar."""
    checked = {column.key: column for column in page.columns}
    groups: dict[str, list[Choice]] = {}
    for key, (pillar, entry) in known_columns(page).items():
        title = _("Trust") if key == TRUST else checked[key].title if key in checked else title_of(key, entry)
        groups.setdefault(pillar, []).append(Choice(key, title, detail_of(key, title), key in checked))
    return [ChoiceGroup(name, choices) for name, choices in groups.items()]


def title_of(key: str, entry: dict[str, Any]) -> str:
    """The title of a sub-result such as `hsj.robust_accuracy` or `odds.cost[sex]`, or of the metric itself."""
    columns = entry.get("columns", {})
    head, bracket, inside = key.partition("[")
    part = head.rsplit(".", 1)[-1]
    # `[sex]` and `[sex=male]` belong to templates; what stands before may be a part or the metric's own name.
    template = ("[attribute=group]" if "=" in inside else "[attribute]") if bracket else ""
    found = columns.get(part + template) or columns.get(template) or {}
    return named(str(found.get("title") or entry.get("title") or "")) or key
