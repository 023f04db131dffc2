"""How a competition is doing: what its organisers look at first."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache

from touchstone.core.clock import now
from touchstone.submissions.dashboard import Dashboard, DayCount, Failure, dashboard_of
from touchstone.web import charts
from touchstone.web.forms import KINDS
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import page

#: What organisers can do, by verdict; a rejected file has none.
_ADVICE = {
    "platform": gettext_lazy("Not their fault: see the nodes, then evaluate these again."),
    "scorer": gettext_lazy("A metric failed: check its parameters and the data, then evaluate these again."),
    "timeout": gettext_lazy("If many fail so, give more time in the rules, or say how long a sample takes."),
    "memory": gettext_lazy("If many fail so, allow more memory, or put the limit into the starting kit."),
    "output_limit": gettext_lazy("Tell participants to print less; the limit is on the rules page."),
    "crash": gettext_lazy("Participants see their log; a public sample like the real data helps most."),
    "invalid_output": gettext_lazy("Put an example of right answers into the starting kit or the data page."),
    "": gettext_lazy("The file was not as asked: show one that is accepted on the data page."),
}


@login_required
@never_cache
@page
def dashboard(request: HttpRequest, slug: str) -> HttpResponse:
    """Submissions, failures, the queue, the participants, the storage and the quota."""
    shown = manage_frame(request, slug)
    found = dashboard_of(competition=shown.competition)
    extra = {
        "board": found,
        "charts": [chart for chart in (_sent(found.days), _joined(found)) if chart is not None],
        "kinds": [(KINDS[kind].title, n) for kind, n in sorted(found.kinds.items()) if kind in KINDS],
        "scored": found.states.get("scored", 0),
        "failures": [_failure(row) for row in found.failures],
        "takers": [(KINDS[kind].title, nodes) for kind, nodes in found.queue.takers],
        "active": found.participants.get("active", 0),
        "pending": found.participants.get("pending", 0),
    }
    return render(request, "web/organise/dashboard.html", manage_context(shown, "dashboard", **extra))


def _failure(row: Failure) -> dict[str, Any]:
    query = f"status={row.status}" + (f"&verdict={row.verdict}" if row.verdict else "")
    return {"row": row, "advice": _ADVICE.get(row.verdict, ""), "query": query}


def _sent(days: list[DayCount]) -> charts.Chart | None:
    """A line for each kind; days on which nothing came are zeros, not gaps."""
    if not days:
        return None
    span = _span(days[0].day, days[-1].day)
    counts = {(row.day, row.kind): row.n for row in days}
    series = [
        charts.Series(
            str(KINDS[kind].title), [charts.Point(day.isoformat(), counts.get((day, kind), 0)) for day in span]
        )
        for kind in KINDS
        if any(row.kind == kind for row in days)
    ]
    total = sum(row.n for row in days)
    busiest = max(span, key=lambda day: sum(counts.get((day, kind), 0) for kind in KINDS))
    most = sum(counts.get((busiest, kind), 0) for kind in KINDS)
    text = ngettext("%(n)d submission in the last 60 days", "%(n)d submissions in the last 60 days", total)
    summary = _("%(text)s; most on %(day)s: %(most)d.") % {"text": text % {"n": total}, "day": busiest, "most": most}
    return charts.lines(
        id="sent", title=_("Submissions a day"), summary=summary, x=charts.Axis(_("Day"), "time"),
        y=charts.Axis(_("Submissions"), low=0, whole=True), series=series, steps=True,
    )  # fmt: skip


def _joined(found: Dashboard) -> charts.Chart | None:
    if not found.joined:
        return None
    # From the day before the first to today, so that one day is a step and not a dot.
    points, total = [charts.Point((found.joined[0][0] - timedelta(days=1)).isoformat(), 0)], 0
    for day, n in found.joined:
        total += n
        points.append(charts.Point(day.isoformat(), total))
    if points[-1].x != now().date().isoformat():
        points.append(charts.Point(now().date().isoformat(), total))
    summary = ngettext("%d participant joined so far.", "%d participants joined so far.", total) % total
    return charts.lines(
        id="joined", title=_("Participants"), summary=summary, x=charts.Axis(_("Day"), "time"),
        y=charts.Axis(_("Participants"), low=0, whole=True), steps=True,
        series=[charts.Series(_("Participants"), points)],
    )  # fmt: skip


def _span(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
