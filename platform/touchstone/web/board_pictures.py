"""The pictures around a leaderboard, and their words: the plane of two results, the frontier, entries by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from runners.spec import catalogue
from runners.spec.models import CompetitionSpec, LeaderboardSpec
from touchstone.leaderboards.columns import BoardColumn, columns_made
from touchstone.leaderboards.comparing import Compared, Plane, PlanePoint
from touchstone.leaderboards.formatting import number
from touchstone.leaderboards.models import Leaderboard
from touchstone.leaderboards.ranking import TRUST, columns_offered
from touchstone.leaderboards.timeline import Step
from touchstone.web import boards, charts, present

#: Names on a picture; more would cover each other.
_NAMED = 8


def _axis(column: BoardColumn) -> charts.Axis:
    word = present.direction(column.direction).text
    return charts.Axis(f"{column.title}, {word}", unit=column.unit)


def _point(point: PlanePoint, plane: Plane, named: bool) -> charts.Point:
    x, y, name = point.x, point.y, point.entry.participation.display_name
    told = [
        f"{column.title}: {number(score['value'], column.decimals)}"
        + (f" {present.interval_text(score['low'], score['high'])}" if score["low"] is not None else "")
        for column, score in ((plane.x, x), (plane.y, y))
    ]
    return charts.Point(
        x["value"], y["value"], y["low"], y["high"], x["low"], x["high"], name=name, strong=named,
        text=" · ".join([name, *told]),
    )  # fmt: skip


def plane_chart(plane: Plane) -> charts.Chart | None:
    """The plane of two results with its front; None where no entry has both."""
    if not plane.points:
        return None
    on_front = sorted((p for p in plane.points if p.front), key=lambda p: p.x["value"])
    rest = [p for p in plane.points if not p.front]
    names = [p.entry.participation.display_name for p in on_front]
    listed = ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
    summary = ngettext(
        "%(n)d of %(all)d entries is on the front: no other is as good in both and better in one. It is %(names)s.",
        "%(n)d of %(all)d entries are on the front: no other is as good in both and better in one. They are %(names)s.",
        len(names),
    ) % {"n": len(names), "all": len(plane.points), "names": listed}
    series = [
        charts.Series(_("On the front"), [_point(p, plane, len(names) <= _NAMED) for p in on_front], joined=True),
        charts.Series(_("Behind it"), [_point(p, plane, named=False) for p in rest]),
    ]
    title = _("%(y)s against %(x)s") % {"y": plane.y.title, "x": plane.x.title}
    return charts.scatter(
        id="plane", title=title, summary=summary, x=_axis(plane.x), y=_axis(plane.y),
        series=[one for one in series if one.points],
        notes=[_("Crosses are 95 % intervals. Which entries are on the front, measurement noise may change.")],
    )  # fmt: skip


def axis_choices(board: Leaderboard, plane: Plane) -> list[tuple[str, str]]:
    """Each result that an axis may show, with its title."""
    offer = columns_offered(spec=CompetitionSpec.model_validate(board.phase.competition.spec))
    metrics = catalogue()["metrics"]
    titles = {plane.x.key: plane.x.title, plane.y.key: plane.y.title, TRUST: _("Trust")}
    found = []
    for key in dict.fromkeys([*plane.available, *titles.keys() - {TRUST}]):
        column = offer.find(key)
        title = titles.get(key) or boards.title_of(key, metrics.get(column.metric, {}) if column else {})
        detail = boards.detail_of(key, title)
        found.append((key, f"{title} ({detail})" if detail else title))
    return found


def missing_texts(plane: Plane) -> list[str]:
    """Entries that have no place in the plane, and what they lack."""
    return [
        _("%(name)s: no value of %(what)s") % {"name": entry.participation.display_name, "what": ", ".join(what)}
        for entry, what in plane.missing
    ]


def ranking_column(board: Leaderboard, blunt: bool) -> BoardColumn:
    """The column that a board is ranked by."""
    spec = LeaderboardSpec.model_validate(board.spec)
    offer = columns_offered(spec=CompetitionSpec.model_validate(board.phase.competition.spec))
    return columns_made(keys=[spec.rank_by], spec=spec, offer=offer, entries=[], told={}, blunt=blunt)[0]


@dataclass(frozen=True)
class StepRow:
    """A step of a history as a line of its table."""

    at: Any
    name: str
    value: str
    entry: str


def step_rows(steps: Sequence[Step], column: BoardColumn) -> list[StepRow]:
    """The latest first."""
    return [
        StepRow(
            step.event.at, step.event.participation.display_name, number(step.value, column.decimals),
            str(step.event.run.submission_id),
        )
        for step in reversed(steps)
    ]  # fmt: skip


def frontier_chart(steps: Sequence[Step], column: BoardColumn) -> charts.Chart | None:
    """The best number of a board over time; None before there are two."""
    points = [
        charts.Point(step.event.at.isoformat(), step.value, name=step.event.participation.display_name)
        for step in steps
        if step.value is not None
    ]
    if len(points) < 2:
        return None
    last = points[-1]
    summary = ngettext(
        "The lead changed %(n)d time. Since %(since)s it is %(value)s, by %(name)s.",
        "The lead changed %(n)d times. Since %(since)s it is %(value)s, by %(name)s.",
        len(points) - 1,
    ) % {
        "n": len(points) - 1, "since": str(last.x)[:10], "value": number(last.y, column.decimals), "name": last.name,
    }  # fmt: skip
    return charts.lines(
        id="frontier", title=_("Best %s over time") % column.title, summary=summary, x=charts.Axis(_("Date"), "time"),
        y=_axis(column), series=[charts.Series(_("Best so far"), points)], steps=True,
    )  # fmt: skip


def participant_chart(steps: Sequence[Step], column: BoardColumn) -> charts.Chart | None:
    """How one participant's entry grew; None before there are two."""
    points = [charts.Point(step.event.at.isoformat(), step.value) for step in steps if step.value is not None]
    if len(points) < 2:
        return None
    first, last = points[0], points[-1]
    summary = _("From %(a)s to %(b)s in %(n)d entries.") % {
        "a": number(first.y, column.decimals), "b": number(last.y, column.decimals), "n": len(points),
    }  # fmt: skip
    return charts.lines(
        id="own-history", title=_("%s of this participant over time") % column.title, summary=summary,
        x=charts.Axis(_("Date"), "time"), y=_axis(column), series=[charts.Series(_("Entries"), points)], steps=True,
    )  # fmt: skip


def compared_heads(compared: Compared) -> list[dict[str, Any]]:
    """Name, address and flags of each entry that is compared."""
    return [
        {"name": entry.participation.display_name, "entry": str(entry.run.submission_id), "at": entry.achieved_at}
        for entry in compared.entries
    ]


def group_charts(compared: Compared, names: Sequence[str]) -> list[charts.Chart]:
    """One picture for each result whose details tell rates by group in all entries; the same rates come once."""
    made: list[charts.Chart] = []
    seen: set[str] = set()
    for place, key in enumerate(compared.results[0]):
        held = [found.get(key) for found in compared.results]
        known = [result for result in held if result is not None and isinstance(result.details, dict)]
        if len(known) != len(names):
            continue
        told = [(name, result.details) for name, result in zip(names, known, strict=True)]
        attribute = key.partition("[")[2].removesuffix("]")
        title = attribute or known[0].title
        chart = charts.group_chart(name=f"groups-{place}", title=title, held=told)
        if chart is not None and repr(chart.options) not in seen:
            seen.add(repr(chart.options))
            made.append(chart)
    return made
