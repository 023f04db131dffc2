"""People: who writes this competition, and who will be let in to take part."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from touchstone.core.errors import UserError
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import draft_bodies
from touchstone.drafts.services import editor_add, editor_remove
from touchstone.web.views.wizard.fields import Input, errors_at, words
from touchstone.web.views.wizard.frame import step_view, wizard_context, wizard_save


@step_view
def people(request: HttpRequest, draft: Draft) -> HttpResponse:
    """The access section of the draft, and beside it the people who work on it."""
    if request.method == "POST" and "editor" in request.POST:
        return _add(request, draft)
    if request.method == "POST" and "remove_editor" in request.POST:
        name = request.POST["remove_editor"]
        editor_remove(draft=draft, by=request.user, username=name)
        messages.success(request, _("%(name)s no longer works on this draft. What they wrote stays.") % {"name": name})
        return redirect("web:draft-people", draft.pk)
    if request.method == "POST":
        return wizard_save(request, draft, "people", _body(request.POST))
    return _page(request, draft)


def _add(request: HttpRequest, draft: Draft) -> HttpResponse:
    try:
        user = editor_add(draft=draft, by=request.user, name=request.POST["editor"])
    except UserError as error:
        return _page(request, draft, status=422, problem=error, typed=request.POST["editor"])
    messages.success(request, _("%(name)s may work on this draft now.") % {"name": user.username})
    return redirect("web:draft-people", draft.pk)


def _body(post: Any) -> dict[str, Any]:
    domains = [domain.removeprefix("@").lower() for domain in words(post.get("access.email_domains", ""))]
    return {"access": {"approval": post.get("access.approval") == "on", "email_domains": domains}}


def _page(request: HttpRequest, draft: Draft, *, status: int = 200, **extra: Any) -> HttpResponse:
    context = wizard_context(request, draft, "people", **extra)
    bodies = draft_bodies(draft=draft)
    access = bodies["people"]["access"] if isinstance(bodies["people"].get("access"), dict) else {}
    context |= {
        "approval": Input(
            "access.approval", _("Organisers approve everybody who joins"), access.get("approval"), kind="check",
            help=_("Until then somebody who joined can neither submit nor download, and is told so."),
        ),
        "domains": Input(
            "access.email_domains", _("E-mail domains that are let in"), "\n".join(access.get("email_domains", [])),
            kind="area", rows=3, optional=True,
            help=_(
                "One a line, for example example.org. Only people with a confirmed address there may join, and they "
                "see the competition even if it is private. People who are invited may always join. Empty: everybody "
                "who may see it."
            ),
            errors=errors_at(context["defects"], "access.email_domains"),
        ),
        "visibility": bodies["about"].get("visibility"),
        "editors": list(draft.editors.order_by("username")),
        "owner": draft.owner,
    }  # fmt: skip
    return render(request, "web/organise/wizard/people.html", context, status=status)
