"""What every organiser's page of a competition shows around its content: the competition's frame and a side menu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from touchstone.core.errors import NotFound
from touchstone.web.views.frame import Frame, context, frame


@dataclass(frozen=True)
class MenuItem:
    key: str
    title: str
    icon: str
    url: str


def _menu(slug: str) -> list[MenuItem]:
    """The side menu. A page that is not there has no line here."""
    named = [
        ("dashboard", _("Dashboard"), "activity", "web:manage"),
        ("submissions", _("Submissions"), "inbox", "web:manage-submissions"),
        ("participants", _("Participants"), "user", "web:manage-participants"),
        ("announcements", _("Announcements"), "info", "web:manage-announcements"),
        ("phases", _("Phases"), "clock", "web:manage-phases"),
        ("check", _("Publish check"), "shield-check", "web:manage-check"),
        ("report", _("Reports"), "table", "web:manage-reports"),
        ("export", _("Export"), "download", "web:manage-export"),
        ("webhooks", _("Webhooks"), "globe", "web:manage-webhooks"),
        ("invitations", _("Invitations"), "link", "web:manage-invitations"),
        ("edit", _("Edit"), "settings", "web:manage-edit"),
    ]
    return [MenuItem(key, title, icon, reverse(name, args=[slug])) for key, title, icon, name in named]


def manage_frame(request: HttpRequest, slug: str) -> Frame:
    """The frame of a competition for one of its organisers. Raises `NotFound` for everybody else."""
    shown = frame(request, slug)
    if not shown.organiser:
        raise NotFound(_("There is no such address."), _("Sign in as an organiser of this competition."))
    return shown


def manage_context(shown: Frame, here: str, **extra: Any) -> dict[str, Any]:
    """The context of an organiser's page; `here` is the key of its line in the menu."""
    return context(shown, "manage", menu=_menu(shown.competition.slug), here=here, **extra)
