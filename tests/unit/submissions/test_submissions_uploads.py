"""Uploads by parts."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.db import transaction

from tests.factories.server import competition_make, participation_make, phase_of, user_make
from tests.factories.threads import together
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, NotFound, QuotaExceeded, TooLarge, UserError
from touchstone.core.storage import BlobInfo, blob_exists, blob_open
from touchstone.submissions.models import Upload
from touchstone.submissions.services import submission_create, upload_complete, upload_create, upload_part_put
from touchstone.submissions.uploads import (
    MAX_SIZE,
    parts_missing,
    upload_cancel,
    upload_get,
    upload_live,
    uploads_expire,
)

pytestmark = pytest.mark.django_db

DATA = bytes(range(256)) * 10  # 2,560 bytes: parts of 1,000, 1,000 and 560


@pytest.fixture(autouse=True)
def small_parts(settings) -> None:
    settings.TOUCHSTONE_UPLOAD_PART_SIZE = 1000


def begun(user=None, data: bytes = DATA, **fields) -> Upload:
    digest = hashlib.sha256(data).hexdigest()
    return upload_create(**{"user": user or user_make(), "name": "x.csv", "size": len(data), "sha256": digest} | fields)


def part(number: int, data: bytes = DATA) -> bytes:
    return data[(number - 1) * 1000 : number * 1000]


def filled(upload: Upload, data: bytes = DATA) -> Upload:
    for number in (3, 1, 2):
        upload_part_put(upload=upload, number=number, data=part(number, data))
    return upload


def test_parts_in_any_order_and_twice() -> None:
    upload = begun()
    assert parts_missing(upload=upload) == [1, 2, 3]
    filled(upload)
    upload_part_put(upload=upload, number=2, data=part(2), sha256=hashlib.sha256(part(2)).hexdigest())

    info = upload_complete(upload=upload)

    assert info == BlobInfo(hashlib.sha256(DATA).hexdigest(), len(DATA))
    with blob_open(sha256=info.sha256) as file:
        assert file.read() == DATA
    assert upload_complete(upload=upload) == info


@pytest.mark.django_db(transaction=True)
def test_parts_and_completion_at_once() -> None:
    upload = begun()
    done = together(
        [
            lambda n=n: upload_part_put(upload=Upload.objects.get(pk=upload.pk), number=n, data=part(n))
            for n in (1, 2, 3)
        ]
    )
    assert not [x for x in done if isinstance(x, Exception)]
    upload.refresh_from_db()
    assert set(upload.parts) == {"1", "2", "3"}

    infos = together([lambda: upload_complete(upload=upload) for _ in range(4)])

    assert len(set(infos)) == 1
    assert not default_storage.exists(f"uploads/{upload.pk}/1")


def test_missing_parts_are_named() -> None:
    upload = begun()
    upload_part_put(upload=upload, number=2, data=part(2))

    with pytest.raises(Conflict, match="2 parts are missing: 1, 3"):
        upload_complete(upload=upload)


def test_wrong_parts_are_refused_one_by_one() -> None:
    upload = begun()

    with pytest.raises(UserError, match="no part 4"):
        upload_part_put(upload=upload, number=4, data=b"x")
    with pytest.raises(UserError, match="no part 0"):
        upload_part_put(upload=upload, number=0, data=b"x")
    with pytest.raises(UserError, match="999 bytes instead of 1000"):
        upload_part_put(upload=upload, number=1, data=b"x" * 999)
    with pytest.raises(UserError, match="damaged"):
        upload_part_put(upload=upload, number=1, data=part(1), sha256="0" * 64)
    assert upload.parts == {}


def test_a_wrong_whole_is_refused_and_its_parts_dropped() -> None:
    upload = begun()
    filled(upload)
    upload_part_put(upload=upload, number=3, data=b"y" * 560)

    with pytest.raises(UserError, match="announced"):
        upload_complete(upload=upload)

    upload.refresh_from_db()
    assert (upload.parts, upload.completed_at) == ({}, None)
    filled(upload)
    assert upload_complete(upload=upload).size == len(DATA)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"size": 0}, UserError),
        ({"size": MAX_SIZE + 1}, TooLarge),
        ({"sha256": "A" * 64}, UserError),
        ({"sha256": ""}, UserError),
    ],
)
def test_refused_from_the_start(fields, kind) -> None:
    with pytest.raises(kind):
        begun(**fields)


def test_too_many_unfinished() -> None:
    user = user_make()
    for _ in range(20):
        begun(user)

    with pytest.raises(QuotaExceeded):
        begun(user)


def test_unfinished_bytes_are_limited() -> None:
    user = user_make()
    first, second = begun(user, size=MAX_SIZE), begun(user, size=MAX_SIZE)

    with pytest.raises(QuotaExceeded, match="bytes") as caught:
        begun(user, size=1)

    assert caught.value.reset_at == first.expires_at
    Upload.objects.filter(pk=second.pk).update(completed_at=now())
    assert begun(user, size=1)
    assert begun(size=MAX_SIZE)  # others have room of their own


def test_the_live_upload_of_the_same_content_is_found() -> None:
    user = user_make()
    upload = begun(user)
    asked = {"size": upload.size, "sha256": upload.sha256}

    assert upload_live(user=user, **asked) == upload
    assert upload_live(user=user_make(), **asked) is None
    assert upload_live(user=user, size=1, sha256=upload.sha256) is None
    Upload.objects.update(expires_at=now() - timedelta(seconds=1))
    assert upload_live(user=user, **asked) is None


def test_names_are_only_shown() -> None:
    assert begun(name="../../etc/pass\x00wd").name == "pass\ufffdwd"
    assert begun(name="C:\\data\\x.csv").name == "x.csv"


def test_own_uploads_only() -> None:
    upload = begun()

    assert upload_get(user=upload.user, id=str(upload.pk)) == upload
    for who, key in ((user_make(), upload.pk), (upload.user, "nonsense"), (None, upload.pk)):
        with pytest.raises(NotFound):
            upload_get(user=who, id=key)


def test_expired_uploads_take_nothing_and_go() -> None:
    upload, other = filled(begun()), begun()
    Upload.objects.filter(pk=upload.pk).update(expires_at=now() - timedelta(seconds=1))
    upload.refresh_from_db()

    with pytest.raises(Conflict):
        upload_part_put(upload=upload, number=1, data=part(1))
    assert uploads_expire() == 1

    assert list(Upload.objects.all()) == [other]
    assert not default_storage.exists(f"uploads/{upload.pk}/1")
    assert not blob_exists(sha256="0" * 64)


def test_submission_from_an_upload() -> None:
    competition = competition_make()
    user = user_make()
    participation_make(competition, user)
    phase = phase_of(competition)
    upload = begun(user)

    with pytest.raises(Conflict):
        submission_create(user=user, phase=phase, kind="predictions", upload=upload)
    filled(upload)
    upload_complete(upload=upload)
    made = submission_create(user=user, phase=phase, kind="predictions", upload=upload)
    assert made.files == [{"name": "predictions.csv", "sha256": upload.sha256, "size": len(DATA)}]

    foreign = begun()
    with pytest.raises(NotAllowed):
        submission_create(user=user, phase=phase, kind="predictions", upload=foreign)


@pytest.mark.django_db(transaction=True)
def test_what_is_given_up_goes_at_once() -> None:
    upload = begun()
    upload_part_put(upload=upload, number=1, data=part(1))
    assert default_storage.exists(f"uploads/{upload.pk}/1")

    upload_cancel(upload=upload)

    assert not Upload.objects.exists()
    assert not default_storage.exists(f"uploads/{upload.pk}/1")
    with pytest.raises(NotFound):
        upload_cancel(upload=upload)
    with pytest.raises(NotFound):  # a part that was on its way
        upload_part_put(upload=upload, number=2, data=part(2))
    assert not default_storage.exists(f"uploads/{upload.pk}/2")


def test_a_complete_upload_is_not_given_up() -> None:
    upload = filled(begun())
    upload_complete(upload=upload)

    with pytest.raises(Conflict, match="complete"):
        upload_cancel(upload=upload)
    assert blob_exists(sha256=upload.sha256)


def test_an_upload_of_a_store_that_the_site_has_left_keeps_no_other_from_going() -> None:
    left, other = begun(), begun(data=DATA[:-1])
    Upload.objects.filter(pk=left.pk).update(multipart="an id there", expires_at=now() - timedelta(hours=2))
    Upload.objects.filter(pk=other.pk).update(expires_at=now() - timedelta(hours=1))

    assert uploads_expire() == 2

    assert not Upload.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_being_put_together_does_not_expire_meanwhile() -> None:
    upload = filled(begun())
    Upload.objects.update(expires_at=now() - timedelta(seconds=1))
    held, looked = threading.Event(), threading.Event()

    def complete() -> None:
        with transaction.atomic():
            Upload.objects.select_for_update().get(pk=upload.pk)  # as `upload_complete` does, minutes long
            held.set()
            looked.wait(10)

    def expire() -> int:
        held.wait(10)
        try:
            return uploads_expire()
        finally:
            looked.set()

    assert together([complete, expire]) == [None, 0]
    assert default_storage.exists(f"uploads/{upload.pk}/1")
    assert uploads_expire() == 1
