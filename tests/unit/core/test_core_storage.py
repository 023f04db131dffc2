"""Blobs by content."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from django.core.files.storage import default_storage

from tests.factories.threads import together
from touchstone.core.errors import NotFound, TooLarge
from touchstone.core.storage import blob_exists, blob_local, blob_open, blob_path, blob_put

DATA = b"x" * (3 * 2**20 + 17)


def test_stored_under_its_digest_and_read_back() -> None:
    info = blob_put(file=io.BytesIO(DATA))

    assert (info.sha256, info.size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert blob_exists(sha256=info.sha256)
    with blob_open(sha256=info.sha256) as file:
        assert file.read() == DATA
    with blob_local(sha256=info.sha256) as path:
        assert path == blob_path(sha256=info.sha256)
        assert path.read_bytes() == DATA


def test_same_bytes_again_make_no_second_file() -> None:
    first = blob_put(file=io.BytesIO(b"twice"))
    folder = blob_path(sha256=first.sha256).parent

    together([lambda: blob_put(file=io.BytesIO(b"twice")) for _ in range(6)])

    assert [path.name for path in folder.iterdir()] == [first.sha256]


def test_too_much_is_not_stored() -> None:
    with pytest.raises(TooLarge):
        blob_put(file=io.BytesIO(b"12345"), limit=4)

    assert not blob_exists(sha256=hashlib.sha256(b"12345").hexdigest())


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "a" * 63, "", "a" * 64 + "\n"])
def test_only_digests_are_names(name: str) -> None:
    with pytest.raises(NotFound):
        blob_open(sha256=name)


def test_missing_blob() -> None:
    with pytest.raises(NotFound):
        blob_open(sha256="0" * 64)


def test_a_write_that_breaks_leaves_nothing(settings, tmp_path) -> None:
    backend = settings.STORAGES["default"]  # of its own: other workers write into the shared one meanwhile
    settings.STORAGES = {**settings.STORAGES, "default": {**backend, "OPTIONS": {"location": str(tmp_path)}}}

    class Breaks(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("the line is gone")

    before = {path for path in Path(default_storage.path("")).rglob("*") if path.is_file()}
    with pytest.raises(OSError, match="line is gone"):
        blob_put(file=Breaks())

    assert {path for path in Path(default_storage.path("")).rglob("*") if path.is_file()} == before
