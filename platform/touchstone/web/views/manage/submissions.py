"""All submissions of a competition: searched, sorted, exported, and what organisers do with them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from touchstone.core.keyset import keyset_page
from touchstone.evaluations.rerun_selectors import again_of, rerun_progress, reruns_of
from touchstone.evaluations.services import spec_of
from touchstone.submissions.searching import SORTS, SubmissionFilter, submissions_csv, submissions_search
from touchstone.web import present
from touchstone.web.manage_forms import SubmissionFilterForm
from touchstone.web.views.frame import Frame
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import page

_PAGE = 50


def filter_form(shown: Frame, query: QueryDict) -> SubmissionFilterForm:
    phases = [(item.phase.slug, item.phase.title) for item in shown.phases]
    return SubmissionFilterForm(query, phases=phases)


def filter_of(form: SubmissionFilterForm) -> SubmissionFilter:
    """What the form asks for; a field that says nothing sensible narrows nothing, and says so beside it."""
    form.is_valid()
    return SubmissionFilter(**{name: value for name, value in form.cleaned_data.items() if value})


def query_text(query: QueryDict, *leave: str, **more: str) -> str:
    """The query of an address without what is empty and what `leave` names."""
    kept = query.copy()
    for name in list(kept):
        if name in leave or name in more or not any(kept.getlist(name)):
            del kept[name]
    for name, value in more.items():
        if value:
            kept[name] = value
    return kept.urlencode()


@login_required
@never_cache
@page
def submissions(request: HttpRequest, slug: str) -> HttpResponse:
    """The table. Filter, order and place are in the address."""
    shown = manage_frame(request, slug)
    form = filter_form(shown, request.GET)
    wanted = filter_of(form)
    found = submissions_search(user=request.user, competition=shown.competition, wanted=wanted)
    sort = request.GET.get("sort", "-submitted")
    down, name = sort.startswith("-"), sort.removeprefix("-")
    if name not in SORTS:
        sort, down, name = "-submitted", True, "submitted"
    rows = keyset_page(
        queryset=found, field=SORTS[name], down=down, after=request.GET.get("after", ""), limit=_PAGE
    )  # fmt: skip
    again = again_of(submissions=[row.pk for row in rows.rows])
    reruns = list(reruns_of(competition=shown.competition)[:3])
    progress = rerun_progress(reruns=reruns)
    extra = {
        "form": form,
        "narrowed": not wanted.is_empty,
        "rows": [{"item": row, "again": row.pk in again, "image": str(row.pk)[:8]} for row in rows.rows],
        "total": found.count(),
        "heads": _heads(request.GET, name, down),
        "next": query_text(request.GET, after=rows.after) if rows.after else "",
        "first": query_text(request.GET, "after") if request.GET.get("after") else None,
        "query": query_text(request.GET, "after", "sort"),
        "csv": f"{reverse('web:manage-submissions-csv', args=[slug])}?{query_text(request.GET, 'after', 'sort')}",
        "reruns": [(rerun, progress[rerun.pk]) for rerun in reruns],
        "version": shown.competition.version,
        "metrics": [use.prefix for use in spec_of(competition=shown.competition).metrics],
    }
    return render(request, "web/organise/submissions.html", manage_context(shown, "submissions", **extra))


def _heads(query: QueryDict, name: str, down: bool) -> list[dict[str, Any]]:
    titles = {
        "submitted": _("Submitted"), "participant": _("Participant"), "phase": _("Phase"), "kind": _("Kind"),
        "state": _("State"),
    }  # fmt: skip
    heads = []
    for key, title in titles.items():
        here = key == name
        turn = f"-{key}" if (here and not down) or (not here and key == "submitted") else key
        heads.append(
            {
                "title": title,
                "url": f"?{query_text(query, 'after', sort=turn)}",
                "aria": ("descending" if down else "ascending") if here else "",
            }
        )
    return heads


@login_required
@never_cache
@page
def submissions_file(request: HttpRequest, slug: str) -> StreamingHttpResponse:
    """What the filter finds, as CSV, newest first."""
    shown = manage_frame(request, slug)
    wanted = filter_of(filter_form(shown, request.GET))
    found = submissions_search(user=request.user, competition=shown.competition, wanted=wanted)
    lines = submissions_csv(submissions=found.order_by("-created_at", "-pk").iterator(chunk_size=500))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-submissions.csv"'
    return response


def time_text(seconds: float | None) -> str:
    return _("nothing like it has ended yet") if seconds is None else present.duration(seconds)
