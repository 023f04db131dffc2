"""The same command where the server's files are on S3-compatible storage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.factories.s3 import Store
from touchstone.accounts.models import User
from touchstone.core.storage import blob_open
from touchstone.submissions.models import Submission, Upload
from touchstone_client import transfer
from touchstone_client.transport import StorageAway, Transport

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def on_s3(settings, s3_store: Store, tmp_path: Path) -> None:
    settings.TOUCHSTONE_UPLOAD_PART_SIZE = 40
    options = s3_store.options(prefix=tmp_path.name)
    settings.STORAGES = {
        **settings.STORAGES, "default": {"BACKEND": "touchstone.core.s3.S3Storage", "OPTIONS": options},
    }  # fmt: skip


def whole(predictions: Path) -> bool:
    with blob_open(sha256=Submission.objects.get().files[0]["sha256"]) as file:
        return file.read() == predictions.read_bytes()


def test_parts_go_to_the_store_and_a_cut_goes_on(
    run: Callable, as_paula: User, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    put = Transport.put_elsewhere
    headers: list[Any] = []

    def watched(self: Transport, url: str, data: bytes, **options: Any) -> Any:
        sent.append(url.partition("?")[2].partition("partNumber=")[2].partition("&")[0])
        headers.append(self._plain().headers)
        if len(sent) == 3:
            raise KeyboardInterrupt
        return put(self, url, data, **options)

    monkeypatch.setattr(Transport, "put_elsewhere", watched)
    monkeypatch.setattr(transfer, "_put", None)  # nothing goes through the server

    assert run("submit", "small/now", predictions).code == 130
    assert run("submit", "small/now", predictions).code == 0

    assert sent[:4] == ["1", "2", "3", "3"]
    assert len(sent) == -(-predictions.stat().st_size // 40) + 1
    assert not any("authorization" in each for each in headers)
    assert Upload.objects.count() == 1
    assert whole(predictions)


def test_an_url_that_expired_is_replaced(
    run: Callable, as_paula: User, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = transfer.decode

    def stale(kind: Any, data: Any) -> Any:
        for each in data.get("urls", [])[1:]:  # of the first answer and of fresh ones: only one of each is good
            each["url"] = each["url"].replace("X-Amz-Signature=", "X-Amz-Signature=0")
        return decode(kind, data)

    monkeypatch.setattr(transfer, "decode", stale)

    assert run("submit", "small/now", predictions).code == 0
    assert whole(predictions)


def test_a_store_out_of_reach_is_gone_round(
    run: Callable, as_paula: User, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away(self: Transport, url: str, data: bytes, **options: Any) -> Any:
        asked.append(url)
        raise StorageAway("store")

    monkeypatch.setattr(Transport, "put_elsewhere", away)

    assert run("submit", "small/now", predictions).code == 0
    assert len(asked) == 1
    assert whole(predictions)
