"""Submitting, and the list of one's submissions."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from touchstone.core.errors import NotFound, QuotaExceeded, TooLarge, UserError
from touchstone.registry.selectors import PushPlace, push_place, takes_containers
from touchstone.submissions.endpoints import EndpointGiven, credentials_of
from touchstone.submissions.models import Submission, Upload
from touchstone.submissions.own import Final, finals_of
from touchstone.submissions.selectors import submissions_all, submissions_of
from touchstone.submissions.services import submission_create
from touchstone.submissions.uploads import upload_get
from touchstone.web import present
from touchstone.web.forms import SubmitForm, add_problem
from touchstone.web.own_list import Score, choices_of, filter_read, scores_of
from touchstone.web.standing import open_phases, quotas_of, standing_of
from touchstone.web.views.frame import Frame, context, frame, submit_command
from touchstone.web.views.support import form_answer, go_to, is_htmx, page

_PAGE = 50
_WHOLE, _PART = "web/competition/submit.html", "web/competition/_submit_form.html"


@login_required
@page
def submissions(request: HttpRequest, slug: str) -> HttpResponse:
    """One's own submissions; organisers may look at everybody's with `?all=1`."""
    shown = frame(request, slug)
    everyone = shown.organiser and request.GET.get("all") == "1"
    choose = submissions_all if everyone else submissions_of
    phases = [item.phase for item in shown.phases]
    asked = filter_read(request.GET, phases=phases)
    found = choose(user=request.user, competition=shown.competition).select_related("phase__split", "run")
    pages = Paginator(asked.apply(found), _PAGE).get_page(request.GET.get("page"))
    states = [(str(item.pk), item.run.status, item.chosen_at, item.name) for item in pages.object_list]
    version = hashlib.sha256(repr(states).encode()).hexdigest()[:16]
    if request.GET.get("v") == version:  # the list asks while a run of it is open
        return HttpResponse(status=204)
    quotas = quotas_of(shown)
    finals = finals_of(competition=shown.competition, phases=phases)
    extra = {
        "pages": pages,
        "rows": _rows(shown, pages.object_list, finals),
        "open": any(state[1] not in present.FINAL_STATES for state in states),
        "version": version,
        "everyone": everyone,
        "quotas": quotas,
        "standing": standing_of(shown, request.user, quotas),
        "finals": _finals(found, finals),
        "asked": asked,
        "choices": choices_of(asked, phases=phases, kinds=shown.competition.spec["submission"]["kinds"]),
        "command": submit_command(shown),
    }
    template = "web/competition/_submissions.html" if is_htmx(request) else "web/competition/submissions.html"
    return render(request, template, context(shown, "submissions", **extra))


@dataclass(frozen=True)
class Row:
    """A submission of the list. `final`: the phase it may be chosen for, or taken back from, now."""

    submission: Submission
    score: Score | None
    final: Final | None


def _rows(shown: Frame, items: Iterable[Submission], finals: list[Final]) -> list[Row]:
    scores = scores_of(items, organiser=shown.organiser)
    rows = []
    for item in items:
        open_final = next((final for final in finals if final.of == item.phase.slug and final.is_open), None)
        eligible = item.run.status == "scored" and item.withdrawn_at is None
        rows.append(Row(item, scores.get(item.pk), open_final if eligible or item.chosen_at else None))
    return rows


def _finals(found: QuerySet[Submission], finals: list[Final]) -> list[dict[str, Any]]:
    """Each final with how many are chosen for it."""
    return [
        {
            "final": final,
            "chosen": found.filter(phase__slug=final.of, withdrawn_at=None).exclude(chosen_at=None).count(),
        }
        for final in finals
    ]


def _form(request: HttpRequest, shown: Frame, *args: Any) -> SubmitForm | None:
    """The form for the phases that are open; None while none is."""
    phases = open_phases(shown)
    if not phases:
        return None
    accepted = shown.competition.spec["submission"]
    limit = _("At most %s.") % present.size(accepted.get("size"))
    owned = [row.name for row in credentials_of(user=request.user)] if "endpoint" in accepted["kinds"] else []
    return SubmitForm(*args, phases=phases, kinds=accepted["kinds"], limit_text=limit, credentials=owned)


@login_required
@page
@require_http_methods(["GET", "HEAD", "POST"])
def submit(request: HttpRequest, slug: str) -> HttpResponse:
    """The form, with what is left of the quota; a refusal says beside which field, and what to do."""
    shown = frame(request, slug)
    if shown.joined is None:
        messages.info(request, _("Join the competition first; then you can submit."))
        return redirect("web:join", slug)
    posted = request.method == "POST" and shown.participation is not None
    form = _form(request, shown, request.POST, request.FILES) if posted else _form(request, shown)
    if shown.participation is None:
        form = None
    if posted and form is not None and form.is_valid():
        made = _create(request, shown, form)
        if made is not None:
            return go_to(request, reverse("web:submission", args=[made]))
    quotas = quotas_of(shown)
    extra = {
        "form": form,
        "quotas": quotas,
        "standing": standing_of(shown, request.user, quotas),
        "limit": shown.competition.spec["submission"].get("size"),
        "upload_name": _upload_name(request, form),
        "command": submit_command(shown),
        "push": _push(request, shown),
        "idempotency_key": request.POST.get("idempotency_key") or uuid.uuid4(),
    }
    shown_context = context(shown, "submissions", **extra)
    if posted and form is not None:
        return form_answer(request, whole=_WHOLE, part=_PART, context=shown_context)
    return render(request, _WHOLE, shown_context)


def _upload_name(request: HttpRequest, form: SubmitForm | None) -> str:
    """What the file was called that is uploaded already, when a form comes back."""
    if form is None or not form.is_bound or not request.POST.get("upload"):
        return ""
    try:
        return upload_get(user=request.user, id=request.POST["upload"]).name
    except NotFound:
        return ""


def _push(request: HttpRequest, shown: Frame) -> PushPlace | None:
    """Where images are pushed to, or why not; None where the competition takes no containers."""
    if shown.participation is None or not takes_containers(competition=shown.competition):
        return None
    return push_place(participation=shown.participation, user=request.user)


#: Where a refusal belongs, by its code.
_FIELDS = {
    "phase_not_open": "phase", "phase_closed": "phase", "phase_frozen": "phase", "phase_finalists": "phase",
    "upload_incomplete": "file", "not_found": "file", "over_quota": "phase", "kind": "kind", "artifact": "file",
    "empty": "file", "too_large": "file", "image": "image",
    "endpoint_url": "url", "endpoint_model": "model", "credential": "credential", "credential_host": "credential",
    "image_registry": "image", "image_not_yours": "image", "image_unknown": "image", "registry_away": "image",
}  # fmt: skip


def _uploaded(request: HttpRequest, data: dict[str, Any]) -> Upload | None:
    if not data["upload"] or data["kind"] == "endpoint":
        return None
    return upload_get(user=request.user, id=data["upload"])


def _endpoint(data: dict[str, Any]) -> EndpointGiven | None:
    if data["kind"] != "endpoint":
        return None
    return EndpointGiven(url=data["url"], model=data["model"] or "model", credential=data["credential"])


def _create(request: HttpRequest, shown: Frame, form: SubmitForm) -> uuid.UUID | None:
    """The new submission's id; None after putting the refusal into the form."""
    data = form.cleaned_data
    phase = next(item.phase for item in shown.phases if item.phase.slug == data["phase"])
    try:
        submission = submission_create(
            user=request.user,
            phase=phase,
            kind=data["kind"],
            upload=_uploaded(request, data),
            file=None if data["upload"] or data["kind"] == "endpoint" else data["file"],
            image=data.get("image", ""),
            endpoint=_endpoint(data),
            message=data["message"],
            name=data["name"],
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
