from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import client_for, make_user, problem
from tests.unit.api.bundle_maker import labels_csv, sha256, write_bundle, zip_of
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition

pytestmark = pytest.mark.django_db
LIST = "/api/v1/competitions"


def _form(folder: Path) -> dict[str, SimpleUploadedFile]:
    return {"bundle": SimpleUploadedFile("bundle.zip", zip_of(folder))}


def test_anybody_sees_public_ones_only(anyone: APIClient, import_bundle: Callable[..., Competition]) -> None:
    for visibility in ("public", "unlisted", "private"):
        import_bundle(slug=visibility, visibility=visibility)
    body = anyone.get(LIST).json()
    assert [item["slug"] for item in body["items"]] == ["public"]
    assert body["next"] == ""
    item = body["items"][0]
    assert (item["current_phase"], item["joined"], item["organiser"]) == ("now", False, False)
    assert [phase["state"] for phase in item["phases"]] == ["closed", "open", "upcoming"]
    assert item["phases"][1]["per_day"] == 5
    assert item["url"].endswith("/c/public/")


def test_a_private_one_is_not_there_for_strangers(
    anyone: APIClient, stranger: APIClient, organiser: APIClient, import_bundle: Callable[..., Competition]
) -> None:
    import_bundle(slug="secret", visibility="private")
    for client in (anyone, stranger):
        problem(client.get(f"{LIST}/secret"), 404, "not_found")
        problem(client.get(f"{LIST}/secret/data/train/labels.csv"), 404, "not_found")
        problem(client.get(f"{LIST}/secret/leaderboards/now/main"), 404, "not_found")
    assert organiser.get(f"{LIST}/secret").json()["organiser"] is True


def test_pages_of_the_list_hold_each_once(anyone: APIClient, import_bundle: Callable[..., Competition]) -> None:
    import_bundle()
    first = Competition.objects.get()
    for number in range(5):
        Competition.objects.create(
            slug=f"copy-{number}",
            title="Copy",
            visibility="public",
            owner=first.owner,
            spec=first.spec,
            bundle_digest="0" * 64,
        )
    Competition.objects.update(created_at=first.created_at)  # equal times: the cursor must still be exact
    seen, after = [], ""
    for _ in range(10):
        body = anyone.get(LIST, {"limit": 2, "after": after}).json()
        seen += [item["slug"] for item in body["items"]]
        after = body["next"]
        if not after:
            break
    assert sorted(seen) == ["copy-0", "copy-1", "copy-2", "copy-3", "copy-4", "small"]


@pytest.mark.parametrize(
    "parts",
    [
        None, 1, [], ["2026-01-01"], ["2026-01-01T00:00:00", "x"], ["soon", "x"], ["2026-01-01T00:00:00Z", 1],
        ["2026-01-01T00:00:00Z", "a\x00b"], ["2026-01-01T00:00:00Z", "\ud800"], ["9" * 30, "x"],
        ["2026-01-01T00:00:00Z", "x", 1],
    ],
)  # fmt: skip
@pytest.mark.parametrize("address", [LIST, "/api/v1/submissions", "/api/v1/tokens"])
def test_a_foreign_cursor_is_refused(organiser: APIClient, address: str, parts: object) -> None:
    after = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()
    body = problem(organiser.get(address, {"after": after}), 400, "invalid")
    assert body["errors"][0]["pointer"] == "/after"


def test_a_cursor_of_another_list_is_refused(organiser: APIClient) -> None:
    after = base64.urlsafe_b64encode(json.dumps(["2026-01-01T00:00:00Z", "not-a-uuid"]).encode()).decode()
    problem(organiser.get("/api/v1/submissions", {"after": after}), 400, "invalid")
    problem(organiser.get("/api/v1/submissions", {"after": "no base64!"}), 400, "invalid")


