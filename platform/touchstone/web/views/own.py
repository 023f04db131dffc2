"""What one does with one's own submissions: name them, choose finalists, compare."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from touchstone.core.errors import UserError
from touchstone.evaluations.selectors import run_results
from touchstone.submissions.own import finalist_choose, submission_name
from touchstone.submissions.selectors import submission_get, submissions_of
from touchstone.web import comparison
from touchstone.web.views.frame import context, frame
from touchstone.web.views.support import page

#: How many stand side by side.
MOST = 4


@login_required
@page
@require_POST
def name(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """A new name and note."""
    found = submission_get(user=request.user, id=pk)
    submission_name(
        submission=found, user=request.user, name=request.POST.get("name", "")[:200],
        message=request.POST["message"][:600] if "message" in request.POST else None,
    )  # fmt: skip
    messages.success(request, _("The name and the note are kept."))
    return _back(request, pk)


@login_required
@page
@require_POST
def finalist(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Choose it, or undo the choice."""
    found = submission_get(user=request.user, id=pk)
    chosen = request.POST.get("chosen") == "1"
    try:
        finalist_choose(submission=found, user=request.user, chosen=chosen)
    except UserError as error:
        messages.error(request, f"{error.message} {error.hint}".strip())
    else:
        messages.success(request, _("It is a finalist.") if chosen else _("It is no finalist any more."))
    return _back(request, pk)


def _back(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """To the page the form was on, where that is one of ours."""
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return redirect(target)
    return redirect("web:submission", pk)


@login_required
@never_cache
@page
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """Two to four of one's own, in the order in which they were sent. `?s=` names each."""
    shown = frame(request, slug)
    asked = list(dict.fromkeys(request.GET.getlist("s")))
    keys = {
        str(key)
        for key in submissions_of(user=request.user, competition=shown.competition).values_list("pk", flat=True)
    }
    chosen = [submission_get(user=request.user, id=key) for key in asked if key in keys][:MOST]
    chosen.sort(key=lambda each: each.created_at)
    results = [
        {result.key: result for result in run_results(run=each.run, user=request.user)}
        if each.run.status == "scored"
        else {}
        for each in chosen
    ]
    extra = {
        "chosen": chosen,
        "rows": comparison.compare_rows(results) if len(chosen) > 1 else [],
        "facts": comparison.facts_of(chosen) if len(chosen) > 1 else [],
        "too_many": len(asked) > MOST,
    }
    return render(request, "web/competition/compare.html", context(shown, "submissions", **extra))
