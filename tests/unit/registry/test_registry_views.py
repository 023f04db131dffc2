"""The token endpoint grants one's own names and no more; events are believed from the registry alone."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.test import Client

from runners.contract import RunSpec
from tests.factories.server import competition_make, node_make, participation_make, phase_of, run_make, user_make
from touchstone.accounts.models import User
from touchstone.accounts.services import token_create
from touchstone.competitions.models import Participation
from touchstone.core.clock import now
from touchstone.evaluations.models import Run, RunStatus
from touchstone.registry import client
from touchstone.registry.charges import charged
from touchstone.registry.models import Namespace, PushedImage
from touchstone.registry.offer import registry_keys
from touchstone.registry.services import image_record, image_remove, run_pull
from touchstone.submissions.models import Submission

pytestmark = pytest.mark.django_db
HOST = "registry.test:5000"
DIGEST = f"sha256:{'a' * 64}"
LAYER, CONFIG = f"sha256:{'b' * 64}", f"sha256:{'c' * 64}"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(autouse=True)
def _registry(settings: Any, tmp_path: Path) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = settings.TOUCHSTONE_REGISTRY_PULL_HOST = HOST
    settings.TOUCHSTONE_REGISTRY_URL = "http://127.0.0.1:1"  # nobody listens there
    settings.TOUCHSTONE_REGISTRY_SECRETS = str(tmp_path / "registry")


@pytest.fixture
def alice() -> Participation:
    competition = competition_make(slug="tiny", submission={"kinds": ["container", "predictions"]})
    return participation_make(competition, user_make("Alice"))


def secret(user: User, *scopes: str) -> str:
    return token_create(user=user, name="t", scopes=scopes or ("submit",))[1]


def ask(name: str, password: str, *scopes: str, service: str = "touchstone") -> Any:
    basic = base64.b64encode(f"{name}:{password}".encode()).decode()
    return Client().get(
        "/registry/token", {"service": service, "scope": list(scopes)}, headers={"Authorization": f"Basic {basic}"}
    )


def granted(response: Any) -> dict[str, list[str]]:
    """Repository → actions of the token in an answer."""
    assert response.status_code == 200, response.content
    claims = jwt.decode(
        response.json()["token"], registry_keys().private.public_key(), algorithms=["ES256"], audience="touchstone"
    )
    return {one["name"]: one["actions"] for one in claims["access"]}


def test_ones_own_names_are_granted_and_nobody_elses(alice: Participation) -> None:
    participation_make(alice.competition, user_make("bob"))
    competition_make(slug="other", submission={"kinds": ["container"]})
    scopes = [f"repository:{name}:pull,push,delete" for name in (
        "tiny/alice/model", "tiny/bob/model", "other/alice/model", "nowhere/alice/m", "tiny/alice", "library/debian",
    )]  # fmt: skip

    assert granted(ask("alice", secret(alice.user), *scopes)) == {"tiny/alice/model": ["pull", "push"]}


def test_a_token_for_one_competition_pushes_to_no_other(alice: Participation) -> None:
    competition_make(slug="other")
    name = "repository:tiny/alice/model:pull,push"
    assert granted(ask("alice", secret(alice.user, "submit:tiny"), name)) == {"tiny/alice/model": ["pull", "push"]}
    assert granted(ask("alice", secret(alice.user, "submit:other"), name)) == {}


def test_scopes_of_other_kinds_grant_nothing(alice: Participation) -> None:
    asked = ("registry:catalog:*", "repository:tiny/alice/model:*", "nonsense", "repository:tiny/alice/model:", "")

    assert granted(ask("alice", secret(alice.user), *asked)) == {}


def test_signing_in_asks_for_nothing(alice: Participation) -> None:
    assert granted(ask("ALICE", secret(alice.user))) == {}


@pytest.mark.parametrize("case", ["no-container", "closed", "quota"])
def test_one_pulls_but_does_not_push_where_it_leads_nowhere(alice: Participation, case: str, settings: Any) -> None:
    if case == "no-container":
        alice.competition.spec["submission"]["kinds"] = ["predictions"]
        alice.competition.save()
    elif case == "closed":
        alice.competition.phases.update(closes=now() - timedelta(hours=1))
    else:
        settings.TOUCHSTONE_REGISTRY_QUOTA = 10
        image_record(
            participation=alice, repository="tiny/alice/x", digest=DIGEST, media_type=MANIFEST, blobs={"a": 4, "b": 6}
        )

    found = granted(ask("alice", secret(alice.user), "repository:tiny/alice/model:push,pull"))

    assert found == {"tiny/alice/model": ["pull"]}


def test_layers_that_images_share_count_once(alice: Participation, settings: Any) -> None:
    settings.TOUCHSTONE_REGISTRY_QUOTA = 101
    for n in range(5):
        image_record(
            participation=alice, repository="tiny/alice/x", digest=f"sha256:{n:064}", media_type=MANIFEST,
            blobs={"base": 50, f"own{n}": 10},
        )  # fmt: skip

    assert granted(ask("alice", secret(alice.user), "repository:tiny/alice/x:push")) == {"tiny/alice/x": ["push"]}


def test_who_is_not_let_in_and_why(alice: Participation) -> None:
    bob = user_make("bob")
    cases = {
        ("", ""): "sign in first",
        ("alice", "wrong"): "do not fit",
        ("alice", secret(bob)): "do not fit",
        ("alice", secret(alice.user, "read")): "has not the scope submit",
        ("node", "forged"): "this key is not valid",
        ("node", secret(bob)): "do not fit",
    }
    for (name, password), why in cases.items():
        response = ask(name, password, "repository:tiny/alice/model:pull")
        assert response.status_code == 401, (name, why)
        assert why in response.json()["errors"][0]["message"]
        assert response["WWW-Authenticate"].startswith("Basic")
    assert Client().get("/registry/token", headers={"Authorization": "Basic %%%"}).status_code == 401
    assert Client().post("/registry/token").status_code == 405
    assert ask("alice", secret(alice.user), service="another").status_code == 400


def test_without_a_registry_there_are_no_tokens(alice: Participation, settings: Any) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = ""

    assert ask("alice", secret(alice.user)).status_code == 404


def _run(alice: Participation, **fields: Any) -> Run:
    submission = Submission.objects.create(
        participation=alice, phase=phase_of(alice.competition), kind="container",
        image=f"{HOST}/tiny/alice/model@{DIGEST}",
    )  # fmt: skip
    return run_make(submission, RunStatus.RUNNING, attempt=1, node=node_make(), **fields)


def test_a_node_pulls_what_its_attempt_needs_and_only_while_it_runs(alice: Participation) -> None:
    run = _run(alice)
    pull = run_pull(run=run)
    assert pull is not None
    assert pull.reference == f"{HOST}/tiny/alice/model@{DIGEST}"
    scopes = [f"repository:tiny/{name}:pull,push" for name in ("alice/model", "alice/other", "bob/model")]

    assert granted(ask(pull.username, pull.password, *scopes)) == {"tiny/alice/model": ["pull"]}

    Run.objects.filter(pk=run.pk).update(attempt=2)
    assert ask(pull.username, pull.password, *scopes).status_code == 401
    Run.objects.filter(pk=run.pk).update(attempt=1, status=RunStatus.SCORED)
    assert ask(pull.username, pull.password, *scopes).status_code == 401


def test_a_claim_tells_the_node_where_to_pull_from(alice: Participation, settings: Any) -> None:
    from touchstone.evaluations.services import run_claim

    settings.TOUCHSTONE_REGISTRY_PULL_HOST = "10.0.0.1:5000"
    run = _run(alice)
    node = node_make()
    Run.objects.filter(pk=run.pk).update(status=RunStatus.QUEUED, node=None, queued_at=now(), not_before=None)

    spec = run_claim(node=node, queue="cpu", kinds=["container"])

    assert isinstance(spec, RunSpec)
    assert spec.submission.pull is not None
    assert spec.submission.pull.reference == f"10.0.0.1:5000/tiny/alice/model@{DIGEST}"
    assert granted(ask("node", spec.submission.pull.password, "repository:tiny/alice/model:pull"))


def event(repository: str, *, action: str = "push", media_type: str = MANIFEST, **changes: Any) -> dict[str, Any]:
    target = {
        "repository": repository, "digest": DIGEST, "size": 7, "mediaType": media_type, "tag": "v1",
        "references": [{"digest": LAYER, "size": 100}, {"digest": CONFIG, "size": 20}],
    }  # fmt: skip
    return {"action": action, "timestamp": "2026-01-02T03:04:05.123456789Z", "target": target | changes}


def tell(events: Any, *, bearer: str = "") -> Any:
    return Client().post(
        "/registry/events", json.dumps(events), content_type="application/json",
        headers={"Authorization": f"Bearer {bearer or registry_keys().events_secret}"},
    )  # fmt: skip


def test_a_push_is_recorded_once_however_often_it_is_told(alice: Participation) -> None:
    told = {"events": [event("tiny/alice/model")]}

    assert [tell(told).json() for _ in range(3)] == [{"recorded": 1}] * 3

    found = PushedImage.objects.get()
    assert (found.participation, found.repository, found.digest) == (alice, "tiny/alice/model", DIGEST)
    assert (found.size, found.tag, found.pushed_at.isoformat()) == (127, "v1", "2026-01-02T03:04:05.123456+00:00")


def test_an_older_event_that_comes_late_moves_nothing_back(alice: Participation) -> None:
    tell({"events": [event("tiny/alice/model", tag="new")]})
    late = event("tiny/alice/model", tag="old") | {"timestamp": "2025-01-01T00:00:00Z"}
    tell({"events": [late]})

    assert PushedImage.objects.get().tag == "new"


@pytest.mark.parametrize(
    "told",
    [
        event("tiny/alice/model", action="pull"),
        event("tiny/alice/model", action="mount"),
        event("tiny/alice/model", media_type="application/octet-stream"),
        event("tiny/nobody/model"),
        event("elsewhere/alice/model"),
        event("library/debian"),
    ],
)
def test_what_is_no_push_of_a_participant_is_left_out(alice: Participation, told: dict[str, Any]) -> None:
    response = tell({"events": [told]})

    assert (response.status_code, response.json()) == (200, {"recorded": 0})
    assert not PushedImage.objects.exists()


@pytest.mark.parametrize("body", [[], {}, {"events": 7}, {"events": [7]}, {"events": [{"action": "push", "target": 1}]},
                                  {"events": [event("tiny/alice/model", size="x")]},
                                  {"events": [event("tiny/alice/model", references=[1])]}])  # fmt: skip
def test_nonsense_is_left_out_and_never_told_again(alice: Participation, body: Any) -> None:
    assert tell(body).status_code == 200
    assert not PushedImage.objects.exists()


def test_what_cannot_be_taken_keeps_nothing_else_from_being_taken(alice: Participation, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100  # not for this view
    bad = [
        7, event("tiny/alice/m", size=-1), event("tiny/alice/m", digest="x"), event("tiny/alice/m", mediaType=[]),
        event("tiny/alice/m", references=[{"digest": LAYER, "size": -5}]), event("tiny/alice/m", size=2**70),
        event("tiny/alice/m", references=[{"digest": LAYER, "size": 1}] * 600),
    ]  # fmt: skip

    assert tell({"events": [*bad, event("tiny/alice/model", tag="a\0b")]}).json() == {"recorded": 1}
    assert PushedImage.objects.get().repository == "tiny/alice/model"


def test_too_large_a_body_is_passed_over(alice: Participation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchstone.registry.views._MAX_EVENTS", 100)

    assert (tell({"events": [event("tiny/alice/model")]}).status_code, PushedImage.objects.count()) == (200, 0)


def used(alice: Participation) -> int:
    return charged(participation=alice)[0]


def blob(digest: str, size: int, action: str = "push") -> dict[str, Any]:
    return event("tiny/alice/model", action=action, media_type="application/octet-stream", digest=digest, size=size)


def test_the_quota_counts_what_the_registry_has_and_not_what_manifests_say(alice: Participation) -> None:
    lies = event("tiny/alice/model", references=[{"digest": LAYER, "size": 0}, {"digest": CONFIG, "size": 1}])

    tell({"events": [blob(LAYER, 5000), blob(CONFIG, 300, "mount")]})
    assert used(alice) == 5300  # without any manifest
    tell({"events": [lies, event("tiny/alice/model", digest=f"sha256:{'d' * 64}", references=[])]})

    assert used(alice) == 5314
    assert PushedImage.objects.get(digest=DIGEST).size == 5307


def test_what_no_event_told_of_is_asked_for(alice: Participation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "blob_size", lambda **asked: 9000 if asked["digest"] == LAYER else None)

    tell({"events": [event("tiny/alice/model", references=[{"digest": LAYER, "size": 0}])]})

    assert used(alice) == 9007


def test_removed_bytes_count_for_a_day_more(alice: Participation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "manifest_delete", lambda **_: None)
    other = event("tiny/alice/model", digest=f"sha256:{'d' * 64}", references=[{"digest": CONFIG, "size": 20}])
    tell({"events": [blob(LAYER, 5000), event("tiny/alice/model"), other]})
    before = used(alice)

    image_remove(participation=alice, image=f"{HOST}/tiny/alice/model@{DIGEST}")

    assert used(alice) == before
    monkeypatch.setattr("touchstone.registry.charges.now", lambda: now() + timedelta(days=2))
    assert used(alice) == 20 + 7
    tell({"events": [event("tiny/alice/model")]})
    assert used(alice) == before


def test_images_have_a_number(alice: Participation, settings: Any) -> None:
    settings.TOUCHSTONE_REGISTRY_IMAGES = 1
    tell({"events": [event("tiny/alice/model")]})

    found = granted(ask("alice", secret(alice.user), "repository:tiny/alice/model:push,pull"))

    assert found == {"tiny/alice/model": ["pull"]}


@pytest.mark.parametrize("how", ["renamed", "gone"])
def test_a_new_account_of_an_old_name_gets_none_of_its_images(alice: Participation, how: str) -> None:
    granted(ask("alice", secret(alice.user), "repository:tiny/alice/model:push"))
    User.objects.filter(pk=alice.user_id).update(username="alicia", email="alicia@example.org")
    if how == "gone":
        Namespace.objects.update(user=None)
    newcomer = participation_make(alice.competition, user_make("alice"), display_name="another").user
    own = f"tiny/user__{newcomer.pk}/model"

    found = granted(ask("alice", secret(newcomer), "repository:tiny/alice/model:pull,push", f"repository:{own}:push"))

    assert found == {own: ["push"]}


def test_events_of_strangers_are_refused(alice: Participation) -> None:
    assert tell({"events": [event("tiny/alice/model")]}, bearer="guess").status_code == 401
    assert not PushedImage.objects.exists()
