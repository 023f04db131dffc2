"""Where the parts of an upload are: files of ours, or a multipart upload of the store, which they reach directly."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.core.files.base import ContentFile
from django.utils.translation import gettext

from touchstone.core.clock import now
from touchstone.core.errors import Conflict
from touchstone.core.s3 import HeldPart, NoSuchUpload, S3Storage
from touchstone.core.storage import (
    BlobInfo,
    Mismatch,
    blob_adopt,
    blob_put,
    storage_delete,
    storage_direct,
    storage_open,
    storage_s3,
    storage_save,
)
from touchstone.submissions.models import Upload

#: URLs given out in one answer; who has sent these parts asks for the next.
URLS = 50


@dataclass(frozen=True)
class PartUrl:
    """Where to PUT one part."""

    number: int
    url: str


def parts_count(*, upload: Upload) -> int:
    """How many parts the upload has; they are numbered from 1."""
    return -(-upload.size // upload.part_size)


def part_bytes(*, upload: Upload, number: int) -> int:
    """The bytes that a part has to have."""
    count = parts_count(upload=upload)
    return upload.part_size if number < count else upload.size - (count - 1) * upload.part_size


def direct_begin(*, upload: Upload) -> str:
    """Begin a multipart upload, where parts may go to the store directly; else an empty text."""
    store = storage_direct()
    return "" if store is None else store.multipart_begin(_whole_name(upload))


def parts_held(*, upload: Upload) -> dict[int, dict[str, object]]:
    """Number to {sha256, size, etag} of each part held that has the right size, in order.

    What the store holds has no SHA-256 that we know, and the store's own tag instead.
    """
    if not upload.multipart or upload.completed_at is not None:
        return {int(number): {**part, "etag": ""} for number, part in sorted(upload.parts.items(), key=_by_number)}
    return {part.number: {"sha256": "", "size": part.size, "etag": part.etag} for part in _held(upload)}


def part_urls(*, upload: Upload, held: dict[int, dict[str, object]]) -> list[PartUrl]:
    """Fresh URLs for the first parts that are missing; none where parts go through the server."""
    store = storage_direct()
    if not upload.multipart or store is None or upload.completed_at is not None:
        return []
    seconds = max(1, min(settings.TOUCHSTONE_S3_URL_SECONDS, int((upload.expires_at - now()).total_seconds())))
    missing = (n for n in range(1, parts_count(upload=upload) + 1) if n not in held)
    name, upload_id = _whole_name(upload), upload.multipart
    sizes = [(n, part_bytes(upload=upload, number=n)) for n, _ in zip(missing, range(URLS), strict=False)]
    return [PartUrl(n, store.multipart_url(name, upload_id, n, size=size, seconds=seconds)) for n, size in sizes]


def part_keep(*, upload: Upload, number: int, data: bytes) -> None:
    """Store a part that came through the server."""
    if upload.multipart:
        try:
            _store().multipart_put(_whole_name(upload), upload.multipart, number, data)
        except NoSuchUpload:
            raise _lost() from None
    else:
        storage_save(name=_part_name(upload, number), file=ContentFile(data))


def parts_join(*, upload: Upload) -> BlobInfo:
    """Make the parts the announced blob. Raises `Mismatch`: nothing is kept then, and new parts may come."""
    expected = BlobInfo(upload.sha256, upload.size)
    if upload.multipart:
        return _join_direct(upload, expected)
    info = blob_put(file=_Joined(upload), limit=upload.size)
    if info != expected:
        raise Mismatch(info)
    return info


def parts_drop(*, upload: Upload) -> None:
    """Remove what the parts take. Safe to repeat."""
    if upload.multipart:
        store = storage_s3()
        if store is None:  # the site has left that store: what is there goes with it
            return
        store.multipart_abort(_whole_name(upload), upload.multipart)
        store.delete(_whole_name(upload))
        return
    for number in range(1, parts_count(upload=upload) + 1):
        storage_delete(name=_part_name(upload, number))


def part_drop(*, upload: Upload, number: int) -> None:
    """Remove one part that came through the server too late."""
    if not upload.multipart:
        storage_delete(name=_part_name(upload, number))


def _join_direct(upload: Upload, expected: BlobInfo) -> BlobInfo:
    store, name = _store(), _whole_name(upload)
    try:
        store.multipart_complete(name, upload.multipart, _held(upload))
    except NoSuchUpload:
        # Joined by somebody who did not live to say so; or dropped by the store, and then there is no object.
        if not store.exists(name):
            raise _lost() from None
    try:
        blob_adopt(store=store, name=name, expected=expected)
    except Mismatch:
        store.delete(name)
        raise
    return expected


def _held(upload: Upload) -> list[HeldPart]:
    """Parts of the right size: one of another size is as good as none."""
    try:
        found = _store().multipart_parts(_whole_name(upload), upload.multipart)
    except NoSuchUpload:
        if _store().exists(_whole_name(upload)):  # joined, but not yet verified
            count = parts_count(upload=upload)
            return [HeldPart(n, part_bytes(upload=upload, number=n), "") for n in range(1, count + 1)]
        return []
    count = parts_count(upload=upload)
    return [p for p in found if 1 <= p.number <= count and p.size == part_bytes(upload=upload, number=p.number)]


def _store() -> S3Storage:
    store = storage_direct()
    if store is None:
        raise Conflict(
            gettext("This site keeps its files elsewhere since this upload began."), gettext("Begin a new one.")
        )
    return store


def _lost() -> Conflict:
    return Conflict(gettext("The file storage has dropped this upload."), gettext("Begin a new one."), "upload_expired")


def _by_number(item: tuple[str, object]) -> int:
    return int(item[0])


def _whole_name(upload: Upload) -> str:
    return f"uploads/{upload.pk}/whole"


def _part_name(upload: Upload, number: int) -> str:
    return f"uploads/{upload.pk}/{number}"


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
