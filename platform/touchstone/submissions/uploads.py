"""Resumable uploads by parts: parts come in any order, any number of times, over any connection."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min, Sum
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import Viewer
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound, QuotaExceeded, TooLarge, UserError
from touchstone.core.storage import BlobInfo, Mismatch
from touchstone.core.text import clean
from touchstone.submissions.models import Upload
from touchstone.submissions.parts import (
    direct_begin,
    part_bytes,
    part_drop,
    part_keep,
    parts_count,
    parts_drop,
    parts_held,
    parts_join,
)

#: Larger than any artifact a competition may allow.
MAX_SIZE = 2**36
_MAX_OPEN = 20
#: Bytes that the unfinished uploads of one person may announce together.
_MAX_OPEN_BYTES = 2 * MAX_SIZE
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


def upload_create(
    *,
    user: User,
    name: str,
    size: int,
    sha256: str,
    competition: Competition | None = None,
    may_be_bundle: bool = False,
) -> Upload:
    """Begin an upload of `size` bytes with the given SHA-256. `name` is only shown, never used as a path.

    `competition`: the one that it is bound to; it may be as large as a submission there, and larger as its bundle.

    Raises `UserError`, `TooLarge`, `QuotaExceeded` (too many unfinished uploads, or bytes in them).
    """
    if not _SHA256.fullmatch(sha256):
        raise UserError(_("sha256 must be 64 lower-case hex digits."), _("Compute it over the whole file."))
    if size < 1:
        raise UserError(_("The file is empty."), _("Check the path, and send a file that holds something."))
    if size > MAX_SIZE:
        raise TooLarge(
            _("%(size)s bytes is more than the %(max_size)s that an upload may have.")
            % {"size": size, "max_size": MAX_SIZE},
            _("Send a smaller file."),
        )
    if competition is not None and not may_be_bundle and size > competition.spec["submission"]["size"]:
        raise TooLarge(
            _("%(size)s bytes is more than the %(limit)s that a submission to %(competition)s may have.")
            % {"size": size, "limit": competition.spec["submission"]["size"], "competition": competition.slug},
            _("Send a smaller file."),
        )
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two beginnings at once are counted in turn
        _check_room(user, size)
        upload = Upload(
            user=user,
            competition=competition,
            name=clean(name.replace("\\", "/").rsplit("/", 1)[-1], limit=255) or "file",
            size=size,
            sha256=sha256,
            part_size=settings.TOUCHSTONE_UPLOAD_PART_SIZE,
            expires_at=now() + timedelta(hours=settings.TOUCHSTONE_UPLOAD_HOURS),
        )
        upload.multipart = direct_begin(upload=upload)
        upload.save(force_insert=True)
    return upload


def _check_room(user: User, size: int) -> None:
    """Refuse more unfinished uploads, or more bytes in them, than one person may have."""
    unfinished = Upload.objects.filter(user=user, completed_at=None, expires_at__gt=now())
    held = unfinished.aggregate(count=Count("pk"), size=Sum("size", default=0), free=Min("expires_at"))
    if held["count"] < _MAX_OPEN and held["size"] + size <= _MAX_OPEN_BYTES:
        return
    raise QuotaExceeded(
        _(
            "You have %(count)s unfinished uploads with %(size)s bytes in all; at most %(max_open)s "
            "uploads and %(max_open_bytes)s bytes are allowed."
        )
        % {"count": held["count"], "size": held["size"], "max_open": _MAX_OPEN, "max_open_bytes": _MAX_OPEN_BYTES},
        _("Complete one, or wait until they expire %(hours)s hours after their start.")
        % {"hours": settings.TOUCHSTONE_UPLOAD_HOURS},
        reset_at=held["free"],
    )


def upload_live(*, user: User, size: int, sha256: str, only: str = "") -> Upload | None:
    """The user's live upload of the same content, finished ones first: it is continued rather than sent again.

    `only`: one bound to this competition.
    """
    live = Upload.objects.filter(user=user, size=size, sha256=sha256, expires_at__gt=now())
    live = live.filter(competition__slug=only) if only else live
    return live.order_by("completed_at", "-created_at").first()


def upload_get(
    *,
    user: Viewer,
    id: uuid.UUID | str,  # noqa: A002 - the name of the thing
    reach: frozenset[str] | None = None,
) -> Upload:
    """An upload of one's own; with `reach`, one bound to a competition among these. Raises `NotFound`."""
    try:
        key = id if isinstance(id, uuid.UUID) else uuid.UUID(id)
    except ValueError:
        key = None
    own = Upload.objects.filter(pk=key, user_id=user.pk if user is not None else None)
    found = (own if reach is None else own.filter(competition__slug__in=reach)).first() if key is not None else None
    if found is None:
        raise NotFound(
            _("There is no upload %(id)s of yours.") % {"id": id}, _("Begin a new one; uploads expire after a day.")
        )
    return found


