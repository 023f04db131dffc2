"""Phases while a competition runs: freezing them, and the final ranking."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from touchstone.competitions.freezing import phase_freeze, phase_unfreeze
from touchstone.competitions.models import Phase
from touchstone.competitions.selectors import phase_finalists, phase_get
from touchstone.core.errors import UserError
from touchstone.submissions.finals import Finalist, finalists_of, finals_publish, finals_start, source_of
from touchstone.web.forms import add_problem
from touchstone.web.manage_forms import ReasonForm
from touchstone.web.present import FINAL_STATES
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import page


@login_required
@never_cache
@page
def phases(request: HttpRequest, slug: str) -> HttpResponse:
    """Each phase, whether it is frozen, and the way to its finals where it has any."""
    shown = manage_frame(request, slug)
    rows = [(item, phase_finalists(phase=item.phase)) for item in shown.phases]
    return render(request, "web/organise/phases.html", manage_context(shown, "phases", rows=rows))


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def freeze(request: HttpRequest, slug: str, phase: str) -> HttpResponse:
    """Freeze a phase, with a reason that everybody reads; or let it go on."""
    shown = manage_frame(request, slug)
    found = phase_get(competition=shown.competition, slug=phase)
    frozen = found.frozen_at is not None
    form = ReasonForm(
        request.POST if request.method == "POST" else None,
        help_text=_("Everybody reads it on every page of the competition."),
    )
    if request.method == "POST" and frozen:
        phase_unfreeze(phase=found, by=request.user)
        messages.success(request, _("%s goes on.") % found.title)
        return redirect("web:manage-phases", slug)
    if request.method == "POST" and form.is_valid():
        try:
            phase_freeze(phase=found, by=request.user, reason=form.cleaned_data["reason"])
        except UserError as error:
            add_problem(form, error)
        else:
            messages.success(request, _("%s is frozen.") % found.title)
            return redirect("web:manage-phases", slug)
    context = manage_context(shown, "phases", phase=found, frozen=frozen, form=form)
    return render(request, "web/organise/freeze.html", context, status=422 if form.is_bound else 200)


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def finals(request: HttpRequest, slug: str, phase: str) -> HttpResponse:
    """Who is in the finals with what, how far they are, and the two acts: start, and publish."""
    shown = manage_frame(request, slug)
    found = phase_get(competition=shown.competition, slug=phase)
    source_of(phase=found)  # a phase without finalists has no such page
    if request.method == "POST":
        return _act(request, slug, found)
    rows = finalists_of(phase=found)
    able = [row for row in rows if row.can_run]
    through = [row for row in able if _is_through(row)]
    extra = {
        "phase": found, "source": source_of(phase=found), "rows": rows, "able": len(able),
        "started": sum(row.final is not None for row in able), "through": len(through),
        "ready": bool(able) and len(through) == len(able),
        "unable": len(rows) - len(able), "asked": request.GET.get("publish") == "1",
    }  # fmt: skip
    return render(request, "web/organise/finals.html", manage_context(shown, "phases", **extra))


def _is_through(row: Finalist) -> bool:
    return row.final is not None and row.final.run is not None and row.final.run.status in FINAL_STATES


def _act(request: HttpRequest, slug: str, phase: Phase) -> HttpResponse:
    if request.POST.get("act") == "publish":
        finals_publish(phase=phase, by=request.user)
        messages.success(request, _("The final ranking is published."))
    else:
        left = finals_start(phase=phase, by=request.user)
        text = ngettext("The finals have begun.", "The finals have begun; %d more are being started.", left + 1)
        messages.success(request, text % left if "%d" in text else text)
    return redirect("web:manage-finals", slug, phase.slug)
