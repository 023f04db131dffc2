"""Taking a competition along, and the reports of its phases."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from touchstone.competitions.exporting import competition_export, export_name
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import page


@login_required
@page
@require_safe
def export(request: HttpRequest, slug: str) -> HttpResponse:
    """What can be taken along, and what is in it."""
    shown = manage_frame(request, slug)
    return render(request, "web/organise/export.html", manage_context(shown, "export"))


@login_required
@page
@require_safe
def bundle(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The bundle, sent as it is read."""
    shown = manage_frame(request, slug)
    if request.method == "HEAD":
        return HttpResponse(content_type="application/zip")
    pieces = competition_export(competition=shown.competition, user=request.user)
    answer = StreamingHttpResponse(pieces, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="{export_name(competition=shown.competition)}"'
    answer["Cache-Control"] = "private, no-store"
    return answer


@login_required
@page
@require_safe
def reports(request: HttpRequest, slug: str) -> HttpResponse:
    """A report for each phase."""
    shown = manage_frame(request, slug)
    return render(request, "web/organise/reports.html", manage_context(shown, "report"))
