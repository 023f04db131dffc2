"""Writing drafts: sections with versions, files, editors. Whoever saves says which version they began from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import is_organiser
from touchstone.core.errors import Conflict, NotAllowed, NotFound, TooLarge, UserError
from touchstone.core.storage import blob_exists
from touchstone.core.text import clean, clean_json
from touchstone.drafts.models import Draft, DraftFile, DraftSection
from touchstone.drafts.sections import IMAGES, STEPS, image_stem
from touchstone.drafts.selectors import draft_bodies, drafts_visible
from touchstone.drafts.starting import empty_about, template_folder

__all__ = [
    "SectionConflict", "draft_create", "draft_delete", "editor_add", "editor_remove", "file_put", "file_remove",
    "image_put", "section_save", "section_undo",
]  # fmt: skip

_MOST_DRAFTS, _MOST_EDITORS, _MOST_FILES = 50, 20, 20_000
_MOST_BYTES = 2 * 2**20


class SectionConflict(UserError):
    """Somebody saved this section in between. `theirs` is what is stored now, `mine` the body that was not stored."""

    status = 409
    code = "section_conflict"

    def __init__(self, theirs: DraftSection, mine: dict[str, Any]) -> None:
        by = theirs.updated_by.username if theirs.updated_by else "Somebody"
        super().__init__(
            _("%(by)s saved this step while you were writing.") % {"by": by}, _("Compare both, and choose what stays.")
        )
        self.theirs, self.mine = theirs, mine


def draft_create(*, user: User, title: str, template: str = "", competition: Competition | None = None) -> Draft:
    """Begin a draft: empty, from a ready-made competition (`template`), or as the next version of `competition`.

    Raises `UserError` (no title, too many drafts), `NotFound` (no such template), `NotAllowed` (not an organiser).
    """
    if competition is not None and not is_organiser(user=user, competition=competition):
        raise NotAllowed(_("Only its organisers edit a competition."), _("Ask one of them."))
    if Draft.objects.filter(owner=user).count() >= _MOST_DRAFTS:
        raise Conflict(
            _("You have %(most_drafts)s drafts, which is the most there may be.") % {"most_drafts": _MOST_DRAFTS},
            _("Delete one first."),
        )
    title = clean(title.strip(), limit=200)
    if not title and competition is None:
        text = _("Give the competition a title. You can change it later.")
        raise UserError(_("A draft needs a title."), text, fields={"title": [text]})
    folder = template_folder(template) if template else None
    with transaction.atomic():
        draft = Draft.objects.create(
            title=title or (competition.title if competition else ""), owner=user, competition=competition,
            base_version=competition.version if competition else None,
        )  # fmt: skip
        _begin(draft, user, folder)
        data = {"title": draft.title, "competition": competition.slug if competition else None, "template": template}
        audit_append(actor=user, act="draft.create", subject=f"draft:{draft.pk}", data=data)
    return draft


def _begin(draft: Draft, user: User, folder: Path | None) -> None:
    """Fill a new draft: from the competition it is to change, from a folder under the draft's own title, or hardly."""
    from touchstone.drafts.reading import draft_from_competition, draft_from_folder  # they save sections by this file

    if draft.competition is not None:
        draft_from_competition(draft=draft, user=user)
        return
    about = empty_about(draft.title)
    if folder is not None:
        draft_from_folder(draft=draft, user=user, folder=folder)
        about = draft_bodies(draft=draft)["about"] | {key: about[key] for key in ("title", "slug", "visibility")}
    DraftSection.objects.update_or_create(draft=draft, name="about", defaults={"body": about, "updated_by": user})


def draft_delete(*, draft: Draft, user: User) -> None:
    """Delete a draft with all its steps. What was published stays. Raises `NotAllowed` for an editor."""
    if not (user.is_superuser or draft.owner_id == user.pk):
        raise NotAllowed(_("Only who began a draft deletes it."), _("Ask them, or ask to be taken off it."))
    with transaction.atomic():
        audit_append(actor=user, act="draft.delete", subject=f"draft:{draft.pk}", data={"title": draft.title})
        draft.delete()


