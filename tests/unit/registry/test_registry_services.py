"""Which images a submission may name, and what becomes of an image that is removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.factories.pushed_images import Blobs, digest_of
from tests.factories.server import competition_make, participation_make, phase_of, user_make
from touchstone.audit.models import AuditEntry
from touchstone.competitions.models import Participation
from touchstone.core.errors import Conflict, NotAllowed, NotFound, UserError
from touchstone.registry import client
from touchstone.registry.client import Manifest
from touchstone.registry.models import PushedImage
from touchstone.registry.services import image_accept, image_record, image_remove
from touchstone.submissions.models import Submission
from touchstone.submissions.services import submission_create

pytestmark = pytest.mark.django_db
HOST = "127.0.0.1:5000"
DIGEST = f"sha256:{'a' * 64}"
NAME = f"{HOST}/tiny/alice/model@{DIGEST}"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(autouse=True)
def _registry(settings: Any, tmp_path: Path) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = HOST
    settings.TOUCHSTONE_REGISTRY_URL = "http://127.0.0.1:1"  # nobody listens there
    settings.TOUCHSTONE_REGISTRY_SECRETS = str(tmp_path / "registry")


@pytest.fixture
def alice() -> Participation:
    competition = competition_make(slug="tiny", submission={"kinds": ["container"]})
    return participation_make(competition, user_make("alice"))


def pushed(alice: Participation) -> PushedImage:
    return image_record(
        participation=alice, repository="tiny/alice/model", digest=DIGEST, media_type=MANIFEST, blobs={DIGEST: 7}
    )


def test_ones_own_image_is_taken_by_its_digest(alice: Participation) -> None:
    pushed(alice)

    made = submission_create(user=alice.user, phase=phase_of(alice.competition), kind="container", image=NAME)

    assert (made.image, made.files) == (NAME, [])


@pytest.mark.parametrize(
    ("image", "kind", "code"),
    [
        (f"{HOST}/tiny/bob/model@{DIGEST}", NotAllowed, "image_not_yours"),
        (f"{HOST}/other/alice/model@{DIGEST}", NotAllowed, "image_not_yours"),
        (f"{HOST}/tiny/alice@{DIGEST}", NotAllowed, "image_not_yours"),
        (f"{HOST}/tiny/alice/../bob/model@{DIGEST}", UserError, "image"),
        (f"127.0.0.1:5001/tiny/alice/model@{DIGEST}", UserError, "image_registry"),
        (f"ghcr.io/tiny/alice/model@{DIGEST}", UserError, "image_registry"),
        (NAME, UserError, "registry_away"),
    ],
)
def test_any_other_is_refused_with_the_reason(
    alice: Participation, image: str, kind: type[UserError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        image_accept(participation=alice, image=image)

    assert caught.value.code == code
    assert caught.value.hint


def test_an_image_whose_event_was_lost_is_looked_up(alice: Participation, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def get(**question: str) -> Manifest:
        asked.append(question)
        return Manifest(MANIFEST, {DIGEST: 7, f"sha256:{'b' * 64}": 100})

    monkeypatch.setattr(client, "manifest_get", get)

    assert [image_accept(participation=alice, image=NAME) for _ in range(2)] == [NAME, NAME]
    assert asked == [{"repository": "tiny/alice/model", "digest": DIGEST}]
    assert PushedImage.objects.get().size == 107


def test_an_image_that_is_not_there_is_refused(alice: Participation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "manifest_get", lambda **_: None)

    with pytest.raises(UserError) as caught:
        image_accept(participation=alice, image=NAME)

    assert caught.value.code == "image_unknown"


def test_without_a_registry_archives_are_the_way(alice: Participation, settings: Any) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = ""

    with pytest.raises(UserError, match="this installation has no registry") as caught:
        image_accept(participation=alice, image=NAME)

    assert "docker save" in caught.value.hint


@pytest.mark.parametrize("image", [DIGEST, f"team/model@{DIGEST}"])
def test_images_of_the_engine_are_for_one_machine(alice: Participation, settings: Any, image: str) -> None:
    assert image_accept(participation=alice, image=image) == image
    settings.TOUCHSTONE_LOCAL_IMAGES = False
    with pytest.raises(UserError, match="here nodes take none"):
        image_accept(participation=alice, image=image)


def test_an_image_is_removed_unless_a_submission_names_it(
    alice: Participation, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []
    monkeypatch.setattr(client, "manifest_delete", lambda **asked: removed.append(asked))
    pushed(alice)
    sent = Submission.objects.create(
        participation=alice, phase=phase_of(alice.competition), kind="container", image=NAME
    )
    with pytest.raises(Conflict):
        image_remove(participation=alice, image=NAME)
    sent.delete()
    bob = participation_make(alice.competition, user_make("bob"))
    for who, image in ((bob, NAME), (alice, NAME.replace("model", "other")), (alice, "x"), (alice, DIGEST)):
        with pytest.raises(NotFound):
            image_remove(participation=who, image=image)
    assert removed == []

    image_remove(participation=alice, image=NAME)

    assert removed == [{"repository": "tiny/alice/model", "digest": DIGEST}]
    assert not PushedImage.objects.exists()
    acts = AuditEntry.objects.filter(act__startswith="image.").order_by("sequence")
    assert [entry.act for entry in acts] == ["image.push", "image.remove"]


def test_the_manifest_the_registry_sends_is_checked(settings: Any, alice: Participation) -> None:
    from tests.factories import pushed_images

    blobs = Blobs()
    digest = blobs.image()
    settings_token = pushed_images.TOKEN
    with pushed_images.serving(blobs) as (url, asked), pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "platform_token", lambda **_: settings_token)
        settings.TOUCHSTONE_REGISTRY_URL = url
        found = client.manifest_get(repository="tiny/alice/model", digest=digest)
        assert found is not None
        assert found.blobs == {
            part["digest"]: part["size"]
            for part in [json.loads(blobs[digest])["config"], *json.loads(blobs[digest])["layers"]]
        } | {digest: len(blobs[digest])}
        assert client.manifest_get(repository="tiny/alice/model", digest=digest_of(b"no")) is None
        config = json.loads(blobs[digest])["config"]
        assert client.blob_size(repository="tiny/alice/model", digest=config["digest"]) == config["size"]
        assert client.blob_size(repository="tiny/alice/model", digest=digest_of(b"no")) is None
        blobs[digest] += b" "
        with pytest.raises(UserError, match="another manifest"):
            client.manifest_get(repository="tiny/alice/model", digest=digest)
        assert asked[0] == f"/v2/tiny/alice/model/manifests/{digest}"