def parts_missing(*, upload: Upload) -> list[int]:
    """The numbers of the parts that have not arrived."""
    held = parts_held(upload=upload)
    return [n for n in range(1, parts_count(upload=upload) + 1) if n not in held]


def upload_part_put(*, upload: Upload, number: int, data: bytes, sha256: str = "") -> dict[str, object]:
    """Store one part and return {sha256, size}. The same part again is taken again; nothing is counted twice.

    `sha256`, where given, is the digest that the sender computed over this part.
    """
    _check_open(upload)
    count = parts_count(upload=upload)
    if not 1 <= number <= count:
        raise UserError(
            _("There is no part %(number)s.") % {"number": number},
            _("Parts of this upload are numbered from 1 to %(count)s.") % {"count": count},
        )
    expected = part_bytes(upload=upload, number=number)
    if len(data) != expected:
        raise UserError(
            _("Part %(number)s has %(n)s bytes instead of %(expected)s.")
            % {"number": number, "n": len(data), "expected": expected},
            _("Send this part again."),
            code="part_size",
        )
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and sha256 != digest:
        raise UserError(
            _("Part %(number)s was damaged on its way: its SHA-256 differs.") % {"number": number},
            _("Send this part again."),
            code="part_digest",
        )
    part: dict[str, object] = {"sha256": digest, "size": len(data)}
    part_keep(upload=upload, number=number, data=data)
    if upload.multipart:  # the store itself keeps count
        return part
    with transaction.atomic():
        row = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if row is None:  # cancelled while the part was on its way
            part_drop(upload=upload, number=number)
            raise _gone(upload)
        _check_open(row)
        row.parts[str(number)] = part
        row.save(update_fields=["parts"])
    upload.parts = row.parts
    return part


def upload_complete(*, upload: Upload) -> BlobInfo:
    """Put the parts together, verify size and SHA-256, and store the file. Completing again changes nothing.

    Raises `Conflict` where parts are missing, `UserError` where the whole is not what was announced; the parts
    are dropped then, for no one knows which of them is wrong.
    """
    with transaction.atomic():
        row = _locked(upload)
        if row.completed_at is not None:
            return BlobInfo(row.sha256, row.size)
        _check_open(row)
        missing = parts_missing(upload=row)
        if missing:
            shown = ", ".join(map(str, missing[:10])) + (" …" if len(missing) > 10 else "")
            raise Conflict(
                _("%(n)s parts are missing: %(shown)s.") % {"n": len(missing), "shown": shown},
                _("Send them, then complete again."),
                "parts_missing",
            )
        wrong: BlobInfo | None = None
        try:
            parts_join(upload=row)
            row.completed_at = now()
            transaction.on_commit(lambda: parts_drop(upload=row), robust=True)
        except Mismatch as error:
            wrong, row.parts = error.info, {}
            row.multipart = direct_begin(upload=row) if row.multipart else ""
        row.save(update_fields=["parts", "completed_at", "multipart"])
    upload.parts, upload.completed_at, upload.multipart = row.parts, row.completed_at, row.multipart
    if wrong is not None:
        raise UserError(
            _("The file has SHA-256 %(sha256)s, not the %(announced)s that was announced.")
            % {"sha256": wrong.sha256, "announced": row.sha256},
            _("Begin a new upload; if this happens again the file changed while it was read."),
            "digest",
        )
    return BlobInfo(row.sha256, row.size)


def upload_cancel(*, upload: Upload) -> None:
    """Give up an unfinished upload: what arrived of it goes at once. Raises `Conflict` where it is complete."""
    with transaction.atomic():
        row = _locked(upload)
        if row.completed_at is not None:
            raise Conflict(
                _("This upload is complete."), _("Only an unfinished one can be given up."), "upload_complete"
            )
        row.delete()
        row.pk = upload.pk  # Django takes it off
        transaction.on_commit(lambda: parts_drop(upload=row), robust=True)


def uploads_expire() -> int:
    """Drop uploads whose time is over, and their parts. Returns how many."""
    count = 0
    late = Upload.objects.filter(expires_at__lt=now()).order_by("expires_at")
    for key in list(late.values_list("pk", flat=True)[:500]):
        with transaction.atomic():
            # One that is being put together at this moment keeps its parts until that has ended.
            row = late.select_for_update(skip_locked=True).filter(pk=key).first()
            if row is not None:
                parts_drop(upload=row)
                row.delete()
                count += 1
    return count


def _check_open(upload: Upload) -> None:
    if upload.completed_at is not None:
        raise Conflict(_("This upload is complete."), _("Use it in a submission, or begin another."), "upload_complete")
    if upload.expires_at <= now():
        raise Conflict(_("This upload has expired."), _("Begin a new one."), "upload_expired")


def _locked(upload: Upload) -> Upload:
    row = Upload.objects.select_for_update().filter(pk=upload.pk).first()
    if row is None:
        raise _gone(upload)
    return row


def _gone(upload: Upload) -> NotFound:
    return NotFound(_("There is no upload %(upload)s of yours.") % {"upload": upload.pk}, _("Begin a new one."))
