from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.factories.server import participation_make
from tests.unit.api.api_helpers import client_for, problem
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, Participation
from touchstone.registry import client as registry_client
from touchstone.registry.services import image_record

pytestmark = pytest.mark.django_db
HOST = "registry.test"
DIGEST = f"sha256:{'a' * 64}"
NAME = f"{HOST}/small/paula/model@{DIGEST}"


@pytest.fixture(autouse=True)
def _registry(settings: Any, tmp_path: Path) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = HOST
    settings.TOUCHSTONE_REGISTRY_SECRETS = str(tmp_path / "registry")


@pytest.fixture
def pushed(participant: APIClient, paula: User) -> APIClient:
    """Paula, who pushed one image."""
    image_record(
        participation=Participation.objects.get(user=paula), repository="small/paula/model", digest=DIGEST,
        media_type="application/vnd.oci.image.manifest.v1+json", blobs={"base": 100, DIGEST: 7}, tag="v1",
    )  # fmt: skip
    return participant


def test_one_sees_where_to_push_and_what_is_there(pushed: APIClient) -> None:
    found = pushed.get("/api/v1/competitions/small/images").json()

    assert (found["host"], found["prefix"], found["used"]) == (HOST, f"{HOST}/small/paula", 107)
    assert [(item["image"], item["tag"], item["size"]) for item in found["items"]] == [(NAME, "v1", 107)]


def test_without_a_registry_it_says_so(pushed: APIClient, settings: Any) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = ""

    found = pushed.get("/api/v1/competitions/small/images").json()

    assert (found["host"], found["prefix"], found["items"]) == ("", "", [])
    assert "docker save" in found["why_not"]


def test_others_see_theirs_only(pushed: APIClient, small: Competition, anna: User) -> None:
    stranger = client_for(anna)
    assert problem(stranger.get("/api/v1/competitions/small/images"), 403, "not_joined")
    participation_make(small, anna, display_name="Anna")
    assert stranger.get("/api/v1/competitions/small/images").json()["items"] == []
    assert problem(stranger.delete(f"/api/v1/competitions/small/images?image={NAME}"), 404, "not_found")


def test_removing_takes_the_scope_submit(pushed: APIClient, paula: User, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[dict[str, str]] = []
    monkeypatch.setattr(registry_client, "manifest_delete", lambda **asked: removed.append(asked))
    assert problem(
        client_for(paula, "read").delete(f"/api/v1/competitions/small/images?image={NAME}"), 403, "scope_missing"
    )

    assert pushed.delete(f"/api/v1/competitions/small/images?image={NAME}").status_code == 204

    assert removed == [{"repository": "small/paula/model", "digest": DIGEST}]
    assert pushed.get("/api/v1/competitions/small/images").json()["items"] == []
    assert problem(pushed.delete("/api/v1/competitions/small/images"), 400, "invalid")
