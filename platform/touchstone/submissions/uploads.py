"""Resumable uploads by parts: parts come in any order, any number of times, over any connection."""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import Count, Min, Sum

from touchstone.accounts.models import User
from touchstone.competitions.selectors import Viewer
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound, QuotaExceeded, TooLarge, UserError
from touchstone.core.storage import BlobInfo, blob_put, storage_delete, storage_open, storage_save
from touchstone.core.text import clean
from touchstone.submissions.models import Upload

#: Larger than any artifact a competition may allow.
MAX_SIZE = 2**36
_MAX_OPEN = 20
#: Bytes that the unfinished uploads of one person may announce together.
_MAX_OPEN_BYTES = 2 * MAX_SIZE
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


def upload_create(*, user: User, name: str, size: int, sha256: str) -> Upload:
    """Begin an upload of `size` bytes with the given SHA-256. `name` is only shown, never used as a path.

    Raises `UserError`, `TooLarge`, `QuotaExceeded` (too many unfinished uploads, or bytes in them).
    """
    if not _SHA256.fullmatch(sha256):
        raise UserError("sha256 must be 64 lower-case hex digits.", "Compute it over the whole file.")
    if size < 1:
        raise UserError("The file is empty.", "Check the path, and send a file that holds something.")
    if size > MAX_SIZE:
        raise TooLarge(f"{size} bytes is more than the {MAX_SIZE} that an upload may have.", "Send a smaller file.")
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two beginnings at once are counted in turn
        _check_room(user, size)
        return Upload.objects.create(
            user=user,
            name=clean(name.replace("\\", "/").rsplit("/", 1)[-1], limit=255) or "file",
            size=size,
            sha256=sha256,
            part_size=settings.TOUCHSTONE_UPLOAD_PART_SIZE,
            expires_at=now() + timedelta(hours=settings.TOUCHSTONE_UPLOAD_HOURS),
        )


def _check_room(user: User, size: int) -> None:
    """Refuse more unfinished uploads, or more bytes in them, than one person may have."""
    unfinished = Upload.objects.filter(user=user, completed_at=None, expires_at__gt=now())
    held = unfinished.aggregate(count=Count("pk"), size=Sum("size", default=0), free=Min("expires_at"))
    if held["count"] < _MAX_OPEN and held["size"] + size <= _MAX_OPEN_BYTES:
        return
    raise QuotaExceeded(
        f"You have {held['count']} unfinished uploads with {held['size']} bytes in all; at most {_MAX_OPEN} uploads "
        f"and {_MAX_OPEN_BYTES} bytes are allowed.",
        f"Complete one, or wait until they expire {settings.TOUCHSTONE_UPLOAD_HOURS} hours after their start.",
        reset_at=held["free"],
    )


def upload_live(*, user: User, size: int, sha256: str) -> Upload | None:
    """The user's live upload of the same content, finished ones first: it is continued rather than sent again."""
    live = Upload.objects.filter(user=user, size=size, sha256=sha256, expires_at__gt=now())
    return live.order_by("completed_at", "-created_at").first()


def upload_get(*, user: Viewer, id: uuid.UUID | str) -> Upload:  # noqa: A002 - the name of the thing
    """An upload of one's own. Raises `NotFound`."""
    try:
        key = id if isinstance(id, uuid.UUID) else uuid.UUID(id)
    except ValueError:
        key = None
    found = Upload.objects.filter(pk=key, user_id=user.pk).first() if user is not None and key is not None else None
    if found is None:
        raise NotFound(f"There is no upload {id} of yours.", "Begin a new one; uploads expire after a day.")
    return found


