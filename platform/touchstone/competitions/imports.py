"""A bundle becomes a competition, or the next version of one: in one transaction, and never half."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from runners.spec import Defect
from runners.spec.bundle import ArchiveError, ArchiveLimits, extract_bundle
from runners.spec.models import PhaseSpec
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.bundle_read import BundleContent, BundleError, SplitContent, bundle_read
from touchstone.competitions.models import Competition, DataSplit, Phase
from touchstone.competitions.selectors import is_organiser
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, TooLarge
from touchstone.leaderboards.services import boards_sync, leaderboard_rebuild
from touchstone.submissions.models import Submission

#: Bytes of a bundle's zip.
_LARGEST = ArchiveLimits().total


@dataclass(frozen=True)
class ImportOutcome:
    """What an import did. Neither created nor changed: the same bundle was there already."""

    competition: Competition
    created: bool
    changed: bool


def competition_import(
    *,
    user: User,
    archive: BinaryIO | Path,
    replace: bool = False,
    opened: bool = True,
    reach: frozenset[str] | None = None,
) -> ImportOutcome:
    """Import a zip (an open file, or its path) or a folder.

    A slug that is new makes a competition of `user`; one that `user` organises gets a new version where the content
    differs. `replace` allows that phases and splits which the bundle no longer has are dropped, if nothing was
    submitted to them. Data that submissions were scored on is never replaced. A new one is seen by its organisers
    alone until it is opened, unless it is `opened` at once. `reach`: the competitions it may be, where the caller is
    limited to some; none of them is made anew then.

    Raises `BundleError` with all defects, `TooLarge`, `NotAllowed` for another than those of `reach`, and `Conflict`
    where the slug is somebody else's.
    """
    with tempfile.TemporaryDirectory(prefix="touchstone-bundle-") as work:
        content = bundle_read(folder=_unpacked(archive, Path(work)))
    slug = content.spec.slug
    if reach is not None and (slug not in reach or not Competition.objects.filter(slug=slug).exists()):
        raise NotAllowed(
            _("The token may not change %(slug)r.") % {"slug": slug},
            _("Use one with the scope organise, or of this competition."),
            "scope_missing",
        )
    try:
        with transaction.atomic():
            return _store(user, content, replace, opened)
    except IntegrityError as error:
        if "slug" not in str(error):
            raise
        raise _taken(content.spec.slug) from error


def _unpacked(archive: BinaryIO | Path, work: Path) -> Path:
    if isinstance(archive, Path) and archive.is_dir():
        return archive
    packed = work / "bundle.zip"
    if isinstance(archive, Path):
        packed = archive
    else:
        _copy(archive, packed)
    try:
        return extract_bundle(packed, work / "bundle")
    except ArchiveError as error:
        raise BundleError(error.defects) from error


def _copy(archive: BinaryIO, target: Path) -> None:
    """Raises `TooLarge` before more is written than a bundle may unpack to."""
    written = 0
    with target.open("wb") as out:
        while chunk := archive.read(2**20):
            written += len(chunk)
            if written > _LARGEST:
                raise TooLarge(
                    _("A bundle has at most %(largest)s bytes.") % {"largest": _LARGEST},
                    _("Leave out what is not needed."),
                )
            out.write(chunk)


def _taken(slug: str) -> Conflict:
    return Conflict(
        _("A competition %(slug)r exists, and you do not organise it.") % {"slug": slug},
        _("Choose another slug, or ask its owner to make you an organiser."), "slug_taken",
    )  # fmt: skip


def _store(user: User, content: BundleContent, replace: bool, opened: bool) -> ImportOutcome:
    slug = content.spec.slug
    competition = Competition.objects.select_for_update().filter(slug=slug).first()
    if competition is not None:
        if not is_organiser(user=user, competition=competition):
            raise _taken(slug)
        if competition.bundle_digest == content.digest:
            return ImportOutcome(competition, created=False, changed=False)
    defects = list(_priority_defects(user, competition, content))
    if competition is not None:
        defects += _update_defects(competition, content, replace)
    if defects:
        raise BundleError(defects)
    created = competition is None
    competition = competition or Competition(slug=slug, owner=user, version=0, opened_at=now() if opened else None)
    _fill(competition, content)
    _structure(competition, content)
    audit_append(
        actor=user, act="competition.import", subject=f"competition:{slug}",
        data={"version": competition.version, "digest": content.digest},
    )  # fmt: skip
    return ImportOutcome(competition, created=created, changed=True)


def _fill(competition: Competition, content: BundleContent) -> None:
    spec = content.spec
    competition.title, competition.summary, competition.visibility = spec.title, spec.summary, spec.visibility
    competition.spec = spec.model_dump(mode="json", by_alias=True)
    competition.source, competition.pages = content.source, content.pages
    competition.terms, competition.data_card = content.terms, content.data_card
    competition.starting_kit, competition.bundle_digest = content.starting_kit, content.digest
    competition.surrogates, competition.image = content.surrogates, content.image
    competition.version += 1
    competition.save()


def _structure(competition: Competition, content: BundleContent) -> None:
    """Splits, phases and boards, made or changed to be those of the bundle."""
    dropped = competition.phases.exclude(slug__in=[phase.slug for phase in content.spec.phases])
    Submission.everything.filter(phase__in=dropped, is_check=True).delete()  # else they would hold their phase
    dropped.delete()
    splits = {split.name: _save_split(competition, split) for split in content.splits}
    phases = [_save_phase(competition, i, phase, splits) for i, phase in enumerate(content.spec.phases)]
    competition.splits.exclude(name__in=splits).delete()
    for board in boards_sync(phases=phases, spec=content.spec):
        leaderboard_rebuild(leaderboard=board)


def _save_split(competition: Competition, split: SplitContent) -> DataSplit:
    fields = {
        "visibility": split.visibility, "files": split.files, "digest": split.digest, "n_items": split.n_items,
        "ids": split.ids, "facts": split.facts,
    }  # fmt: skip
    return DataSplit.objects.update_or_create(competition=competition, name=split.name, defaults=fields)[0]


def _save_phase(competition: Competition, position: int, phase: PhaseSpec, splits: dict[str, DataSplit]) -> Phase:
    fields = {
        "title": phase.title or phase.slug, "position": position, "split": splits[phase.split], "opens": phase.opens,
        "closes": phase.closes, "per_day": phase.limits.per_day, "total": phase.limits.total,
        "feedback": phase.feedback, "logs": phase.logs, "priority": phase.priority,
    }  # fmt: skip
    return Phase.objects.update_or_create(competition=competition, slug=phase.slug, defaults=fields)[0]


def _priority_defects(user: User, competition: Competition | None, content: BundleContent) -> Iterator[Defect]:
    """Priority goes before everybody's runs, in all competitions: only who runs the platform gives it."""
    if user.is_staff or user.is_superuser:
        return
    given = {} if competition is None else dict(competition.phases.values_list("slug", "priority"))
    for i, phase in enumerate(content.spec.phases):
        if phase.priority > max(0, given.get(phase.slug, 0)):
            text = f"phase {phase.slug} has priority {phase.priority}; only the platform's staff gives more than 0"
            hint = "Leave the key out, lower the priority of your other phases, or ask the staff to import it."
            yield Defect("not_allowed", text, f"phases[{i}].priority", "competition.yml", hint=hint)


