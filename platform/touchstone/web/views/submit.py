"""Submitting, and the list of one's submissions."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from touchstone.competitions.models import Phase
from touchstone.core.errors import QuotaExceeded, TooLarge, UserError
from touchstone.registry.selectors import PushPlace, push_place, takes_containers
from touchstone.submissions.selectors import Quota, quota, submissions_all, submissions_of
from touchstone.submissions.services import submission_create
from touchstone.web import present
from touchstone.web.forms import SubmitForm, add_problem
from touchstone.web.views.frame import Frame, context, frame, submit_command
from touchstone.web.views.support import form_answer, go_to, is_htmx, page

_PAGE = 50
_WHOLE, _PART = "web/competition/submit.html", "web/competition/_submit_form.html"


@dataclass(frozen=True)
class QuotaItem:
    """What is left of a phase's allowance."""

    phase: Phase
    quota: Quota

    @property
    def left_today(self) -> int:
        return max(0, (self.quota.per_day or 0) - self.quota.used_today)

    @property
    def left_total(self) -> int:
        return max(0, (self.quota.total or 0) - self.quota.used_total)


def _quotas(shown: Frame) -> list[QuotaItem]:
    if shown.participation is None:
        return []
    open_phases = [item.phase for item in shown.phases if item.state == "open"]
    return [QuotaItem(phase, quota(participation=shown.participation, phase=phase)) for phase in open_phases]


@login_required
@page
def submissions(request: HttpRequest, slug: str) -> HttpResponse:
    """One's own submissions; organisers may look at everybody's with `?all=1`."""
    shown = frame(request, slug)
    everyone = shown.organiser and request.GET.get("all") == "1"
    choose = submissions_all if everyone else submissions_of
    found = choose(user=request.user, competition=shown.competition).select_related("phase", "run", "participation")
    pages = Paginator(found.order_by("-created_at", "-pk"), _PAGE).get_page(request.GET.get("page"))
    states = [(str(item.pk), item.run.status) for item in pages.object_list]
    version = hashlib.sha256(repr(states).encode()).hexdigest()[:16]
    if request.GET.get("v") == version:  # the list asks while a run of it is open
        return HttpResponse(status=204)
    extra = {
        "pages": pages,
        "open": any(status not in present.FINAL_STATES for _pk, status in states),
        "version": version,
        "everyone": everyone,
        "quotas": _quotas(shown),
        "command": submit_command(shown),
    }
    template = "web/competition/_submissions.html" if is_htmx(request) else "web/competition/submissions.html"
    return render(request, template, context(shown, "submissions", **extra))


def _form(shown: Frame, *args: Any, **kwargs: Any) -> SubmitForm | None:
    """The form for the phases that are open; None while none is."""
    phases = [item.phase for item in shown.phases if item.state == "open"]
    if not phases:
        return None
    accepted = shown.competition.spec["submission"]
    limit = _("At most %s.") % present.size(accepted.get("size"))
    return SubmitForm(*args, phases=phases, kinds=accepted["kinds"], limit_text=limit, **kwargs)


@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    """The form, with what is left of the quota; a refusal says beside which field, and what to do."""
    shown = frame(request, slug)
    if shown.participation is None:
        messages.info(request, _("Join the competition first; then you can submit."))
        return redirect("web:join", slug)
    posted = request.method == "POST"
    form = _form(shown, request.POST, request.FILES) if posted else _form(shown)
    if posted and form is not None and form.is_valid():
        made = _create(request, shown, form)
        if made is not None:
            return go_to(request, reverse("web:submission", args=[made]))
    extra = {
        "form": form,
        "quotas": _quotas(shown),
        "command": submit_command(shown),
        "push": _push(shown),
        "idempotency_key": request.POST.get("idempotency_key") or uuid.uuid4(),
    }
    shown_context = context(shown, "submissions", **extra)
    if posted and form is not None:
        return form_answer(request, whole=_WHOLE, part=_PART, context=shown_context)
    return render(request, _WHOLE, shown_context)


def _push(shown: Frame) -> PushPlace | None:
    """Where images are pushed to, or why not; None where the competition takes no containers."""
    if shown.participation is None or not takes_containers(competition=shown.competition):
        return None
    return push_place(participation=shown.participation)


#: Where a refusal belongs, by its code.
_FIELDS = {
    "phase_not_open": "phase", "phase_closed": "phase", "over_quota": "phase", "kind": "kind", "artifact": "file",
    "empty": "file", "too_large": "file", "image": "image",
    "image_registry": "image", "image_not_yours": "image", "image_unknown": "image", "registry_away": "image",
}  # fmt: skip


def _create(request: HttpRequest, shown: Frame, form: SubmitForm) -> uuid.UUID | None:
    """The new submission's id; None after putting the refusal into the form."""
    data = form.cleaned_data
    phase = next(item.phase for item in shown.phases if item.phase.slug == data["phase"])
    try:
        submission = submission_create(
            user=request.user,
            phase=phase,
            kind=data["kind"],
            file=data["file"],
            image=data.get("image", ""),
            message=data["message"],
            source="web",
            idempotency_key=request.POST.get("idempotency_key", "")[:100],
        )
    except UserError as error:
        field = _FIELDS.get(error.code, "")
        if isinstance(error, (QuotaExceeded, TooLarge)) or field in form.fields:
            form.add_error(field if field in form.fields else None, f"{error.message} {error.hint}".strip())
        else:
            add_problem(form, error)
        return None
    return submission.pk
