"""The last page of the wizard: everything at a glance, what is wrong with it, and the button that publishes it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from touchstone.competitions.bundle_read import BundleError
from touchstone.core.errors import UserError
from touchstone.drafts.models import Draft
from touchstone.drafts.publishing import CONFIRMED, by_step, draft_publish
from touchstone.drafts.reading import competition_bodies
from touchstone.drafts.selectors import STEPS, bundle_files, draft_bodies, draft_defects, draft_moved_on
from touchstone.web import present
from touchstone.web.views.support import go_to
from touchstone.web.views.wizard.frame import TITLES, step_view, wizard_context
from touchstone.web.views.wizard.merge import differences
from touchstone.web.views.wizard.summary import summaries

_PAGE = "web/organise/wizard/review.html"


@step_view
def review(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Show what would be published, or publish it. Defects that only reading the data finds come back with steps."""
    if request.method != "POST":
        return _page(request, draft)
    try:
        outcome = draft_publish(draft=draft, user=request.user, replace=bool(request.POST.get("replace")))
    except BundleError as error:
        return _page(request, draft, found=error)
    except UserError as error:
        return _page(request, draft, problem=error)
    competition = outcome.competition
    if outcome.created:
        text = _("%(title)s is published. Only its organisers see it until you open it.")
    elif outcome.changed:
        text = _("%(title)s has a new version: %(version)d.")
    else:
        text = _("Nothing differs from version %(version)d of %(title)s: it stays as it is.")
    messages.success(request, text % {"title": competition.title, "version": competition.version})
    name = "web:manage-check" if competition.opened_at is None else "web:competition"
    return go_to(request, reverse(name, args=[competition.slug]))


def _page(
    request: HttpRequest, draft: Draft, *, found: BundleError | None = None, problem: UserError | None = None
) -> HttpResponse:
    bodies, files = draft_bodies(draft=draft), bundle_files(draft=draft)
    quick = [defect for defects in draft_defects(draft=draft).values() for defect in defects]
    defects = by_step(defects=list(found.defects) if found else quick)
    told = summaries(bodies, files)
    by_name = {name: [item.defect for item in defects if item.step == name] for name in STEPS}
    extra: dict[str, Any] = {
        "parts": [
            {
                "name": name, "title": TITLES[name], "url": _url(draft, name), "lines": told[name],
                "defects": by_name[name],
            }
            for name in STEPS
        ],
        "n_defects": len(defects), "was_read": found is not None, "problem": problem, "shown_to": _shown_to(bodies),
        "splits": _splits(bodies), "changes": _changes(draft, bodies), "moved": draft_moved_on(draft=draft),
        "ask_replace": bool(problem and problem.code == "moved_on")
        or any(item.defect.code in CONFIRMED for item in defects),
    }  # fmt: skip
    status = found.status if found else problem.status if problem else 200
    return render(request, _PAGE, wizard_context(request, draft, "review", **extra), status=status)


def _url(draft: Draft, name: str) -> str:
    return reverse(f"web:draft-{name}", args=[draft.pk])


def _shown_to(bodies: dict[str, dict[str, Any]]) -> str:
    return {
        "public": _("everybody: it is listed on the start page"),
        "unlisted": _("everybody who has the link; it is not listed"),
        "private": _("invited people only"),
    }.get(str(bodies["about"].get("visibility")), _("nobody yet: the visibility is not valid"))


def _splits(bodies: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Name, visibility, and what it means, of each split."""
    splits = bodies["data"].get("splits")
    return [
        (str(one.get("name")), str(one.get("visibility")), str(present.SPLIT_TEXTS.get(one.get("visibility"), "")))
        for one in (splits if isinstance(splits, list) else [])
        if isinstance(one, dict)
    ]


def _changes(draft: Draft, bodies: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What differs from the competition's present version, by step."""
    if draft.competition is None:
        return []
    present_bodies = competition_bodies(competition=draft.competition)
    found = []
    for name in STEPS:
        parts = differences(present_bodies[name], bodies[name])
        if parts:
            found.append({"title": TITLES[name], "url": _url(draft, name), "parts": parts})
    return found
