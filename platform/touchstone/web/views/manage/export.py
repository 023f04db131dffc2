"""Taking a competition along, and the reports of its phases."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from touchstone.competitions.exporting import competition_export, export_name
from touchstone.core.errors import UserError
from touchstone.core.storage import storage_open
from touchstone.exports.models import Export
from touchstone.exports.selectors import export_file, export_latest, export_path, export_sizes
from touchstone.exports.services import export_ask
from touchstone.web import present
from touchstone.web.views.frame import Frame
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import page


@login_required
@never_cache
@page
@require_safe
def export(request: HttpRequest, slug: str) -> HttpResponse:
    """What can be taken along, and what is in it."""
    return _page(request, manage_frame(request, slug))


@login_required
@page
@require_POST
def everything(request: HttpRequest, slug: str) -> HttpResponse:
    """Have everything put into one file, by a job."""
    shown = manage_frame(request, slug)
    try:
        export_ask(competition=shown.competition, user=request.user, artifacts=request.POST.get("artifacts") == "yes")
    except UserError as error:
        return _page(request, shown, problem=error)
    messages.success(request, _("The file is being made. You may leave this page."))
    return redirect("web:manage-export", slug)


@login_required
@page
@require_safe
def everything_file(request: HttpRequest, slug: str, pk: UUID) -> HttpResponseBase:
    """The file, while it is kept."""
    shown = manage_frame(request, slug)
    found = export_file(user=request.user, competition=shown.competition, id=pk)
    answer = FileResponse(
        storage_open(name=export_path(export=found)), as_attachment=True, content_type="application/zip",
        filename=f"{slug}-everything-{found.wanted_at:%Y-%m-%d}.zip",
    )  # fmt: skip
    answer["Cache-Control"] = "private, no-store"
    return answer


def _page(request: HttpRequest, shown: Frame, *, problem: UserError | None = None) -> HttpResponse:
    sizes = export_sizes(competition=shown.competition)
    latest = export_latest(user=request.user, competition=shown.competition)
    extra = {
        "sizes": {"bundle": present.size(sizes.bundle), "all": present.size(sizes.bundle + sizes.artifacts)},
        "latest": latest, "percent": _percent(latest), "problem": problem,
    }  # fmt: skip
    context = manage_context(shown, "export", **extra)
    return render(request, "web/organise/export.html", context, status=problem.status if problem else 200)


def _percent(export: Export | None) -> int:
    return min(99, 100 * export.done // export.total) if export is not None and export.total else 0


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