def parts_count(*, upload: Upload) -> int:
    """How many parts the upload has; they are numbered from 1."""
    return -(-upload.size // upload.part_size)


def parts_missing(*, upload: Upload) -> list[int]:
    """The numbers of the parts that have not arrived."""
    return [n for n in range(1, parts_count(upload=upload) + 1) if str(n) not in upload.parts]


def upload_part_put(*, upload: Upload, number: int, data: bytes, sha256: str = "") -> dict[str, object]:
    """Store one part and return {sha256, size}. The same part again is taken again; nothing is counted twice.

    `sha256`, where given, is the digest that the sender computed over this part.
    """
    _check_open(upload)
    count = parts_count(upload=upload)
    if not 1 <= number <= count:
        raise UserError(f"There is no part {number}.", f"Parts of this upload are numbered from 1 to {count}.")
    expected = upload.part_size if number < count else upload.size - (count - 1) * upload.part_size
    if len(data) != expected:
        raise UserError(
            f"Part {number} has {len(data)} bytes instead of {expected}.", "Send this part again.", code="part_size"
        )
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and sha256 != digest:
        raise UserError(
            f"Part {number} was damaged on its way: its SHA-256 differs.", "Send this part again.", code="part_digest"
        )
    part: dict[str, object] = {"sha256": digest, "size": len(data)}
    storage_save(name=_part_name(upload, number), file=ContentFile(data))
    with transaction.atomic():
        row = Upload.objects.select_for_update().get(pk=upload.pk)
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
        row = Upload.objects.select_for_update().get(pk=upload.pk)
        if row.completed_at is not None:
            return BlobInfo(row.sha256, row.size)
        _check_open(row)
        missing = parts_missing(upload=row)
        if missing:
            shown = ", ".join(map(str, missing[:10])) + (" …" if len(missing) > 10 else "")
            raise Conflict(
                f"{len(missing)} parts are missing: {shown}.", "Send them, then complete again.", "parts_missing"
            )
        info = blob_put(file=_Joined(row), limit=row.size)
        if (info.sha256, info.size) == (row.sha256, row.size):
            row.completed_at = now()
            row.save(update_fields=["completed_at"])
            transaction.on_commit(lambda: _parts_drop(row))
        else:
            row.parts = {}
            row.save(update_fields=["parts"])
    upload.parts, upload.completed_at = row.parts, row.completed_at
    if row.completed_at is None:
        raise UserError(
            f"The file has SHA-256 {info.sha256}, not the {row.sha256} that was announced.",
            "Begin a new upload; if this happens again the file changed while it was read.", "digest",
        )  # fmt: skip
    return info


def uploads_expire() -> int:
    """Drop uploads whose time is over, and their parts. Returns how many."""
    count = 0
    for upload in Upload.objects.filter(expires_at__lt=now()).order_by("expires_at")[:500]:
        _parts_drop(upload)
        upload.delete()
        count += 1
    return count


def _check_open(upload: Upload) -> None:
    if upload.completed_at is not None:
        raise Conflict("This upload is complete.", "Use it in a submission, or begin another.", "upload_complete")
    if upload.expires_at <= now():
        raise Conflict("This upload has expired.", "Begin a new one.", "upload_expired")


def _part_name(upload: Upload, number: int) -> str:
    return f"uploads/{upload.pk}/{number}"


def _parts_drop(upload: Upload) -> None:
    for number in range(1, parts_count(upload=upload) + 1):
        storage_delete(name=_part_name(upload, number))


class _Joined(io.RawIOBase):
    """The parts of an upload, one after the other, as one file."""

    def __init__(self, upload: Upload) -> None:
        self._chunks = self._read_parts(upload)
        self._rest = b""

    @staticmethod
    def _read_parts(upload: Upload) -> Iterator[bytes]:
        for number in range(1, parts_count(upload=upload) + 1):
            with storage_open(name=_part_name(upload, number)) as part:
                while chunk := part.read(2**20):
                    yield chunk

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._rest or next(self._chunks, b"")
        if size < 0:
            self._rest = b""
            return chunk + b"".join(self._chunks)
        self._rest = chunk[size:]
        return chunk[:size]
