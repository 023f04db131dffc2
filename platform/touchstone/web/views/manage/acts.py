"""What organisers do with submissions: each act asks first, and says what it changes and what stays."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from touchstone.core.errors import NotFound, UserError
from touchstone.core.text import clean
from touchstone.evaluations.rerun_selectors import (
    rerun_get,
    rerun_progress,
    reruns_of,
    scored_before,
    scored_otherwise,
)
from touchstone.evaluations.services import rerun_seconds, run_cancel, submission_rerun
from touchstone.evaluations.state import OPEN
from touchstone.submissions.models import Submission
from touchstone.submissions.searching import submissions_search
from touchstone.submissions.withdrawing import submission_withdraw
from touchstone.web.forms import add_problem
from touchstone.web.manage_forms import ReasonForm
from touchstone.web.views.frame import Frame
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.manage.submissions import filter_form, filter_of, query_text, time_text
from touchstone.web.views.support import is_htmx, page

#: Rows of a confirmation that are named one by one.
_SHOWN = 10


def _chosen(request: HttpRequest, shown: Frame) -> tuple[QuerySet[Submission], str]:
    """The submissions that the address names, and that choice in words. Raises `NotFound`."""
    query, competition = request.GET, shown.competition
    before = query.get("before", "")
    if before.isascii() and before.isdigit():
        version = int(before[:9])
        return scored_before(competition=competition, version=version), _("scored before version %d") % version
    if query.get("metric"):
        found = scored_otherwise(competition=competition, metric=clean(query["metric"][:200]))
        return found, _("scored before %s was changed") % query["metric"][:100]
    wanted = filter_of(filter_form(shown, query))
    everything = submissions_search(user=request.user, competition=competition, wanted=wanted)
    if query.get("all") == "1":
        return everything, _("everything that the filter finds") if not wanted.is_empty else _("all submissions")
    keys = []
    for text in query.getlist("s")[:200]:
        try:
            keys.append(uuid.UUID(text))
        except ValueError:
            raise NotFound(_("There is no such submission."), _("Choose from the list.")) from None
    return everything.filter(pk__in=keys), _("chosen from the list")


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, slug: str, act: str) -> HttpResponse:
    """Ask what shall be done with the submissions that the address names, then do it."""
    shown = manage_frame(request, slug)
    if act not in _ACTS:
        raise NotFound(_("There is no such address."), _("Choose what to do in the list of submissions."))
    found, what = _chosen(request, shown)
    found = found.filter(withdrawn_at=None).order_by("created_at")
    if act == "cancel":
        found = found.filter(runs__status__in=OPEN).distinct()
    chosen = list(found)
    form = ReasonForm(
        request.POST if request.method == "POST" else None, help_text=_REASONS[act](), required=act != "cancel"
    )
    if request.method == "POST" and form.is_valid():
        try:
            return _ACTS[act](request, shown, chosen, form.cleaned_data["reason"], what)
        except UserError as error:
            add_problem(form, error)
    extra = {
        "act": act, "form": form, "what": what, "count": len(chosen), "sample": chosen[:_SHOWN],
        "more": max(0, len(chosen) - _SHOWN),
        "time": time_text(rerun_seconds(submissions=chosen)) if act == "rerun" else "",
        "back": query_text(request.GET, "s", "all", "before", "metric"),
    }  # fmt: skip
    context = manage_context(shown, "submissions", **extra)
    return render(request, "web/organise/act.html", context, status=422 if form.is_bound else 200)


_REASONS = {
    "rerun": lambda: _("Participants read it on their submission's page."),
    "withdraw": lambda: _("Everybody reads it where the entry was."),
    "cancel": lambda: _("For the record; it may be empty."),
}


def _rerun(request: HttpRequest, shown: Frame, chosen: list[Submission], reason: str, what: str) -> HttpResponse:
    made = submission_rerun(submissions=chosen, by=request.user, reason=reason, what=what)
    messages.success(
        request,
        ngettext("%d submission is evaluated again.", "%d submissions are evaluated again.", made.total) % made.total,
    )
    return redirect("web:manage-rerun", shown.competition.slug, made.pk)


def _withdraw(request: HttpRequest, shown: Frame, chosen: list[Submission], reason: str, what: str) -> HttpResponse:
    for submission in chosen:
        submission_withdraw(submission=submission, by=request.user, reason=reason)
    n = len(chosen)
    messages.success(request, ngettext("%d submission is withdrawn.", "%d submissions are withdrawn.", n) % n)
    return redirect("web:manage-submissions", shown.competition.slug)


def _cancel(request: HttpRequest, shown: Frame, chosen: list[Submission], reason: str, what: str) -> HttpResponse:
    n = 0
    for submission in chosen:
        for run in submission.runs.filter(status__in=OPEN).select_related("submission__phase__competition"):
            run_cancel(run=run, user=request.user)
            n += 1
    messages.success(request, ngettext("%d run is cancelled.", "%d runs are cancelled.", n) % n)
    return redirect("web:manage-submissions", shown.competition.slug)


_ACTS = {"rerun": _rerun, "withdraw": _withdraw, "cancel": _cancel}


@login_required
@never_cache
@page
def rerun(request: HttpRequest, slug: str, pk: uuid.UUID) -> HttpResponse:
    """How far a rerun is; the part that changes asks again while it is not over."""
    shown = manage_frame(request, slug)
    found = rerun_get(competition=shown.competition, id=pk)
    progress = rerun_progress(reruns=[found])[found.pk]
    runs = found.runs.select_related("submission__participation").defer("log", "sample_log").order_by("-created_at")
    failed = [run for run in runs[:200] if run.status in ("failed", "rejected")]
    extra: dict[str, Any] = {"rerun": found, "progress": progress, "failed": failed[:20], "runs": runs[:20]}
    template = "web/organise/_rerun.html" if is_htmx(request) else "web/organise/rerun.html"
    return render(request, template, manage_context(shown, "submissions", **extra))


@login_required
@never_cache
@page
def reruns(request: HttpRequest, slug: str) -> HttpResponse:
    """Every rerun, the newest first."""
    shown = manage_frame(request, slug)
    found = list(reruns_of(competition=shown.competition)[:200])
    progress = rerun_progress(reruns=found)
    extra = {"reruns": [(item, progress[item.pk]) for item in found]}
    return render(request, "web/organise/reruns.html", manage_context(shown, "submissions", **extra))
