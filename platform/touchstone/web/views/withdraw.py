"""Taking a submission back, by whose it is or by an organiser."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from touchstone.competitions.selectors import is_member
from touchstone.core.errors import UserError
from touchstone.submissions.selectors import submission_get
from touchstone.submissions.withdrawing import submission_withdraw
from touchstone.web.forms import add_problem
from touchstone.web.manage_forms import ReasonForm
from touchstone.web.views.support import page


@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Say what it means, then do it. Organisers must say why; of one's own one may."""
    found = submission_get(user=request.user, id=pk)
    if found.withdrawn_at is not None:
        messages.info(request, _("It was withdrawn before."))
        return redirect("web:submission", pk)
    own = is_member(user=request.user, participation=found.participation)
    help_text = _("It may be empty.") if own else _("Everybody reads it where the entry was.")
    form = ReasonForm(request.POST if request.method == "POST" else None, help_text=help_text, required=not own)
    if request.method == "POST" and form.is_valid():
        try:
            submission_withdraw(submission=found, by=request.user, reason=form.cleaned_data["reason"])
        except UserError as error:
            add_problem(form, error)
        else:
            messages.success(request, _("It is withdrawn."))
            return redirect("web:submission", pk)
    context = {"nav": "competitions", "submission": found, "competition": found.phase.competition, "form": form}
    return render(request, "web/submission/withdraw.html", context, status=422 if form.is_bound else 200)
