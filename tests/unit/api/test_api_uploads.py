from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import client_for, problem
from tests.unit.api.bundle_maker import sha256
from touchstone.accounts.models import User
from touchstone.core.storage import blob_open
from touchstone.submissions.models import Upload

pytestmark = pytest.mark.django_db
DATA = bytes(range(256)) * 10
PART = 1000


@pytest.fixture(autouse=True)
def _small_parts() -> Any:
    with override_settings(TOUCHSTONE_UPLOAD_PART_SIZE=PART):
        yield


@pytest.fixture
def client(paula: User) -> APIClient:
    return client_for(paula, "submit")


def begin(client: APIClient, data: bytes = DATA) -> Any:
    return client.post("/api/v1/uploads", {"name": "x.csv", "size": len(data), "sha256": sha256(data)}, format="json")


def put(client: APIClient, upload: str, number: int, data: bytes, **headers: str) -> Any:
    return client.put(
        f"/api/v1/uploads/{upload}/parts/{number}", data, content_type="application/octet-stream", headers=headers
    )


def part(number: int) -> bytes:
    return DATA[(number - 1) * PART : number * PART]


def test_parts_in_any_order_become_the_file(client: APIClient) -> None:
    answer = begin(client)
    made = answer.json()
    assert (answer.status_code, made["part_size"], made["parts"], made["completed_at"]) == (201, PART, [], None)
    for number in (3, 1, 2, 1):
        assert put(client, made["id"], number, part(number)).json()["sha256"] == sha256(part(number))
    held = client.get(f"/api/v1/uploads/{made['id']}").json()["parts"]
    assert [(item["number"], item["size"]) for item in held] == [(1, 1000), (2, 1000), (3, 560)]
    done = client.post(f"/api/v1/uploads/{made['id']}/complete")
    assert done.json()["completed_at"]
    assert client.post(f"/api/v1/uploads/{made['id']}/complete").json() == done.json()
    with blob_open(sha256=sha256(DATA)) as stored:
        assert stored.read() == DATA


def test_the_same_content_is_continued(client: APIClient, anna: User) -> None:
    made = begin(client).json()
    put(client, made["id"], 2, part(2))
    again = begin(client)
    assert (again.status_code, again.json()["id"]) == (200, made["id"])
    assert [item["number"] for item in again.json()["parts"]] == [2]
    assert begin(client, DATA + b"x").status_code == 201
    assert begin(client_for(anna)).json()["id"] != made["id"]


def test_an_expired_upload_is_not_continued(client: APIClient) -> None:
    made = begin(client).json()
    Upload.objects.update(expires_at="2020-01-01T00:00:00Z")
    problem(put(client, made["id"], 1, part(1)), 409, "upload_expired")
    assert begin(client).json()["id"] != made["id"]


def test_damage_on_the_way_is_noticed(client: APIClient) -> None:
    made = begin(client).json()
    right = base64.b64encode(hashlib.sha256(part(1)).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    problem(put(client, made["id"], 1, part(1), **{"Content-Digest": f"sha-256=:{wrong}:"}), 400, "part_digest")
    problem(put(client, made["id"], 1, part(1), **{"X-Content-SHA256": "0" * 64}), 400, "part_digest")
    assert put(client, made["id"], 1, part(1), **{"Content-Digest": f"sha-256=:{right}:"}).status_code == 200
    assert put(client, made["id"], 1, part(1), **{"X-Content-SHA256": sha256(part(1))}).status_code == 200


@pytest.mark.parametrize("header", ["sha-256=:AAAA:", "md5=:AAAA:", "x", "sha-256=:====:"])
def test_digests_that_are_none(client: APIClient, header: str) -> None:
    made = begin(client).json()
    problem(put(client, made["id"], 1, part(1), **{"Content-Digest": header}), 400, "bad_digest")
    assert Upload.objects.get().parts == {}


@pytest.mark.parametrize(("number", "data"), [(1, b"short"), (1, b""), (0, b"x" * PART), (4, b"x" * PART)])
def test_parts_that_do_not_fit(client: APIClient, number: int, data: bytes) -> None:
    made = begin(client).json()
    assert put(client, made["id"], number, data).status_code == 400
    assert Upload.objects.get().parts == {}


def test_a_part_too_large_is_refused_unread(client: APIClient) -> None:
    made = begin(client).json()
    problem(put(client, made["id"], 1, b"x" * (PART + 1)), 413, "too_large")


def test_a_part_is_bytes(client: APIClient) -> None:
    made = begin(client).json()
    answer = client.put(f"/api/v1/uploads/{made['id']}/parts/1", {"a": 1}, format="json")
    problem(answer, 415, "unsupported_media_type")


def test_completing_needs_all_parts_and_the_right_whole(client: APIClient) -> None:
    made = begin(client).json()
    put(client, made["id"], 1, part(1))
    body = problem(client.post(f"/api/v1/uploads/{made['id']}/complete"), 409, "parts_missing")
    assert "2, 3" in body["detail"]
    put(client, made["id"], 2, part(1))
    put(client, made["id"], 3, part(3))
    problem(client.post(f"/api/v1/uploads/{made['id']}/complete"), 400, "digest")


def test_uploads_of_others_are_not_there(client: APIClient, anna: User) -> None:
    made = begin(client).json()
    other = client_for(anna)
    problem(other.get(f"/api/v1/uploads/{made['id']}"), 404, "not_found")
    problem(put(other, made["id"], 1, part(1)), 404, "not_found")
    problem(other.post(f"/api/v1/uploads/{made['id']}/complete"), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"size": 0}, "/size"),
        ({"size": "many"}, "/size"),
        ({"sha256": "abc"}, "/sha256"),
        ({"sha256": "A" * 64}, "/sha256"),
        ({"sha256": "a" * 64 + "\n"}, None),
        ({"name": ""}, "/name"),
        ({"colour": "blue"}, "/colour"),
    ],
)
def test_faults_are_pointed_at(client: APIClient, change: dict[str, object], pointer: str | None) -> None:
    body = {"name": "x", "size": 5, "sha256": "a" * 64, **change}
    answer = client.post("/api/v1/uploads", body, format="json")
    if pointer is None:  # white space around a value is taken away, as everywhere
        assert answer.status_code == 201
        return
    assert [error["pointer"] for error in problem(answer, 400, "invalid")["errors"]] == [pointer]


def test_a_size_nobody_allows(client: APIClient) -> None:
    body = {"name": "x", "size": 2**50, "sha256": "a" * 64}
    problem(client.post("/api/v1/uploads", body, format="json"), 413, "too_large")


def test_reading_a_part_takes_no_more_than_announced(client: APIClient) -> None:
    made = begin(client).json()
    stream = io.BytesIO(part(1) + b"more")
    answer = client.generic(
        "PUT", f"/api/v1/uploads/{made['id']}/parts/1", stream.read(PART), content_type="application/octet-stream"
    )
    assert answer.status_code == 200
