"""Uploading a bundle, downloads, health and errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template.loader import render_to_string
from django.test import Client

from tests.factories.server import bundle_folder, user_make, zipped
from touchstone.competitions.models import Competition
from touchstone.core.errors import QuotaExceeded
from touchstone.web import health
from touchstone.web.views.support import page as shows_errors

NEW = "/competitions/new/"


def upload(client: Client, data: bytes, name: str = "bundle.zip", **headers: str):
    return client.post(NEW, {"bundle": SimpleUploadedFile(name, data)}, headers=headers)


def content_of(response) -> bytes:
    return b"".join(response.streaming_content)  # the file is closed at its end


@pytest.fixture
def client(db: None) -> Client:
    client = Client()
    client.force_login(user_make("otto"))
    return client


def test_a_good_bundle_becomes_a_competition_once(client: Client, tmp_path: Path) -> None:
    data = zipped(bundle_folder(tmp_path, "fresh")).getvalue()
    response = upload(client, data)
    assert response["Location"] == "/c/fresh/"
    assert "Tiny fresh is created." in client.get("/c/fresh/").content.decode()
    kit = client.get("/c/fresh/starting-kit.zip")
    assert kit["Content-Disposition"] == 'attachment; filename="fresh-starting-kit.zip"'
    assert content_of(kit)[:2] == b"PK"
    again = upload(client, data, **{"HX-Request": "true"})
    assert (again.status_code, again["HX-Redirect"]) == (204, "/c/fresh/")
    assert "nothing changed" in client.get("/c/fresh/").content.decode()
    assert Competition.objects.count() == 1


def test_all_defects_are_listed_with_place_and_hint(client: Client, tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path, "broken", titel="typo", metrics=[{"use": "performance.acuracy"}])
    response = upload(client, zipped(folder).getvalue(), **{"HX-Request": "true"})
    html = response.content.decode()
    assert response.status_code == 422
    assert html.lstrip().startswith('<form id="bundle-form"')
    for text in ("titel", "performance.accuracy", "competition.yml:", "metrics[0].use", "Nothing was created."):
        assert text in html
    assert html.count('<tr><th scope="row">') >= 2
    assert not Competition.objects.exists()


@pytest.mark.parametrize("data", [b"not a zip at all", b"PK\x03\x04 cut off"])
def test_what_is_no_zip_is_said_to_be_none(client: Client, data: bytes) -> None:
    response = upload(client, data)
    assert response.status_code == 422
    assert "zip" in response.content.decode().lower()
    assert 'role="alert"' in response.content.decode()
    assert not Competition.objects.exists()


def test_nothing_chosen(client: Client) -> None:
    response = client.post(NEW, {})
    assert response.status_code == 422
    assert "Choose the zip to upload." in response.content.decode()


def test_somebody_elses_slug(client: Client, tmp_path: Path) -> None:
    data = zipped(bundle_folder(tmp_path, "mine")).getvalue()
    upload(client, data)
    other = Client()
    other.force_login(user_make())
    response = upload(other, data)
    assert response.status_code == 422
    assert "you do not organise it" in response.content.decode()


def test_a_download_is_a_download(world) -> None:
    client = world.client("anonymous")
    response = client.get("/c/open-one/data/train/labels.csv")
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == 'attachment; filename="open-one-train-labels.csv"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert content_of(response).startswith(b"id,")
    assert (
        client.get("/c/open-one/data/train/labels.csv", headers={"If-None-Match": response["ETag"]}).status_code == 304
    )


def test_the_data_page_lists_only_what_can_be_downloaded(world) -> None:
    def links(role: str) -> set[str]:
        html = world.client(role).get("/c/open-one/data/").content.decode()
        splits = ("train", "validation", "test")
        files = ("inputs.csv", "labels.csv")
        return {f"{split}/{file}" for split in splits for file in files if f"/c/open-one/data/{split}/{file}" in html}

    assert links("participant") == {"train/inputs.csv", "train/labels.csv", "validation/inputs.csv"}
    assert len(links("organiser")) == 6


def test_alive_needs_no_database() -> None:
    assert Client().get("/healthz").content == b"ok\n"


@pytest.mark.django_db
def test_ready_names_each_part() -> None:
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"ready": True, "database": "ok", "broker": "ok", "storage": "ok", "nodes_online": 0}


@pytest.mark.django_db
def test_a_broken_part_makes_the_site_not_ready_and_tells_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ConnectionRefusedError("redis://user:secret@10.0.0.1")

    monkeypatch.setitem(health.CHECKS, "broker", broken)
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["broker"] == "failed: ConnectionRefusedError"
    assert "secret" not in response.content.decode()


@pytest.mark.django_db
def test_a_missing_page_offers_a_way_on() -> None:
    html = Client().get("/nothing/here/").content.decode()
    assert "There is nothing here" in html
    assert 'href="/login/"' in html


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "409", "429", "500"])
def test_error_pages_need_nothing_of_a_request(name: str) -> None:
    html = render_to_string(f"{name}.html")
    assert "<h1>" in html
    assert "See the competitions" in html


@pytest.mark.django_db
def test_a_fault_of_ours_gets_a_page_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("touchstone.competitions.selectors.competition_visible", broken)
    response = Client(raise_request_exception=False).get("/")
    assert response.status_code == 500
    assert "fault of the platform" in response.content.decode()
    assert "boom" not in response.content.decode()


@pytest.mark.django_db
def test_too_often_says_until_when(rf) -> None:
    from datetime import timedelta

    from django.contrib.auth.models import AnonymousUser

    from touchstone.core.clock import now

    def view(request):
        raise QuotaExceeded("All used.", "Wait.", reset_at=now() + timedelta(seconds=90))

    request = rf.get("/")
    request.user = AnonymousUser()
    response = shows_errors(view)(request)
    assert response.status_code == 429
    assert 80 <= int(response["Retry-After"]) <= 90
    assert "All used." in response.content.decode()
