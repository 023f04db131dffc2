"""Announcements: written by organisers, read by who they are meant for."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from touchstone.competitions.announcing import (
    announce,
    announcement_get,
    announcement_withdraw,
    announcements_read,
    announcements_visible,
    mail_is_on,
)
from touchstone.competitions.models import Participation
from touchstone.competitions.participant_lists import participant_get
from touchstone.web.manage_forms import AnnouncementForm
from touchstone.web.views.frame import Frame, context, frame
from touchstone.web.views.manage.frame import manage_context, manage_frame
from touchstone.web.views.support import page

_SHOWN = 200


@never_cache
@page
def announcements(request: HttpRequest, slug: str) -> HttpResponse:
    """What this person may read; looking takes the mark off."""
    shown = frame(request, slug)
    found = announcements_visible(user=request.user, competition=shown.competition).filter(withdrawn_at=None)
    extra = {"announcements": found[:_SHOWN]}
    announcements_read(user=request.user, competition=shown.competition)
    return render(request, "web/competition/announcements.html", context(shown, "announcements", **extra))


def _to(request: HttpRequest, shown: Frame) -> Participation | None:
    """Whom a message is to, where it is to one alone."""
    text = request.GET.get("to", "")
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        return None
    return participant_get(user=request.user, competition=shown.competition, pk=int(text))


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def manage(request: HttpRequest, slug: str) -> HttpResponse:
    """Write one, look at how it will read, and send it; below it those there are."""
    shown = manage_frame(request, slug)
    to = _to(request, shown)
    form = AnnouncementForm(
        request.POST if request.method == "POST" else None, personal=to is not None, mailer=mail_is_on()
    )
    preview = None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        if "preview" in request.POST:
            preview = data
        else:
            announce(
                competition=shown.competition, by=request.user, title=data["title"], markdown=data["markdown"],
                audience=data.get("audience", "participants"), participation=to, mail=data.get("mail", False),
            )  # fmt: skip
            messages.success(request, _("It is sent.") if to else _("It is on the competition's pages."))
            return redirect("web:manage-announcements", slug)
    found = announcements_visible(user=request.user, competition=shown.competition)
    extra = {"form": form, "to": to, "preview": preview, "announcements": found[:_SHOWN]}
    status = 422 if form.is_bound and not preview else 200
    page_context = manage_context(shown, "announcements", **extra)
    return render(request, "web/organise/announcements.html", page_context, status=status)


@login_required
@never_cache
@page
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask first: what was sent by e-mail cannot be called back."""
    shown = manage_frame(request, slug)
    found = announcement_get(user=request.user, competition=shown.competition, pk=pk)
    if request.method == "POST":
        announcement_withdraw(announcement=found, by=request.user)
        messages.success(request, _("It is withdrawn."))
        return redirect("web:manage-announcements", slug)
    page_context = manage_context(shown, "announcements", announcement=found)
    return render(request, "web/organise/announcement_withdraw.html", page_context)
