"""The publish check: made-up submissions of every phase, what came of them, and opening the competition."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from touchstone.core.errors import UserError
from touchstone.core.names import named
from touchstone.drafts.rehearsal_rules import Check
from touchstone.drafts.rehearsals import CheckReport, RehearsalView, check_report, competition_open
from touchstone.drafts.rehearsing import rehearse
from touchstone.web import present
from touchstone.web.views.frame import Frame
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import is_htmx, page

_PAGE, _PART = "web/organise/check.html", "web/organise/_check.html"
KIND_TITLES: dict[str, str | Promise] = {
    "null": gettext_lazy("No information"),
    "constant": gettext_lazy("Always the same"),
    "oracle": gettext_lazy("The truth"),
    "malformed": gettext_lazy("Malformed"),
}
KIND_TEXTS: dict[str, str | Promise] = {
    "null": gettext_lazy("The share of each class as its probability, for every item: nothing better than chance."),
    "constant": gettext_lazy("The largest class for every item: nothing better than chance."),
    "oracle": gettext_lazy("The true labels themselves: the best value of every metric of performance."),
    "malformed": gettext_lazy("Half of the ids and one that does not exist: refused, with a message that says why."),
}


@login_required
@never_cache
@page
@require_safe
def check(request: HttpRequest, slug: str) -> HttpResponse:
    """How the check of the present version stands. For htmx the part that changes."""
    shown = manage_frame(request, slug)
    return _answer(request, shown, whole=not is_htmx(request))


@login_required
@page
@require_POST
def check_start(request: HttpRequest, slug: str) -> HttpResponse:
    """Send the made-up submissions."""
    shown = manage_frame(request, slug)
    try:
        rehearse(competition=shown.competition, user=request.user)
    except UserError as error:
        return _answer(request, shown, problem=error)
    messages.success(request, _("The made-up submissions are being prepared."))
    return redirect("web:manage-check", slug=slug)


@login_required
@page
@require_POST
def open_competition(request: HttpRequest, slug: str) -> HttpResponse:
    """Let others see the competition."""
    shown = manage_frame(request, slug)
    reason = request.POST.get("reason", "")
    try:
        competition_open(competition=shown.competition, user=request.user, reason=reason)
    except UserError as error:
        return _answer(request, shown, problem=error, reason=reason)
    messages.success(request, _("The competition is open: others can see it now."))
    return redirect("web:competition", slug=slug)


def _answer(
    request: HttpRequest, shown: Frame, *, problem: UserError | None = None, reason: str = "", whole: bool = True
) -> HttpResponse:
    report = check_report(competition=shown.competition)
    extra = {
        "report": report, "phases": [_phase(part.phase.title, part.items) for part in report.phases],
        "problem": problem, "reason": reason, "done": _done(report),
    }  # fmt: skip
    status = problem.status if problem else 200
    return render(request, _PAGE if whole else _PART, manage_context(shown, "check", **extra), status=status)


def _done(report: CheckReport) -> tuple[int, int]:
    """How many have ended, of how many."""
    items = [item for part in report.phases for item in part.items]
    return sum(bool(item.verdict) for item in items), len(items)


def _phase(title: str, items: list[RehearsalView]) -> dict[str, Any]:
    return {"title": title, "items": [_item(item) for item in items]}


def _item(item: RehearsalView) -> dict[str, Any]:
    return {
        "kind": item.kind, "title": KIND_TITLES[item.kind], "text": KIND_TEXTS[item.kind], "status": item.status,
        "verdict": item.verdict, "message": item.message,
        "seconds": present.duration(item.seconds) if item.seconds is not None else "",
        "judged": [_check(one) for one in item.checks if one.verdict != "told"],
        "told": [_check(one) for one in item.checks if one.verdict == "told"],
    }  # fmt: skip


def _check(one: Check) -> dict[str, Any]:
    return {
        "title": named(one.title), "key": one.key, "value": present.number(one.value), "expected": one.expected,
        "interval": present.interval_text(one.low, one.high), "verdict": one.verdict, "reason": one.reason,
    }  # fmt: skip
