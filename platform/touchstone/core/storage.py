"""Blobs by content: a file is stored under its SHA-256 and never changes.

Built on Django's storage API, so that a folder or S3-compatible storage (core/s3.py) is a setting. No name or path
that a user gave ever reaches the storage.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage, storages
from django.utils.translation import gettext as _

from touchstone.core.errors import NotFound, TooLarge
from touchstone.core.s3 import S3Storage

CHUNK = 2**20
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


class Readable(Protocol):
    """Anything with bytes to read: a Django file, an open file, a socket's file."""

    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True)
class BlobInfo:
    """A stored blob."""

    sha256: str
    size: int


class Mismatch(Exception):
    """The bytes are not those that were announced; `info` says what they are."""

    def __init__(self, info: BlobInfo) -> None:
        super().__init__(info.sha256)
        self.info = info


class AtomicFileSystemStorage(FileSystemStorage):
    """Files appear under their name complete or not at all: written beside it, synced, then moved."""

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        return max_length is None or len(name) <= max_length  # a file may be replaced: the move is atomic

    def _save(self, name: str, content: File) -> str:  # type: ignore[type-arg]
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as out:
                for chunk in content.chunks():
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        return name.replace("\\", "/")


def _name(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise NotFound(_("%(sha256)r is not a SHA-256 in lower-case hex.") % {"sha256": sha256[:80]})
    return f"blobs/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def blob_put(*, file: Readable | BinaryIO | IO[bytes] | File[Any], limit: int | None = None) -> BlobInfo:
    """Store the bytes of `file` from its current position on. Storing the same bytes again changes nothing.

    Raises `TooLarge` beyond `limit` bytes; nothing is stored then.
    """
    digest, size = hashlib.sha256(), 0
    with tempfile.TemporaryFile() as spool:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            if limit is not None and size > limit:
                raise TooLarge(
                    _("The file has more than the %(limit)s bytes allowed.") % {"limit": limit},
                    _("Send a smaller file."),
                )
            digest.update(chunk)
            spool.write(chunk)
        sha256 = digest.hexdigest()
        if not blob_exists(sha256=sha256):
            spool.seek(0)
            default_storage.save(_name(sha256), File(spool))
    return BlobInfo(sha256, size)


def blob_exists(*, sha256: str) -> bool:
    """Whether the blob is there."""
    return default_storage.exists(_name(sha256))


def blob_open(*, sha256: str) -> IO[bytes]:
    """Open a blob for reading. Raises `NotFound`."""
    try:
        return default_storage.open(_name(sha256), "rb")
    except FileNotFoundError:
        raise NotFound(_("No file with SHA-256 %(sha256)s is stored here.") % {"sha256": sha256}) from None


def blob_path(*, sha256: str) -> Path:
    """The path of a blob on this machine; only for storages that have paths (`NotImplementedError` elsewhere)."""
    path = Path(default_storage.path(_name(sha256)))
    if not path.is_file():
        raise NotFound(_("No file with SHA-256 %(sha256)s is stored here.") % {"sha256": sha256})
    return path


@contextlib.contextmanager
def blob_local(*, sha256: str) -> Iterator[Path]:
    """A readable local path of a blob while the context lasts, downloaded where the storage has no paths."""
    try:
        yield blob_path(sha256=sha256)
        return
    except NotImplementedError:
        pass
    with tempfile.TemporaryDirectory(prefix="touchstone-blob-") as folder:
        path = Path(folder) / sha256
        with blob_open(sha256=sha256) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK)
        yield path


def storage_save(*, name: str, file: File[Any]) -> None:
    """Store under a name of our own making (parts of uploads), replacing what is there."""
    default_storage.delete(name)
    default_storage.save(name, file)


def storage_open(*, name: str) -> IO[bytes]:
    """Open what `storage_save` stored."""
    return default_storage.open(name, "rb")


def storage_delete(*, name: str) -> None:
    """Remove what `storage_save` stored; nothing happens where it is not there."""
    default_storage.delete(name)


def storage_files(*, folder: str) -> list[str]:
    """Names, inside `folder`, of what `storage_save` stored there."""
    try:
        return default_storage.listdir(folder)[1]
    except FileNotFoundError:
        return []


def storage_direct() -> S3Storage | None:
    """The store to which browsers and terminals may send parts themselves; None where all goes through the server."""
    store = storage_s3()
    return store if store is not None and store.direct else None


def storage_s3() -> S3Storage | None:
    """The store where it is an S3-compatible one, whoever may reach it."""
    store = storages["default"]
    return store if isinstance(store, S3Storage) else None


def blob_adopt(*, store: S3Storage, name: str, expected: BlobInfo) -> None:
    """Make an object of `store` the blob that it was announced as, reading it once. Raises `Mismatch`.

    The copy is made inside the store. Nobody can have changed the object since it was read: the URLs that were given
    out were of its parts, and died when these became one.
    """
    digest, size = hashlib.sha256(), 0
    with store.open(name, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    found = BlobInfo(digest.hexdigest(), size)
    if found != expected:
        raise Mismatch(found)
    if not blob_exists(sha256=found.sha256):
        store.copy(name, _name(found.sha256))
