"""What every storage has to do, asked of a folder and of a real S3-compatible store; and what only the latter does."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import FileResponse

from tests.factories.s3 import KEY, Store
from tests.factories.threads import together
from touchstone.core.errors import NotFound, TooBusy, TooLarge
from touchstone.core.s3 import NoSuchUpload, S3Storage
from touchstone.core.storage import (
    BlobInfo,
    Mismatch,
    blob_adopt,
    blob_exists,
    blob_local,
    blob_open,
    blob_put,
    storage_delete,
    storage_direct,
    storage_open,
    storage_save,
)

DATA = bytes(range(256)) * (3 * 2**12 + 1)  # a little over 3 MiB


@pytest.fixture
def s3(s3_store: Store) -> S3Storage:
    return S3Storage(**s3_store.options())


@pytest.fixture(params=["folder", "s3"])
def kind(request, settings, tmp_path) -> str:
    backend = {
        "folder": lambda: {
            "BACKEND": "touchstone.core.storage.AtomicFileSystemStorage", "OPTIONS": {"location": str(tmp_path)},
        },
        "s3": lambda: {
            "BACKEND": "touchstone.core.s3.S3Storage",
            "OPTIONS": request.getfixturevalue("s3_store").options(prefix=tmp_path.name),
        },
    }[request.param]()  # fmt: skip
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    return request.param


class TestContract:
    def test_a_blob_is_stored_once_under_its_digest(self, kind: str) -> None:
        info = blob_put(file=io.BytesIO(DATA))

        assert info == BlobInfo(hashlib.sha256(DATA).hexdigest(), len(DATA))
        assert blob_exists(sha256=info.sha256)
        assert together([lambda: blob_put(file=io.BytesIO(DATA)) for _ in range(3)]) == [info] * 3
        with blob_open(sha256=info.sha256) as file:
            assert hashlib.sha256(file.read()).hexdigest() == info.sha256
        folders, files = default_storage.listdir(f"blobs/{info.sha256[:2]}/{info.sha256[2:4]}")
        assert (folders, files) == ([], [info.sha256])
        assert default_storage.listdir("")[0] == ["blobs"]

    def test_a_blob_is_read_from_anywhere(self, kind: str) -> None:
        sha256 = blob_put(file=io.BytesIO(DATA)).sha256

        with blob_open(sha256=sha256) as file:
            assert file.read(10) == DATA[:10]
            file.seek(2**20 + 5)
            assert file.read(2**20) == DATA[2**20 + 5 : 2**21 + 5]
            assert file.seek(-3, io.SEEK_END) == len(DATA) - 3
            assert (file.read(), file.read(), file.read(1)) == (DATA[-3:], b"", b"")
        with blob_local(sha256=sha256) as path:
            assert path.read_bytes() == DATA

    def test_a_download_says_how_long_it_is(self, kind: str) -> None:
        sha256 = blob_put(file=io.BytesIO(DATA)).sha256

        answer = FileResponse(blob_open(sha256=sha256))

        assert answer["Content-Length"] == str(len(DATA))
        assert b"".join(answer.streaming_content) == DATA
        answer.file_to_stream.close()

    def test_what_is_not_there_is_told(self, kind: str) -> None:
        assert not blob_exists(sha256="0" * 64)
        with pytest.raises(NotFound):
            blob_open(sha256="0" * 64)
        storage_delete(name="uploads/none/1")

    def test_too_much_is_not_stored(self, kind: str) -> None:
        with pytest.raises(TooLarge):
            blob_put(file=io.BytesIO(b"12345"), limit=4)

        assert not blob_exists(sha256=hashlib.sha256(b"12345").hexdigest())

    def test_parts_are_replaced_and_removed(self, kind: str) -> None:
        for text in (b"first", b"second time"):
            storage_save(name="uploads/x/1", file=ContentFile(text))
        with storage_open(name="uploads/x/1") as file:
            assert file.read() == b"second time"
        storage_delete(name="uploads/x/1")
        with pytest.raises(FileNotFoundError):
            storage_open(name="uploads/x/1")

    def test_a_write_that_breaks_leaves_nothing(self, kind: str) -> None:
        class Breaks(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise OSError("the line is gone")

        with pytest.raises(OSError, match="line is gone"):
            default_storage.save("blobs/broken", Wrapped(Breaks(b"x")))
        assert not default_storage.exists("blobs/broken")


class Wrapped(ContentFile):
    """A Django file whose reading breaks."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(b"x")
        self.file = file

    def chunks(self, chunk_size=None) -> Iterator[bytes]:
        yield self.file.read()


