"""Matrices of transferred examples between submissions, for the organisers of a competition."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from touchstone.core.errors import NotFound, UserError
from touchstone.leaderboards.exports import csv_lines
from touchstone.transfers.models import Matrix
from touchstone.transfers.selectors import matrices_of, matrix_export_rows, matrix_get, matrix_view
from touchstone.transfers.services import matrix_cancel, matrix_create
from touchstone.web.forms import add_problem
from touchstone.web.matrix_form import MatrixForm, shown_cell, shown_rows
from touchstone.web.views.frame import Frame, context, frame
from touchstone.web.views.support import is_htmx, page

_SHOWN = 5


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def matrices(request: HttpRequest, slug: str) -> HttpResponse:
    """The latest matrices of all phases, and the form that asks for another."""
    shown = frame(request, slug)
    if not shown.organiser:
        raise NotFound(_("There is no such address."))
    phases = [item.phase for item in shown.phases]
    first = shown.current or phases[-1]
    form = MatrixForm(request.POST or None, phases=phases, initial={"phase": first.slug})
    if request.method == "POST" and form.is_valid():
        try:
            matrix_create(user=request.user, phase=form.chosen, parameters=form.parameters)
        except UserError as error:
            add_problem(form, error)
        else:
            messages.success(request, _("The runs of the matrix are queued."))
            return redirect("web:matrices", slug=slug)
    extra = {"form": form, "matrices": _latest(request, shown)}
    template = "web/matrix/_matrices.html" if is_htmx(request) else "web/matrix/matrices.html"
    return render(request, template, context(shown, "transfer", **extra), status=422 if form.errors else 200)


def _latest(request: HttpRequest, shown: Frame) -> list[dict[str, Any]]:
    found = [matrix for item in shown.phases for matrix in matrices_of(user=request.user, phase=item.phase)[:_SHOWN]]
    return [_shown(matrix) for matrix in sorted(found, key=lambda matrix: matrix.created_at, reverse=True)[:_SHOWN]]


def _shown(matrix: Matrix) -> dict[str, Any]:
    view = matrix_view(matrix=matrix)
    return {
        "view": view,
        "matrix": matrix,
        "parameters": ", ".join(f"{name} {matrix.parameters[name]}" for name in _ordered(matrix.parameters)),
        "rows": shown_rows(view),
        "clean": [shown_cell(column.clean) for column in view.columns],
        "worst": [shown_cell(column.worst) for column in view.columns],
        "lost": [column for column in view.columns if column.status in ("failed", "cancelled")],
    }


def _ordered(parameters: dict[str, Any]) -> list[str]:
    """The attack and its budget first."""
    first = [name for name in ("attack", "norm", "eps", "items") if name in parameters]
    return [*first, *sorted(set(parameters) - set(first))]


@login_required
@page
@require_safe
def matrix_export(request: HttpRequest, slug: str, pk: uuid.UUID, kind: str) -> HttpResponseBase:
    """A line, or an object, for each pair of source and target."""
    rows = matrix_export_rows(view=matrix_view(matrix=_of(request, slug, pk)))
    answer: HttpResponseBase = (
        JsonResponse({"rows": list(rows)})
        if kind == "json"
        else StreamingHttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8")
    )
    answer["Content-Disposition"] = f'attachment; filename="{slug}-transfer-{pk}.{kind}"'
    return answer


@login_required
@page
@require_POST
def cancel(request: HttpRequest, slug: str, pk: uuid.UUID) -> HttpResponse:
    """Stop what has not ended."""
    matrix_cancel(user=request.user, matrix=_of(request, slug, pk))
    messages.success(request, _("The matrix is cancelled; what was computed stays."))
    return redirect("web:matrices", slug=slug)


def _of(request: HttpRequest, slug: str, pk: uuid.UUID) -> Matrix:
    found = matrix_get(user=request.user, id=pk)
    if found.phase.competition.slug != slug:
        raise NotFound(_("There is no such address."))
    return found
