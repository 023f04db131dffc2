"""The participants: who waits, who takes part, who was removed, and what organisers decide about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from touchstone.competitions.models import Participation
from touchstone.competitions.participant_lists import participant_get, participants_csv, participants_search
from touchstone.competitions.participants import (
    participation_approve,
    participation_refuse,
    participation_remove,
    participation_restore,
)
from touchstone.core.errors import NotFound, UserError
from touchstone.core.keyset import keyset_page
from touchstone.web import present
from touchstone.web.forms import add_problem
from touchstone.web.manage_forms import ParticipantFilterForm, ReasonForm
from touchstone.web.views.frame import Frame
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.manage.submissions import query_text
from touchstone.web.views.support import page

_PAGE = 50
_BADGES = {
    "pending": present.Badge(gettext_lazy("Waits for approval"), icon="hourglass", tone="warn"),
    "active": present.Badge(gettext_lazy("Takes part"), icon="circle-check", tone="ok"),
    "removed": present.Badge(gettext_lazy("Removed"), icon="ban"),
}


@dataclass(frozen=True)
class _Act:
    """A decision: its button, what it means, what is said afterwards; `asks` whether it needs a reason."""

    button: str | Promise
    means: str | Promise
    done: str | Promise
    asks: bool


_ACTS = {
    "approve": _Act(
        gettext_lazy("Approve"), gettext_lazy("They take part from now on, and can submit."),
        gettext_lazy("%s takes part."), asks=False,
    ),
    "refuse": _Act(
        gettext_lazy("Refuse"),
        gettext_lazy("They do not take part. They read your reason; you can let them in later."),
        gettext_lazy("%s is refused."), asks=True,
    ),
    "remove": _Act(
        gettext_lazy("Remove"),
        gettext_lazy(
            "They can submit nothing more. What they sent stays, on the leaderboard too; withdraw submissions by "
            "themselves where they must not count. You can put them back."
        ),
        gettext_lazy("%s is removed."), asks=True,
    ),
    "restore": _Act(
        gettext_lazy("Put back"), gettext_lazy("They take part again, with everything that they had."),
        gettext_lazy("%s takes part again."), asks=False,
    ),
}  # fmt: skip
_OF = {"pending": ("approve", "refuse"), "active": ("remove",), "removed": ("restore",)}


def _row(participation: Any) -> dict[str, Any]:
    return {
        "item": participation,
        "badge": _BADGES[participation.status],
        "acts": [(name, _ACTS[name].button) for name in _OF[participation.status]],
    }


@login_required
@never_cache
@page
def participants(request: HttpRequest, slug: str) -> HttpResponse:
    """The list, by when they joined, the latest first; those who wait have a filter of their own."""
    shown = manage_frame(request, slug)
    form = ParticipantFilterForm(request.GET)
    form.is_valid()
    wanted = {name: value for name, value in form.cleaned_data.items() if value}
    found = participants_search(user=request.user, competition=shown.competition, **wanted)
    rows = keyset_page(
        queryset=found, field="joined_at", down=True, after=request.GET.get("after", ""), limit=_PAGE
    )  # fmt: skip
    extra = {
        "form": form,
        "narrowed": bool(wanted),
        "rows": [_row(row) for row in rows.rows],
        "total": found.count(),
        "next": query_text(request.GET, after=rows.after) if rows.after else "",
        "first": query_text(request.GET, "after") if request.GET.get("after") else None,
        "query": query_text(request.GET, "after"),
    }
    return render(request, "web/organise/participants.html", manage_context(shown, "participants", **extra))


@login_required
@never_cache
@page
def participants_file(request: HttpRequest, slug: str) -> StreamingHttpResponse:
    """What the filter finds, as CSV."""
    shown = manage_frame(request, slug)
    form = ParticipantFilterForm(request.GET)
    form.is_valid()
    wanted = {name: value for name, value in form.cleaned_data.items() if value}
    found = participants_search(user=request.user, competition=shown.competition, **wanted)
    lines = participants_csv(participants=found.order_by("joined_at", "pk").iterator(chunk_size=500))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-participants.csv"'
    return response


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def participant_act(request: HttpRequest, slug: str, pk: int, act: str) -> HttpResponse:
    """Say what it means, ask why where that matters, then do it."""
    shown = manage_frame(request, slug)
    participation = participant_get(user=request.user, competition=shown.competition, pk=pk)
    if act not in _ACTS:
        raise NotFound(_("There is no such address."), _("Choose what to do in the list of participants."))
    texts = _ACTS[act]
    form = ReasonForm(
        request.POST if request.method == "POST" else None,
        help_text=_("The participant reads it."),
        required=texts.asks,
    )
    if request.method == "POST" and (not texts.asks or form.is_valid()):
        try:
            _do(act, participation, request, form)
        except UserError as error:
            add_problem(form, error)
        else:
            messages.success(request, str(texts.done) % participation.display_name)
            return redirect("web:manage-participants", slug)
    return _asked(request, shown, participation, texts, form)


def _do(act: str, participation: Participation, request: HttpRequest, form: ReasonForm) -> None:
    if act == "approve":
        participation_approve(participation=participation, by=request.user)
    elif act == "restore":
        participation_restore(participation=participation, by=request.user)
    else:
        decide = {"refuse": participation_refuse, "remove": participation_remove}[act]
        decide(participation=participation, by=request.user, reason=form.cleaned_data["reason"])


def _asked(
    request: HttpRequest, shown: Frame, participation: Participation, texts: _Act, form: ReasonForm
) -> HttpResponse:
    extra = {"participation": participation, "texts": texts, "form": form}
    context = manage_context(shown, "participants", **extra)
    status = 422 if request.method == "POST" else 200
    return render(request, "web/organise/participant_act.html", context, status=status)