def section_save(*, draft: Draft, user: User, name: str, body: dict[str, Any], version: int) -> DraftSection:
    """Store a section, sound or not. `version` is that of the section one began from, 0 where there was none.

    Raises `SectionConflict` where another one was stored since, unless it says the same; `TooLarge`.
    """
    _may_edit(draft, user)
    if name not in STEPS:
        raise NotFound(
            _("A draft has no step %(name)r.") % {"name": name},
            _("Its steps are: %(steps)s.") % {"steps": ", ".join(STEPS)},
        )
    body = clean_json(body)
    if len(json.dumps(body)) > _MOST_BYTES:
        raise TooLarge(
            _("This step holds more than %(value)s MiB of text.") % {"value": _MOST_BYTES // 2**20}, _("Shorten it.")
        )
    with transaction.atomic():
        section = _locked(draft, name)
        if section is None:
            section = _first(draft, user, name, body)
        elif section.body == body:
            return section
        elif section.version != version:
            raise SectionConflict(section, body)
        else:
            _write(section, body, user)
        _touch(draft, name, body)
    return section


def _locked(draft: Draft, name: str) -> DraftSection | None:
    rows = DraftSection.objects.select_for_update(of=("self",)).select_related("updated_by")
    return rows.filter(draft=draft, name=name).first()


def _first(draft: Draft, user: User, name: str, body: dict[str, Any]) -> DraftSection:
    try:
        with transaction.atomic():
            return DraftSection.objects.create(draft=draft, name=name, body=body, updated_by=user)
    except IntegrityError:  # another was first, a moment ago
        theirs = _locked(draft, name)
        if theirs is None or theirs.body == body:
            raise
        raise SectionConflict(theirs, body) from None


def _write(section: DraftSection, body: dict[str, Any], user: User) -> None:
    section.previous, section.body = section.body, body
    section.version += 1
    section.updated_by = user
    section.save()


def _touch(draft: Draft, name: str, body: dict[str, Any]) -> None:
    if name == "about" and isinstance(body.get("title"), str) and body["title"].strip():
        draft.title = clean(body["title"].strip(), limit=200)
    draft.save(update_fields=["title", "updated_at"])


def section_undo(*, draft: Draft, user: User, name: str, version: int) -> DraftSection:
    """Put a section back to what it was before its last save; undoing twice brings that save back.

    Raises `Conflict` where nothing was saved before, or another save came in between.
    """
    _may_edit(draft, user)
    with transaction.atomic():
        section = _locked(draft, name)
        if section is None or section.previous is None:
            raise Conflict(_("There is no earlier version of this step."), _("It was saved once, or never."))
        if section.version != version:
            by = section.updated_by.username if section.updated_by else "Somebody"
            raise Conflict(
                _("%(by)s saved this step since you opened it.") % {"by": by},
                _("Look at it first, then undo."),
                "stale",
            )
        _write(section, section.previous, user)
        _touch(draft, name, section.body)
    return section


def file_put(*, draft: Draft, user: User, path: str, sha256: str, size: int) -> DraftFile:
    """Name a stored blob as a file of the bundle, in place of one that had this path.

    Raises `UserError` (a path that may not be), `NotFound` (no such blob), `Conflict` (too many files).
    """
    _may_edit(draft, user)
    _path_check(path)
    if not blob_exists(sha256=sha256):
        raise NotFound(_("No file with SHA-256 %(sha256)s is stored here.") % {"sha256": sha256}, _("Upload it first."))
    with transaction.atomic():
        Draft.objects.select_for_update().get(pk=draft.pk)
        files = DraftFile.objects.filter(draft=draft)
        if files.count() >= _MOST_FILES and not files.filter(path=path).exists():
            raise Conflict(
                _("A draft has at most %(most_files)s files.") % {"most_files": _MOST_FILES},
                _("Pack them into fewer, larger ones."),
            )
        _room_check(draft, path, size)
        made, _new = DraftFile.objects.update_or_create(
            draft=draft, path=path, defaults={"sha256": sha256, "size": size, "added_by": user}
        )
        draft.save(update_fields=["updated_at"])
    return made


def _room_check(draft: Draft, path: str, size: int) -> None:
    """Raise `TooLarge` where the file would be more than its draft's owner may keep in drafts."""
    others = DraftFile.objects.filter(draft__owner_id=draft.owner_id).exclude(draft=draft, path=path)
    kept = others.aggregate(total=Sum("size"))["total"] or 0
    most = settings.TOUCHSTONE_DRAFT_BYTES
    if kept + size > most:
        raise TooLarge(
            _("The drafts of %(username)s would hold %(value)s bytes with it; they may hold %(most)s.")
            % {"username": draft.owner.username, "value": kept + size, "most": most},
            _("Delete drafts, or files in them, that are not needed any more."),
        )


def file_remove(*, draft: Draft, user: User, path: str) -> bool:
    """Take a file out of the bundle; says whether there was one. Its bytes stay in storage for others."""
    _may_edit(draft, user)
    gone, _each = DraftFile.objects.filter(draft=draft, path=path).delete()
    if gone:
        draft.save(update_fields=["updated_at"])
    return bool(gone)


def image_put(*, draft: Draft, user: User, sha256: str, size: int, ending: str) -> DraftFile:
    """Put a picture among the draft's files. The section `about` says which one counts, so that undo finds the last."""
    about = DraftSection.objects.filter(draft=draft, name="about").first()
    bodies = [about.body, about.previous or {}] if about else []
    kept = [image_stem(str(body.get("image") or "")) for body in bodies]
    for path in draft.files.filter(path__startswith=f"{IMAGES}/").values_list("path", flat=True):
        if path.rpartition(".")[0] not in kept:
            file_remove(draft=draft, user=user, path=path)
    return file_put(draft=draft, user=user, path=f"{image_stem(sha256)}.{ending}", sha256=sha256, size=size)


def editor_add(*, draft: Draft, by: User, name: str) -> User:
    """Let somebody work on the draft, by user name or confirmed e-mail address.

    They become organisers when it is published. Raises `NotFound`, `Conflict`.
    """
    _may_edit(draft, by)
    name = clean(name.strip())
    by_address = User.objects.filter(emailaddress__email__iexact=name, emailaddress__verified=True)
    user = User.objects.filter(username=name, is_active=True).first() or by_address.filter(is_active=True).first()
    if user is None:
        text = _("Nobody here has this user name or confirmed e-mail address.")
        raise NotFound(text, _("Check it, or ask them to sign up first."), fields={"name": [text]})
    if user.pk == draft.owner_id or draft.editors.filter(pk=user.pk).exists():
        raise Conflict(
            _("%(username)s works on this draft already.") % {"username": user.username},
            fields={"name": [_("They are in already.")]},
        )
    if draft.editors.count() >= _MOST_EDITORS:
        raise Conflict(
            _("A draft has at most %(most_editors)s editors.") % {"most_editors": _MOST_EDITORS},
            _("Take somebody off it first."),
        )
    with transaction.atomic():
        draft.editors.add(user)
        audit_append(actor=by, act="draft.editor_add", subject=f"draft:{draft.pk}", data={"user": user.username})
    return user


def editor_remove(*, draft: Draft, by: User, username: str) -> None:
    """Take somebody off the draft; what they wrote stays. Raises `NotFound`."""
    _may_edit(draft, by)
    user = draft.editors.filter(username=clean(username)).first()
    if user is None:
        raise NotFound(_("%(username)s does not work on this draft.") % {"username": username})
    with transaction.atomic():
        draft.editors.remove(user)
        audit_append(actor=by, act="draft.editor_remove", subject=f"draft:{draft.pk}", data={"user": user.username})


def _may_edit(draft: Draft, user: User) -> None:
    if not drafts_visible(user=user).filter(pk=draft.pk).exists():
        raise NotFound(_("There is no such draft, or you may not see it."))


def _path_check(path: str) -> None:
    parts = path.split("/")
    sound = 0 < len(path) <= 240 and "\\" not in path and ":" not in path and path.isprintable() and len(parts) <= 16
    if not sound or any(part in ("", ".", "..") for part in parts):
        raise UserError(
            _("%(path)r is no path of a file in a bundle.") % {"path": path[:80]},
            _("Use plain names with forward slashes."),
        )