def _update_defects(competition: Competition, content: BundleContent, replace: bool) -> Iterator[Defect]:
    """Changes that would make scores mean something else than they did, or drop things unasked."""
    spec = content.spec
    used = set(Submission.objects.filter(phase__competition=competition).values_list("phase_id", flat=True).distinct())
    phases = list(competition.phases.select_related("split"))
    fitted = {phase["slug"]: phase.get("validation") for phase in competition.spec["phases"]}
    for phase in phases:
        new = next((p for p in spec.phases if p.slug == phase.slug), None)
        if phase.pk in used:
            yield from _phase_defects(phase, new, fitted.get(phase.slug))
        elif new is None and not replace:
            yield _dropped(f"phase {phase.slug}", "phases")
    scored = {name for phase in phases if phase.pk in used for name in (phase.split.name, fitted.get(phase.slug))}
    if used and competition.spec["task"] != spec.task.model_dump(mode="json"):
        yield _in_use("the task differs", "task", "Make a new competition for a new task.")
    if used:
        yield from _surrogate_defects(competition, content)
    contents = {split.name: split for split in content.splits}
    for split in competition.splits.all():
        found = contents.get(split.name)
        if found is None and split.name not in scored and not replace:
            yield _dropped(f"data split {split.name}", "data")
        elif split.name in scored and (found is None or found.digest != split.digest):
            text = f"the data of split {split.name} differ from what submissions were scored on"
            yield _in_use(text, f"data.{split.name}", "Add the new data as another split with a phase of its own.")


def _surrogate_defects(competition: Competition, content: BundleContent) -> Iterator[Defect]:
    """Surrogates that scores may rest on stay as they are; others may be added."""
    new = {item["name"]: item["sha256"] for item in content.surrogates}
    for item in competition.surrogates:
        if new.get(item["name"]) != item["sha256"]:
            text = f"the surrogate {item['name']} {'differs' if item['name'] in new else 'is gone'}"
            yield _in_use(text, f"surrogates.{item['name']}", "Keep it, and add the new model under another name.")


def _phase_defects(phase: Phase, new: PhaseSpec | None, fitted: str | None) -> Iterator[Defect]:
    """Changes of a phase that has submissions; `fitted` is the validation split it had."""
    if new is None:
        yield _in_use(f"phase {phase.slug} is gone", "phases", "Keep it; a phase that is over can stay.")
    elif new.split != phase.split.name:
        text = f"phase {phase.slug} moves from split {phase.split.name} to {new.split}"
        yield _in_use(text, "phases", "Add a new phase on the new split.")
    elif new.validation != fitted:
        text = f"phase {phase.slug} moves from validation split {fitted or '(none)'} to {new.validation or '(none)'}"
        yield _in_use(text, "phases", "Add a new phase with the new validation split.")


def _in_use(text: str, where: str, hint: str) -> Defect:
    return Defect("in_use", f"{text}, and there are submissions to it", where, "competition.yml", hint=hint)


def _dropped(what: str, where: str) -> Defect:
    hint = "Put it back, or import with `replace` to drop it."
    return Defect("dropped", f"{what} is not in this bundle any more", where, "competition.yml", hint=hint)