def test_parts_go_straight_to_the_store(s3: S3Storage) -> None:
    upload = s3.multipart_begin("uploads/a/whole")
    for number, data in ((2, b"b" * 100), (1, b"a" * 1000)):
        url = s3.multipart_url("uploads/a/whole", upload, number, size=len(data), seconds=60)
        assert httpx.put(url, content=data).status_code == 200
    held = s3.multipart_parts("uploads/a/whole", upload)
    assert [(p.number, p.size) for p in held] == [(1, 1000), (2, 100)]
    assert held[0].etag == hashlib.md5(b"a" * 1000).hexdigest()

    s3.multipart_complete("uploads/a/whole", upload, held)

    with s3.open("uploads/a/whole") as file:
        assert file.read() == b"a" * 1000 + b"b" * 100
    with pytest.raises(NoSuchUpload):
        s3.multipart_parts("uploads/a/whole", upload)
    assert httpx.put(url, content=b"x" * 1000).status_code == 404


def test_a_url_is_of_one_part_and_dies(s3: S3Storage, s3_store: Store) -> None:
    upload = s3.multipart_begin("uploads/b/whole")
    url = s3.multipart_url("uploads/b/whole", upload, 1, size=1, seconds=60)

    assert httpx.put(url.replace("partNumber=1", "partNumber=2"), content=b"x").status_code == 403
    assert httpx.put(url.replace("uploads/b", "uploads/c"), content=b"x").status_code == 403
    assert httpx.get(url).status_code == 403
    assert httpx.put(url, content=b"xx").status_code == 403
    short = s3.multipart_url("uploads/b/whole", upload, 1, size=1, seconds=-5)
    assert httpx.put(short, content=b"x").status_code in (400, 403)
    wrong = S3Storage(**s3_store.options(secret="another-secret")).multipart_url(
        "uploads/b/whole", upload, 1, size=1, seconds=60
    )
    assert httpx.put(wrong, content=b"x").status_code == 403
    assert httpx.put(url, content=b"x", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}).status_code == 400
    assert s3.multipart_parts("uploads/b/whole", upload) == []
    s3.multipart_abort("uploads/b/whole", upload)
    s3.multipart_abort("uploads/b/whole", upload)
    assert httpx.put(url, content=b"x").status_code == 404


def test_only_what_was_announced_is_adopted(s3: S3Storage, settings, s3_store: Store) -> None:
    settings.STORAGES = {
        **settings.STORAGES, "default": {"BACKEND": "touchstone.core.s3.S3Storage", "OPTIONS": s3_store.options()},
    }  # fmt: skip
    s3.save("uploads/d/whole", ContentFile(b"adopted"))
    expected = BlobInfo(hashlib.sha256(b"adopted").hexdigest(), 7)

    with pytest.raises(Mismatch) as caught:
        blob_adopt(store=s3, name="uploads/d/whole", expected=BlobInfo("0" * 64, 7))
    assert caught.value.info == expected
    assert not blob_exists(sha256="0" * 64)
    blob_adopt(store=s3, name="uploads/d/whole", expected=expected)
    blob_adopt(store=s3, name="uploads/d/whole", expected=expected)
    with blob_open(sha256=expected.sha256) as file:
        assert file.read() == b"adopted"


def test_a_wrong_key_and_a_dead_store_are_told_without_a_secret(s3_store: Store, caplog, capsys) -> None:
    for options in (
        s3_store.options(secret="wrong-secret"),
        s3_store.options(key="X" * 20),
        {"url": "http://127.0.0.1:9"},
    ):
        broken = S3Storage(**s3_store.options() | options)
        with pytest.raises(TooBusy) as caught:
            broken.save("x", ContentFile(b"x"))
        said = f"{caught.value.message} {caught.value.hint} {caplog.text} {capsys.readouterr()}"
        assert "secret" not in said
        assert KEY not in said


def test_who_may_be_sent_to_the_store(settings, s3_store: Store) -> None:
    assert storage_direct() is None
    for direct in (True, False):
        backend = {"BACKEND": "touchstone.core.s3.S3Storage", "OPTIONS": s3_store.options(direct=direct)}
        settings.STORAGES = {**settings.STORAGES, "default": backend}
        assert (storage_direct() is not None) is direct


def test_urls_name_the_address_that_others_reach(s3_store: Store) -> None:
    there = S3Storage(**s3_store.options(public_url="https://files.example.org"))

    assert there.multipart_url("x", "id", 1, size=1, seconds=60).startswith("https://files.example.org/files/x?")


def test_boto3_is_loaded_only_where_it_is_used() -> None:
    root = Path(django_settings.ROOT)
    code = "import django; django.setup(); import sys; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
