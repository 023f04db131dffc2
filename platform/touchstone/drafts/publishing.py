"""Publishing a draft: it is written as a bundle, and that is imported. What was made in a browser and what was
uploaded are the same object, checked by the same rules."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext as _

from runners.spec import Defect
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.bundle_read import BundleError
from touchstone.competitions.imports import ImportOutcome, competition_import
from touchstone.competitions.models import Competition
from touchstone.competitions.writer import draft_folder
from touchstone.core.clock import now
from touchstone.core.errors import Conflict
from touchstone.drafts.models import Draft
from touchstone.drafts.sections import KEYS, STEPS
from touchstone.drafts.selectors import draft_bodies, draft_get, draft_moved_on

#: Defects that go away when whoever publishes says that they mean it.
CONFIRMED = frozenset({"dropped"})


@dataclass(frozen=True)
class StepDefect:
    """A defect with the step of the wizard where it is mended."""

    step: str
    defect: Defect


def draft_publish(*, draft: Draft, user: User, replace: bool = False) -> ImportOutcome:
    """Make the draft a competition, which only its organisers see until it is opened, or the next version of its own.

    `replace` drops phases and splits that nobody submitted to and that the draft no longer has, and publishes over a
    version that somebody else made meanwhile. Publishing again without a change changes nothing. Raises `BundleError`
    with every defect, `Conflict` (another version in between), `NotFound`.
    """
    draft = draft_get(user=user, id=draft.pk)
    _check_version(draft, replace)
    defects = _slug_defects(draft)
    if defects:
        raise BundleError(defects)
    with tempfile.TemporaryDirectory(prefix="touchstone-draft-") as work:
        folder = Path(work) / "bundle"
        draft_folder(draft=draft, folder=folder)
        outcome = competition_import(user=user, archive=folder, replace=replace, opened=False)
    with transaction.atomic():
        _published(draft, outcome, user)
    return outcome


def step_of(*, defect: Defect) -> str:
    """The step of the wizard where a defect is mended."""
    first = defect.where.replace("[", ".").partition(".")[0]
    if not first and "`" in defect.message:  # a missing key at the top has no place: its message names it
        first = defect.message.split("`")[1]
    return next((name for name, keys in KEYS.items() if first in keys), "about")


def by_step(*, defects: list[Defect]) -> list[StepDefect]:
    """The defects with their steps, in the order of the steps."""
    found = [StepDefect(step_of(defect=defect), defect) for defect in defects]
    return sorted(found, key=lambda item: STEPS.index(item.step))


def _check_version(draft: Draft, replace: bool) -> None:
    if draft.competition is not None and draft_moved_on(draft=draft) and not replace:
        there = draft.competition.version
        raise Conflict(
            _("%(competition)s has got version %(there)s since this draft was begun from version "
"%(base_version)s.") % {"competition": draft.competition.slug, "there": there, "base_version": draft.base_version},
            _("Compare both below. Publish over it only when its changes are in your draft, or not "
"wanted."), "moved_on",
        )  # fmt: skip


def _slug_defects(draft: Draft) -> list[Defect]:
    """A draft must become what it was begun for, and nothing that is there already."""
    slug = draft_bodies(draft=draft)["about"].get("slug")
    if draft.competition is not None and slug != draft.competition.slug:
        text = _("this is the next version of %(competition)s, whose address stays") % {
            "competition": draft.competition.slug
        }
        return [Defect("slug_changed", text, "slug", hint=f"Write {draft.competition.slug}, or begin a new draft.")]
    if draft.competition is None and Competition.objects.filter(slug=slug).exists():
        text = _("a competition with the address %(slug)s is there already") % {"slug": slug}
        return [Defect("slug_taken", text, "slug", hint="Choose another.")]
    return []


def _published(draft: Draft, outcome: ImportOutcome, user: User) -> None:
    competition = outcome.competition
    draft.competition, draft.base_version, draft.published_at = competition, competition.version, now()
    draft.save(update_fields=["competition", "base_version", "published_at", "updated_at"])
    if outcome.created:
        competition.organisers.add(*[one for one in (draft.owner, *draft.editors.all()) if one != user])
    audit_append(
        actor=user, act="draft.publish", subject=f"draft:{draft.pk}",
        data={"competition": competition.slug, "version": competition.version, "changed": outcome.changed},
    )  # fmt: skip
