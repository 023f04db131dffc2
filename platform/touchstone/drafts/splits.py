"""Files of a draft's data splits: they come one by one, or as a zip of a split's folder."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from runners.spec.bundle import ArchiveError, ArchiveLimits, extract_zip
from runners.spec.files import part_of
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, UserError
from touchstone.core.storage import BlobInfo, Readable, blob_local, blob_put
from touchstone.drafts.models import Draft, DraftFile
from touchstone.drafts.selectors import draft_get, section_get
from touchstone.submissions.uploads import upload_get

#: Files of all splits together; the bundle takes no more.
MOST_FILES = 20_000
MAX_FILE = ArchiveLimits().entry
VISIBILITIES = ("public", "inputs", "hidden")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_IMAGE = re.compile(r"[^/\\\x00-\x1f\x7f]+\.(?:png|jpg|jpeg)")
#: What archivers add by themselves.
_RUBBISH = re.compile(r"(?:^|/)(?:__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")
NAMES_HINT = gettext_lazy(
    "A split holds inputs (inputs.csv, inputs.parquet, inputs.npz, or pictures "
    "inputs/<id>.png or .jpg), labels, attributes and clusters (each .csv or .parquet). "
    "Rename the file, or leave it out."
)


def split_name_problem(name: str) -> str:
    """Why a split may not have this name, or nothing."""
    if _NAME.fullmatch(name):
        return ""
    return _("A split's name has letters, digits and _ only, and begins with a letter: train, sample, test_2.")


def split_files(*, draft: Draft, name: str) -> list[DraftFile]:
    """The files of a split, in order of name."""
    return list(DraftFile.objects.filter(draft=draft, path__startswith=f"data/{name}/"))


def split_upload_put(*, draft: Draft, user: User, split: str, upload: str) -> list[str]:
    """Make a finished upload of one's own a file of a split; a zip is unpacked. Returns the names in the split.

    Raises `NotFound`, `Conflict` (not finished), and what `split_file_put` raises.
    """
    found = upload_get(user=user, id=upload)
    if found.completed_at is None:
        raise Conflict(_("This upload is not complete."), _("Send its missing parts, then complete it."), "upload_open")
    return _put(draft, user, split, found.name, BlobInfo(found.sha256, found.size))


def split_file_put(*, draft: Draft, user: User, split: str, name: str, file: Readable) -> list[str]:
    """Store a file of a form in a split; a zip is unpacked. Returns the names in the split.

    Raises `UserError` for a name that has no place there or a zip that must not be unpacked, `TooLarge`, `Conflict`.
    """
    _placed(name)
    return _put(draft, user, split, name, blob_put(file=file, limit=ArchiveLimits().total))


def split_remove(*, draft: Draft, user: User, split: str, name: str = "") -> int:
    """Take one file of a split out of the draft, or with no `name` all. Returns how many. Their bytes stay stored."""
    draft = draft_get(user=user, id=draft.pk)
    files = DraftFile.objects.filter(draft=draft)
    files = files.filter(path=f"data/{split}/{name}") if name else files.filter(path__startswith=f"data/{split}/")
    with transaction.atomic():
        count, _each = files.delete()
        if count:
            data = {"split": split, "file": name, "files": count}
            audit_append(actor=user, act="draft.data_remove", subject=f"draft:{draft.pk}", data=data)
            draft.save(update_fields=["updated_at"])
    return count


def _put(draft: Draft, user: User, split: str, name: str, info: BlobInfo) -> list[str]:
    draft = draft_get(user=user, id=draft.pk)
    known = [entry.get("name") for entry in section_get(draft=draft, name="data").body.get("splits", [])]
    if split not in known:
        raise UserError(
            _("The draft has no split %(split)r.") % {"split": split[:80]}, _("Add the split first, then its files.")
        )
    place = _placed(name)
    stored = _unpacked(info) if place is None else {place: info}
    _store(draft, user, split, stored)
    return sorted(stored)


def _placed(name: str) -> str | None:
    """Where a file lies in a split, None for a zip to be unpacked. Raises `UserError`."""
    base = PurePosixPath(name.replace("\\", "/")).name
    if base.lower().endswith(".zip"):
        return None
    if part_of(base) is not None:
        return base
    if _IMAGE.fullmatch(base) and part_of(f"inputs/{base}") is not None:
        return f"inputs/{base}"
    raise UserError(
        _("A data split has no place for a file %(base)r.") % {"base": base[:80]}, str(NAMES_HINT), "unexpected_file"
    )


def _unpacked(info: BlobInfo) -> dict[str, BlobInfo]:
    """The files of a zip, stored. Nothing is stored of one with a defect."""
    with tempfile.TemporaryDirectory(prefix="touchstone-split-") as work, blob_local(sha256=info.sha256) as packed:
        folder = Path(work) / "split"
        try:
            facts = extract_zip(packed, folder)
        except ArchiveError as error:
            raise _refused(defect.text() for defect in error.defects) from error
        names = [name for name in facts.names if not _RUBBISH.search(name)]
        top = _common_top(names)
        unplaced = [name for name in names if part_of(name.removeprefix(top)) is None]
        if unplaced:
            raise _refused(
                (_("%(name)s: has no place in a data split") % {"name": name} for name in unplaced), str(NAMES_HINT)
            )
        if not names:
            raise UserError(_("The zip holds no file."), _("Pack the contents of the split's folder."), "empty")
        stored = {}
        for name in names:
            with (folder / name).open("rb") as file:
                stored[name.removeprefix(top)] = blob_put(file=file, limit=MAX_FILE)
        return stored


def _common_top(names: list[str]) -> str:
    """`test/` where all lies in that one folder; nothing where that folder is `inputs` itself."""
    if any(part_of(name) is not None for name in names):
        return ""
    tops = {name.split("/", 1)[0] for name in names}
    return f"{tops.pop()}/" if len(tops) == 1 else ""


def _refused(lines: Iterable[str], hint: str = "") -> UserError:
    told = list(lines)
    more = _(" … and %(n)s more") % {"n": len(told) - 10} if len(told) > 10 else ""
    lines = "; ".join(line[:200] for line in told[:10]) + more
    text = _("The zip was not unpacked, and nothing was changed: %(lines)s") % {"lines": lines}
    return UserError(text, hint or _("Mend it and send it again."), "bad_zip")


def _store(draft: Draft, user: User, split: str, stored: dict[str, BlobInfo]) -> None:
    """Name blobs as files of a split in one statement: a zip of pictures has thousands."""
    with transaction.atomic():
        Draft.objects.select_for_update().get(pk=draft.pk)
        paths = {f"data/{split}/{name}": info for name, info in stored.items()}
        there = DraftFile.objects.filter(draft=draft)
        if there.exclude(path__in=paths).count() + len(paths) > MOST_FILES:
            raise Conflict(
                _("A draft has at most %(most_files)s files.") % {"most_files": MOST_FILES},
                _("Pack pictures into one inputs.npz."),
                "too_many",
            )
        rows = [
            DraftFile(draft=draft, path=path, sha256=info.sha256, size=info.size, added_by=user, added_at=now())
            for path, info in paths.items()
        ]
        DraftFile.objects.bulk_create(
            rows, batch_size=1000, update_conflicts=True, unique_fields=["draft", "path"],
            update_fields=["sha256", "size", "added_by", "added_at"],
        )  # fmt: skip
        data = {"split": split, "files": len(rows), "bytes": sum(info.size for info in paths.values())}
        audit_append(actor=user, act="draft.data_put", subject=f"draft:{draft.pk}", data=data)
        draft.save(update_fields=["updated_at"])