def test_words_are_looked_for(anyone: APIClient, small: Competition) -> None:
    assert len(anyone.get(LIST, {"q": "twelve SMALL"}).json()["items"]) == 1
    assert anyone.get(LIST, {"q": "twelve absent"}).json()["items"] == []


def test_a_list_costs_the_same_however_long(
    organiser: APIClient, small: Competition, django_assert_max_num_queries: Callable[..., CaptureQueriesContext]
) -> None:
    for number in range(8):
        Competition.objects.create(
            slug=f"copy-{number}",
            title="Copy",
            visibility="public",
            owner=small.owner,
            spec=small.spec,
            bundle_digest="0" * 64,
        )
    organiser.get(LIST)
    with django_assert_max_num_queries(8):
        assert len(organiser.get(LIST).json()["items"]) == 9


def test_everything_about_one(anyone: APIClient, small: Competition) -> None:
    body = anyone.get(f"{LIST}/small").json()
    assert body["kinds"] == ["predictions"]
    assert body["max_size"] == 2**20
    assert body["task"]["classes"] == ["no", "yes"]
    assert body["terms"] == "Be fair.\n"
    assert body["leaderboards"][1] == {"phase": "now", "slug": "main", "title": "Main"}
    splits = {split["name"]: split for split in body["splits"]}
    data = labels_csv("t").encode()
    assert splits["train"]["files"] == [{"name": "labels.csv", "sha256": sha256(data), "size": len(data)}]
    assert splits["test"]["files"] == []
    assert splits["test"]["n_items"] == 12


def test_data_comes_with_its_digest_and_is_not_sent_twice(anyone: APIClient, small: Competition) -> None:
    answer = anyone.get(f"{LIST}/small/data/train/labels.csv")
    content = b"".join(answer)
    assert content == labels_csv("t").encode()
    assert answer["Content-Length"] == str(len(content))
    assert answer["Repr-Digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"
    again = anyone.get(f"{LIST}/small/data/train/labels.csv", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304


def test_hidden_data_stays_hidden(anyone: APIClient, participant: APIClient, organiser: APIClient) -> None:
    address = f"{LIST}/small/data/test/labels.csv"
    problem(anyone.get(address), 404, "not_found")
    problem(participant.get(address), 404, "not_found")
    assert b"".join(organiser.get(address)) == labels_csv().encode()


@pytest.mark.parametrize("name", ["../labels.csv", "%2e%2e/labels.csv", "absent.csv", "%00"])
def test_no_name_leads_elsewhere(anyone: APIClient, small: Competition, name: str) -> None:
    answer = anyone.get(f"{LIST}/small/data/train/{name}")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_the_starting_kit_is_a_zip(anyone: APIClient, small: Competition) -> None:
    answer = anyone.get(f"{LIST}/small/starting-kit")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer)))
    assert archive.namelist() == ["readme.txt"]
    assert anyone.head(f"{LIST}/small/starting-kit").status_code == 200


def test_joining_needs_the_terms_and_happens_once(paula: User, small: Competition) -> None:
    client = client_for(paula)
    body = problem(client.post(f"{LIST}/small/join", {"accept_terms": False}, format="json"), 400, "terms")
    assert body["errors"][0]["pointer"] == "/accept_terms"
    first = client.post(f"{LIST}/small/join", {"accept_terms": True, "display_name": "Team P"}, format="json").json()
    assert first["display_name"] == "Team P"
    assert client.post(f"{LIST}/small/join", {"accept_terms": True}, format="json").json() == first
    assert client.get(f"{LIST}/small").json()["joined"] is True


def test_a_name_on_the_board_is_unique(participant: APIClient, stranger: APIClient) -> None:
    body = {"accept_terms": True, "display_name": "PAULA"}
    problem(stranger.post(f"{LIST}/small/join", body, format="json"), 409, "name_taken")


