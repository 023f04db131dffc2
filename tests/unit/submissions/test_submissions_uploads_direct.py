"""Uploads whose parts go straight to the store, against a real one."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.factories.s3 import Store
from tests.factories.server import user_make
from tests.factories.threads import together
from touchstone.api.present import upload_dict
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound, TooBusy, UserError
from touchstone.core.storage import BlobInfo, blob_exists, blob_open
from touchstone.submissions.models import Upload
from touchstone.submissions.parts import URLS
from touchstone.submissions.services import upload_complete, upload_create, upload_part_put
from touchstone.submissions.uploads import parts_missing, upload_cancel, uploads_expire

pytestmark = pytest.mark.django_db

DATA = bytes(range(256)) * 10  # 2,560 bytes: parts of 1,000, 1,000 and 560
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def prefix(settings, s3_store: Store, tmp_path: Path) -> str:
    settings.TOUCHSTONE_UPLOAD_PART_SIZE = 1000
    options = s3_store.options(prefix=tmp_path.name)
    settings.STORAGES = {
        **settings.STORAGES, "default": {"BACKEND": "touchstone.core.s3.S3Storage", "OPTIONS": options},
    }  # fmt: skip
    return tmp_path.name


def begun(user=None, *, data: bytes = DATA, sha256: str = "") -> Upload:
    digest = sha256 or hashlib.sha256(data).hexdigest()
    return upload_create(user=user or user_make(), name="x.csv", size=len(data), sha256=digest)


def part(number: int) -> bytes:
    return DATA[(number - 1) * 1000 : number * 1000]


def send(upload: Upload, *numbers: int, change: bytes | None = None) -> list[int]:
    urls = {each["number"]: each["url"] for each in upload_dict(upload)["urls"]}
    return [httpx.put(urls[n], content=part(n) if change is None else change).status_code for n in numbers]


def stored(s3_store: Store, prefix: str) -> set[str]:
    return {name.removeprefix(f"{prefix}/") for name in s3_store.files() if name.startswith(f"{prefix}/")}


def test_parts_sent_to_the_store_become_the_file(s3_store: Store, prefix: str) -> None:
    upload = begun()
    told = upload_dict(upload)
    assert (told["direct"], [each["number"] for each in told["urls"]], told["parts"]) == (True, [1, 2, 3], [])

    assert send(upload, 3, 1) == [200, 200]

    told = upload_dict(Upload.objects.get())
    assert [(p["number"], p["size"], p["sha256"]) for p in told["parts"]] == [(1, 1000, ""), (3, 560, "")]
    assert told["parts"][0]["etag"] == hashlib.md5(part(1)).hexdigest()
    assert [each["number"] for each in told["urls"]] == [2]
    with pytest.raises(Conflict, match="1 parts are missing: 2"):
        upload_complete(upload=upload)
    send(upload, 2)
    assert upload_complete(upload=upload) == BlobInfo(SHA, len(DATA))
    assert upload_dict(upload)["urls"] == []
    with blob_open(sha256=SHA) as file:
        assert file.read() == DATA


@pytest.mark.django_db(transaction=True)
def test_two_completions_at_once_and_one_more(s3_store: Store, prefix: str) -> None:
    upload = begun()
    send(upload, 1, 2, 3)

    infos = together([lambda: upload_complete(upload=Upload.objects.get(pk=upload.pk)) for _ in range(3)])

    assert infos == [BlobInfo(SHA, len(DATA))] * 3
    assert upload_complete(upload=upload) == infos[0]
    assert stored(s3_store, prefix) == {f"blobs/{SHA[:2]}/{SHA[2:4]}/{SHA}"}


@pytest.mark.django_db(transaction=True)
def test_two_people_send_the_same_at_once(s3_store: Store, prefix: str) -> None:
    uploads = [begun(), begun()]
    for upload in uploads:
        send(upload, 1, 2, 3)

    infos = together([lambda u=u: upload_complete(upload=u) for u in uploads])

    assert infos == [BlobInfo(SHA, len(DATA))] * 2
    assert stored(s3_store, prefix) == {f"blobs/{SHA[:2]}/{SHA[2:4]}/{SHA}"}


def test_a_part_of_another_size_is_not_held() -> None:
    upload = begun()
    for wrong in (b"short", b"x" * 1001):
        assert send(upload, 1, change=wrong) == [403]  # its URL is signed for its size
    assert parts_missing(upload=upload) == [1, 2, 3]
    send(upload, 1, 2, 3)
    assert upload_complete(upload=upload).sha256 == SHA


def test_a_wrong_whole_is_dropped_and_may_be_sent_again(s3_store: Store, prefix: str) -> None:
    upload = begun()
    send(upload, 1, 3)
    send(upload, 2, change=b"y" * 1000)
    before = upload.multipart

    with pytest.raises(UserError, match="announced") as caught:
        upload_complete(upload=upload)

    assert caught.value.code == "digest"
    assert not blob_exists(sha256=SHA)
    assert not stored(s3_store, prefix)
    assert upload.multipart != before
    assert parts_missing(upload=upload) == [1, 2, 3]
    send(upload, 1, 2, 3)
    assert upload_complete(upload=upload).sha256 == SHA


def test_somebody_elses_file_is_not_had_by_its_digest(s3_store: Store, prefix: str) -> None:
    mine = begun()
    send(mine, 1, 2, 3)
    upload_complete(upload=mine)
    theirs = begun(sha256=SHA)
    send(theirs, 1, 2, 3, change=b"z" * 1000)
    send(theirs, 3, change=b"z" * 560)
    with pytest.raises(UserError, match="announced"):
        upload_complete(upload=theirs)


def test_a_part_may_go_through_the_server() -> None:
    upload = begun()
    send(upload, 1)
    with pytest.raises(UserError, match="damaged"):
        upload_part_put(upload=upload, number=2, data=part(2), sha256="0" * 64)
    for number in (2, 3):
        upload_part_put(upload=upload, number=number, data=part(number))
    assert upload_complete(upload=upload).sha256 == SHA


@pytest.mark.django_db(transaction=True)
def test_what_is_given_up_or_late_leaves_nothing(s3_store: Store, prefix: str) -> None:
    given_up, late = begun(), begun()
    for upload in (given_up, late):
        send(upload, 1)
    url = upload_dict(given_up)["urls"][0]["url"]

    upload_cancel(upload=given_up)

    assert httpx.put(url, content=part(2)).status_code == 404
    with pytest.raises(NotFound):
        upload_complete(upload=given_up)
    Upload.objects.update(expires_at=now() - timedelta(hours=1))
    with pytest.raises(Conflict, match="expired"):
        upload_complete(upload=late)
    assert uploads_expire() == 1
    assert not Upload.objects.exists()
    assert not stored(s3_store, prefix)


def test_what_was_joined_but_not_verified_goes_on(monkeypatch: pytest.MonkeyPatch, s3_store: Store) -> None:
    from touchstone.submissions import parts

    upload = begun()
    send(upload, 1, 2, 3)

    def dies(**_: object) -> None:
        raise TooBusy("The process ends here.")

    with monkeypatch.context() as patch:
        patch.setattr(parts, "blob_adopt", dies)
        with pytest.raises(TooBusy):
            upload_complete(upload=upload)
    assert upload_complete(upload=Upload.objects.get()).sha256 == SHA


def test_urls_live_no_longer_than_the_upload_and_come_in_portions(settings) -> None:
    data = b"x" * (1000 * (URLS + 10))
    upload = begun(data=data)
    assert [each["number"] for each in upload_dict(upload)["urls"]] == list(range(1, URLS + 1))
    assert "X-Amz-Expires=3600" in upload_dict(upload)["urls"][0]["url"]
    upload.expires_at = now() + timedelta(seconds=100)
    assert "X-Amz-Expires=3600" not in upload_dict(upload)["urls"][0]["url"]


def test_a_store_that_nobody_reaches_takes_parts_through_the_server(settings, s3_store: Store, tmp_path: Path) -> None:
    backend = {
        "BACKEND": "touchstone.core.s3.S3Storage", "OPTIONS": s3_store.options(prefix=tmp_path.name, direct=False),
    }  # fmt: skip
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    upload = begun()
    assert (upload.multipart, upload_dict(upload)["urls"]) == ("", [])
    for number in (1, 2, 3):
        upload_part_put(upload=upload, number=number, data=part(number))
    assert upload_complete(upload=upload).sha256 == SHA
