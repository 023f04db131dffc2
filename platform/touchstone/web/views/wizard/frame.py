"""What every step of the wizard shows around its form, and how a step is saved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from touchstone.core.errors import Conflict, NotFound
from touchstone.drafts.models import Draft
from touchstone.drafts.presence import presence_note
from touchstone.drafts.selectors import STEPS, StepState, draft_get, draft_moved_on, draft_steps
from touchstone.drafts.services import SectionConflict, section_save, section_undo
from touchstone.web.views.support import View, go_to, page
from touchstone.web.views.wizard.merge import differences, merged

TITLES: dict[str, str | Promise] = {
    "about": gettext_lazy("About"),
    "concepts": gettext_lazy("Concepts"),
    "data": gettext_lazy("Data"),
    "task": gettext_lazy("Task and attributes"),
    "metrics": gettext_lazy("Metrics"),
    "boards": gettext_lazy("Leaderboards"),
    "phases": gettext_lazy("Phases"),
    "rules": gettext_lazy("Rules and quotas"),
    "people": gettext_lazy("People"),
}


@dataclass(frozen=True)
class StepLink:
    """A step in the side menu. `url` is empty where it has no page; `count` is the number of its defects."""

    name: str
    number: int
    title: str
    url: str
    state: str
    count: int


@dataclass(frozen=True)
class Wizard:
    """A draft as one person sees it at one step."""

    draft: Draft
    step: str
    title: str
    steps: list[StepLink]
    version: int
    saved_at: datetime | None
    saved_by: str
    undo: bool
    others: list[tuple[str, str]]
    moved_on: bool
    previous: StepLink | None
    next: StepLink | None
    review_url: str
    preview_url: str


def step_view(view: View) -> View:
    """A step's view: for who is signed in, by GET and POST, with the draft in place of its key."""
    return _draft_view(view, ["GET", "HEAD", "POST"])


def step_act(view: View) -> View:
    """The same for what is only done, by POST."""
    return _draft_view(view, ["POST"])


def _draft_view(view: View, methods: list[str]) -> View:
    @login_required
    @page
    @require_http_methods(methods)
    @wraps(view)
    def wrapper(request: HttpRequest, pk: UUID, **kwargs: Any) -> HttpResponseBase:
        return view(request, draft_get(user=request.user, id=pk), **kwargs)

    return wrapper


def wizard_context(request: HttpRequest, draft: Draft, step: str, **extra: Any) -> dict[str, Any]:
    """The context of a step's page: `wizard`, `draft`, the step's `defects`, and what the step adds."""
    states = draft_steps(draft=draft)
    here = next((state for state in states if state.name == step), None)
    links = [_link(draft, number, state) for number, state in enumerate(states, 1)]
    shown = [link for link in links if link.url]
    at = next((index for index, link in enumerate(shown) if link.name == step), None)
    wizard = Wizard(
        draft=draft, step=step, title=str(TITLES.get(step, "")), steps=links,
        version=here.version if here else 0,
        saved_at=here.updated_at if here else None, saved_by=here.updated_by if here else "",
        undo=bool(here and here.undo),
        others=_others(request, draft, step),
        moved_on=draft_moved_on(draft=draft),
        previous=shown[at - 1] if at else None,
        next=shown[at + 1] if at is not None and at + 1 < len(shown) else None,
        review_url=_url("draft-review", draft), preview_url=_url("draft-preview", draft),
    )  # fmt: skip
    defects = here.defects if here and here.state != "empty" else []
    return {"nav": "new", "wizard": wizard, "draft": draft, "defects": defects, **extra}


def _others(request: HttpRequest, draft: Draft, step: str) -> list[tuple[str, str]]:
    found = presence_note(draft=draft.pk, username=request.user.get_username(), step=step)
    return [(name, str(TITLES.get(their_step, their_step))) for name, their_step in found]


def _link(draft: Draft, number: int, state: StepState) -> StepLink:
    url = _url(f"draft-{state.name}", draft)
    return StepLink(state.name, number, str(TITLES[state.name]), url, state.state, len(state.defects))


def _url(name: str, draft: Draft) -> str:
    """The address of a page of the draft; empty where there is no such page."""
    try:
        return reverse(f"web:{name}", args=[draft.pk])
    except NoReverseMatch:
        return ""


def wizard_save(request: HttpRequest, draft: Draft, name: str, body: dict[str, Any]) -> HttpResponse:
    """Save a step and show it again (or the one that `then` of the form names), or show both versions of a conflict.

    Whatever was typed is saved, sound or not: the page says what is wrong with it.
    """
    try:
        section_save(draft=draft, user=request.user, name=name, body=body, version=_version(request))
    except SectionConflict as conflict:
        return _conflict_page(request, draft, name, conflict)
    messages.success(request, _("Saved: %(step)s.") % {"step": TITLES[name]})
    return go_to(request, _onward(request, draft, name))


def _version(request: HttpRequest) -> int:
    given = request.POST.get("version", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0


def _onward(request: HttpRequest, draft: Draft, name: str) -> str:
    then = request.POST.get("then", "")
    url = _url(f"draft-{then}", draft) if then in STEPS else ""
    anchor = request.POST.get("anchor", "")
    return url or _url(f"draft-{name}", draft) + (f"#{anchor}" if anchor.isidentifier() else "")


def _salt(draft: Draft, step: str) -> str:
    """Only a body that a form of ours made comes back from the page of a conflict: the steps rely on its shape."""
    return f"touchstone.draft-merge:{draft.pk}:{step}"


def _conflict_page(request: HttpRequest, draft: Draft, name: str, conflict: SectionConflict) -> HttpResponse:
    theirs = conflict.theirs
    mine = signing.dumps(conflict.mine, salt=_salt(draft, name), compress=True)
    extra = {
        "theirs": theirs, "mine": mine, "conflict": conflict,
        "differences": differences(theirs.body, conflict.mine),
    }  # fmt: skip
    context = wizard_context(request, draft, name, **extra)
    return render(request, "web/organise/wizard/conflict.html", context, status=409)


@step_act
def merge(request: HttpRequest, draft: Draft, step: str) -> HttpResponse:
    """Save what was chosen of two versions. Where a third came in between, ask again: nothing is lost."""
    if step not in STEPS:
        raise NotFound(_("There is no such address."), _("Open the step itself."))
    try:
        mine = signing.loads(request.POST.get("mine", ""), salt=_salt(draft, step))
    except signing.BadSignature:
        raise Conflict(_("The form came back incomplete."), _("Go back, and send it again.")) from None
    theirs = draft.sections.select_related("updated_by").filter(name=step).first()
    if theirs is not None and theirs.version != _version(request):
        return _conflict_page(request, draft, step, SectionConflict(theirs, mine))
    body = merged(theirs.body if theirs else {}, mine, request.POST)
    return wizard_save(request, draft, step, body)


@step_act
def undo(request: HttpRequest, draft: Draft, step: str) -> HttpResponse:
    """Take the last save of a step back. Undoing again brings it back."""
    if step not in STEPS:
        raise NotFound(_("There is no such address."), _("Open the step itself."))
    section_undo(draft=draft, user=request.user, name=step, version=_version(request))
    messages.success(request, _("The last save is undone. Undo again to bring it back."))
    return go_to(request, _url(f"draft-{step}", draft))