def test_publishing_creates_then_changes_nothing_then_updates(organiser: APIClient, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "a", slug="fresh")
    first = organiser.post(LIST, _form(folder), format="multipart")
    assert first.status_code == 201
    assert first.json() == {
        "competition": "fresh", "created": True, "changed": True, "version": 1, "url": first.json()["url"],
    }  # fmt: skip
    assert first["Location"].endswith("/api/v1/competitions/fresh")
    again = organiser.post(LIST, _form(folder), format="multipart")
    assert (again.status_code, again.json()["created"], again.json()["changed"]) == (200, False, False)
    (folder / "terms.md").write_text("Be very fair.\n")
    third = organiser.post(LIST, _form(folder), format="multipart")
    assert (third.status_code, third.json()["changed"], third.json()["version"]) == (200, True, 2)


def test_publishing_an_upload(organiser: APIClient, tmp_path: Path) -> None:
    data = zip_of(write_bundle(tmp_path, slug="fresh"))
    made = organiser.post(
        "/api/v1/uploads", {"name": "b.zip", "size": len(data), "sha256": sha256(data)}, format="json"
    ).json()
    problem(organiser.post(LIST, {"upload": made["id"]}, format="json"), 409, "upload_incomplete")
    organiser.put(f"/api/v1/uploads/{made['id']}/parts/1", data, content_type="application/octet-stream")
    organiser.post(f"/api/v1/uploads/{made['id']}/complete")
    answer = organiser.post(LIST, {"upload": made["id"]}, format="json")
    assert answer.status_code == 201, answer.content


def test_a_bundle_with_defects_lists_all_and_creates_nothing(organiser: APIClient, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, slug="broken", extra="colour: blue\n")
    (folder / "terms.md").unlink()
    body = problem(organiser.post(LIST, _form(folder), format="multipart"), 422, "invalid_bundle")
    places = {defect["where"] for defect in body["defects"]}
    assert {"colour", "terms"} <= places
    unknown = next(defect for defect in body["defects"] if defect["where"] == "colour")
    assert unknown["file"] == "competition.yml"
    assert unknown["line"] > 1
    assert not Competition.objects.filter(slug="broken").exists()


def test_what_is_no_zip_is_a_defect(organiser: APIClient) -> None:
    body = {"bundle": SimpleUploadedFile("bundle.zip", b"not a zip")}
    assert problem(organiser.post(LIST, body, format="multipart"), 422, "invalid_bundle")["defects"]


def test_a_slug_of_somebody_else(small: Competition, tmp_path: Path) -> None:
    client = client_for(make_user("max"))
    problem(client.post(LIST, _form(write_bundle(tmp_path)), format="multipart"), 409, "slug_taken")


@pytest.mark.parametrize("body", [{}, {"upload": "5b0fc0ce-0a31-4bd1-a6a9-0b5d6e0c1a2b", "bundle": "x"}])
def test_the_bundle_is_sent_once(organiser: APIClient, body: dict[str, str]) -> None:
    given: dict[str, object] = dict(body)
    if "bundle" in given:
        given["bundle"] = SimpleUploadedFile("b.zip", b"x")
    problem(organiser.post(LIST, given, format="multipart"), 400, "artifact")


def test_quota_of_the_open_phase(participant: APIClient) -> None:
    body = participant.get(f"{LIST}/small/quota").json()
    assert body.pop("resets_at").endswith("T00:00:00Z")
    assert body == {
        "competition": "small", "phase": "now", "per_day": 5, "used_today": 0, "remaining_today": 5,
        "total": 50, "used_total": 0, "remaining_total": 50, "failures_per_day": 20, "failed_today": 0,
    }  # fmt: skip
    assert participant.get(f"{LIST}/small/quota", {"phase": "past"}).json()["per_day"] is None
    problem(participant.get(f"{LIST}/small/quota", {"phase": "never"}), 404, "not_found")


def test_quota_needs_joining(stranger: APIClient, small: Competition) -> None:
    body = problem(stranger.get(f"{LIST}/small/quota"), 403, "not_joined")
    assert "touchstone join" in body["hint"]
