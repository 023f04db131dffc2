from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.api.api_helpers import token_for
from touchstone.accounts.models import User
from touchstone.competitions.models import Participation
from touchstone.registry.services import image_record
from touchstone_client import oidc, pushing

pytestmark = pytest.mark.django_db(transaction=True)
HOST = "registry.test"
DIGEST = f"sha256:{'a' * 64}"
NAME = f"{HOST}/small/paula/model@{DIGEST}"


@pytest.fixture(autouse=True)
def _registry(settings: Any, tmp_path: Path) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = HOST
    settings.TOUCHSTONE_REGISTRY_SECRETS = str(tmp_path / "registry")


@pytest.fixture
def pushed(as_paula: User) -> None:
    image_record(
        participation=Participation.objects.get(user=as_paula), repository="small/paula/model", digest=DIGEST,
        media_type="application/vnd.oci.image.manifest.v1+json", blobs={DIGEST: 2 * 10**6}, tag="v1",
    )  # fmt: skip


def test_the_list_shows_names_to_submit_and_the_room_that_is_left(run: Callable, pushed: None) -> None:
    done = run("image", "list", "small")

    assert done.code == 0, done.err
    assert done.out.splitlines()[1].split("\t")[:2] == [NAME, "v1"]
    assert "used. Push to" in done.err
    assert run("image", "list", "small", "--json").json["place"]["items"][0]["image"] == NAME


def test_a_push_prints_the_name_as_data(run: Callable, as_paula: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def push(local: str, **options: Any) -> str:
        asked.update(options, local=local)
        options["say"]("layer: Pushed")
        return NAME

    monkeypatch.setattr(pushing, "push_image", push)

    done = run("image", "push", "mine:1", "--competition", "small", "--name", "model")

    assert (done.code, done.out) == (0, f"{NAME}\n"), done.err
    assert f"touchstone submit small --image {NAME}" in done.err
    assert "layer: Pushed" in done.err
    assert (asked["local"], asked["name"], asked["username"]) == ("mine:1", "model", "paula")
    assert asked["place"].prefix == f"{HOST}/small/paula"
    assert asked["token"].startswith("ts_")


def test_a_job_without_a_token_pushes_with_the_exchanged_one(
    run: Callable, as_paula: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanged = token_for(as_paula, "read", "submit")
    given: list[str] = []
    monkeypatch.delenv("TOUCHSTONE_TOKEN")
    monkeypatch.setenv("TOUCHSTONE_ID_TOKEN", "x")
    monkeypatch.setattr(oidc, "token_from_ci", lambda **options: exchanged)
    monkeypatch.setattr(pushing, "push_image", lambda local, **options: given.append(options["token"]) or NAME)

    done = run("image", "push", "mine:1", "--competition", "small")

    assert (done.code, given) == (0, [exchanged]), done.err


@pytest.mark.parametrize("name", ["model", f"{HOST}/small/paula/model:v1", "a/b@sha256:1"])
def test_removing_needs_the_whole_name(run: Callable, as_paula: User, name: str) -> None:
    done = run("image", "remove", name)

    assert done.code == 2
    assert "HOST/COMPETITION/YOU/NAME@sha256" in done.err


def test_removing_what_is_not_there(run: Callable, as_paula: User) -> None:
    done = run("image", "remove", NAME)

    assert done.code == 1
    assert "You have no image" in done.err
