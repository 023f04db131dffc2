"""Reading drafts: who may see which, their sections, and what is still wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from runners.spec import Defect
from runners.spec.checks import cross_defects
from runners.spec.draft import make_draft
from runners.spec.yamlfile import Document
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.core.errors import NotFound
from touchstone.drafts.models import Draft, DraftFile, DraftSection
from touchstone.drafts.sections import KEYS, STEPS, competition_data, section_default, text_of, used_files

__all__ = [
    "STEPS", "StepState", "bundle_files", "draft_bodies", "draft_data", "draft_defects", "draft_get",
    "draft_moved_on", "draft_steps", "drafts_visible", "section_get",
]  # fmt: skip

Viewer = User | AnonymousUser | None
FILE = "competition.yml"


def drafts_visible(*, user: Viewer) -> QuerySet[Draft]:
    """One's own drafts, those one was let into, and the next versions of competitions that one organises."""
    if user is None or not user.is_authenticated:
        return Draft.objects.none()
    if user.is_superuser:
        return Draft.objects.all()
    edited = Draft.editors.through.objects.filter(user_id=user.pk).values("draft_id")
    organised = Competition.organisers.through.objects.filter(user_id=user.pk).values("competition_id")
    return Draft.objects.filter(
        Q(owner_id=user.pk) | Q(pk__in=edited) | Q(competition__owner_id=user.pk) | Q(competition__in=organised)
    )


def draft_get(*, user: Viewer, id: UUID) -> Draft:  # noqa: A002 - the name that all who ask for a draft use
    """A draft that `user` may work on. Raises `NotFound`, foreign or missing alike."""
    found = drafts_visible(user=user).select_related("owner", "competition").filter(pk=id).first()
    if found is None:
        raise NotFound(
            _("There is no such draft, or you may not see it."),
            _("Its owner can let you in: People, the last step of the draft."),
        )
    return found


def section_get(*, draft: Draft, name: str) -> DraftSection:
    """A section as it was last saved; one with defaults and version 0, not saved, where nobody has."""
    found = DraftSection.objects.select_related("updated_by").filter(draft=draft, name=name).first()
    return found or DraftSection(draft=draft, name=name, body=section_default(name), version=0)


def draft_bodies(*, draft: Draft) -> dict[str, dict[str, Any]]:
    """The body of every section, saved or not."""
    saved = dict(DraftSection.objects.filter(draft=draft).values_list("name", "body"))
    return {name: section_default(name) | saved.get(name, {}) for name in STEPS}


def draft_data(*, draft: Draft) -> dict[str, Any]:
    """The competition.yml that the draft would be now, as plain data, sound or not."""
    return competition_data(bodies=draft_bodies(draft=draft), files=_files(draft))


def bundle_files(*, draft: Draft) -> list[DraftFile]:
    """Those of the draft's files that belong into its bundle."""
    files = {file.path: file for file in draft.files.all()}
    return [files[path] for path in used_files(bodies=draft_bodies(draft=draft), files=files)]


def draft_moved_on(*, draft: Draft) -> bool:
    """Whether the competition got another version since the draft of its next one was begun."""
    return draft.competition is not None and draft.competition.version != draft.base_version


@dataclass(frozen=True)
class StepState:
    """A step with what its mark says: `empty`, `complete` or `defects`."""

    name: str
    state: str
    defects: list[Defect]
    updated_at: datetime | None = None
    updated_by: str = ""
    version: int = 0
    undo: bool = False


def draft_steps(*, draft: Draft) -> list[StepState]:
    """All steps with their defects. Two queries, and one more for a slug that may be taken."""
    saved = {section.name: section for section in draft.sections.select_related("updated_by")}
    bodies = {name: section_default(name) | (saved[name].body if name in saved else {}) for name in STEPS}
    defects = _defects(draft, bodies, _files(draft))
    states = []
    for name in STEPS:
        section = saved.get(name)
        if section is None:
            states.append(StepState(name, "empty", defects[name]))
            continue
        by = section.updated_by.username if section.updated_by else ""
        state = "defects" if defects[name] else "complete"
        states.append(
            StepState(name, state, defects[name], section.updated_at, by, section.version, section.previous is not None)
        )
    return states


def draft_defects(*, draft: Draft) -> dict[str, list[Defect]]:
    """What is wrong with the draft, by step, as far as it can be told without reading data."""
    return _defects(draft, draft_bodies(draft=draft), _files(draft))


def _files(draft: Draft) -> dict[str, str]:
    return dict(DraftFile.objects.filter(draft=draft).values_list("path", "sha256"))


def _defects(draft: Draft, bodies: dict[str, dict[str, Any]], files: dict[str, str]) -> dict[str, list[Defect]]:
    data = competition_data(bodies=bodies, files=files)
    typed, found = make_draft(Document(data=data), file=FILE)
    if typed is not None:
        crossed, _offer = cross_defects(typed)
        found = [*found, *crossed]
    found = [*found, *_about_defects(draft, bodies["about"]), *_data_defects(data["data"], files)]
    sorted_in: dict[str, list[Defect]] = {name: [] for name in STEPS}
    for defect in found:
        sorted_in[_step_of(defect)].append(defect)
    return sorted_in


def _step_of(defect: Defect) -> str:
    """A missing key at the top has no place of its own: its message names it."""
    first = defect.where.replace("[", ".").partition(".")[0] or defect.message.partition("`")[2].partition("`")[0]
    return next((name for name, keys in KEYS.items() if first in keys), "about")


def _data_defects(splits: dict[str, Any], files: dict[str, str]) -> list[Defect]:
    """Splits that no file was uploaded to; what is in the files is read when they are looked at, and on publishing."""
    hint = _("Upload them, or remove it.")
    return [
        Defect("missing_file", f"the split {name} has no files", f"data.{name}", FILE, hint=hint)
        for name in splits
        if name and not any(path.startswith(f"data/{name}/") for path in files)
    ]


def _about_defects(draft: Draft, about: dict[str, Any]) -> list[Defect]:
    """What the validator sees only in files and in the database: empty pages, and a slug that is taken."""
    found = []
    for index, page in enumerate(about["pages"] if isinstance(about["pages"], list) else []):
        if isinstance(page, dict) and not text_of(page.get("markdown")):
            text = _("the page is empty")
            found.append(Defect("empty", text, f"pages[{index}].markdown", FILE, hint="Write something or remove it."))
    slug = text_of(about.get("slug"))
    if slug and Competition.objects.filter(slug=slug).exclude(pk=draft.competition_id).exists():
        text = _("a competition with the address %(slug)s is there already") % {"slug": slug}
        found.append(Defect("slug_taken", text, "slug", FILE, hint="Choose another."))
    elif draft.competition is not None and slug != draft.competition.slug:
        text = _("this is the next version of %(competition)s, whose address stays") % {
            "competition": draft.competition.slug
        }
        found.append(Defect("slug_changed", text, "slug", FILE, hint=f"Write {draft.competition.slug}."))
    return found
