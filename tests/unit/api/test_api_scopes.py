"""Every operation with every kind of token: what is refused for want of a scope, and what a limited token is told."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import get_resolver
from rest_framework.test import APIClient

from tests.factories.world import World, world
from tests.unit.api.api_helpers import client_for, problem
from tests.unit.api.bundle_maker import write_bundle, zip_of
from tests.unit.api.test_api_access import UNKNOWN, WALK, places
from touchstone.accounts.models import ApiToken
from touchstone.accounts.scopes import allows, competitions_of, knows, scope_parts
from touchstone.accounts.services import token_create
from touchstone.api.authentication import ANY, PUBLIC
from touchstone.core.errors import UserError
from touchstone.submissions.models import Submission, Upload

__all__ = ["places", "world"]
_V1 = "/api/v1"


@pytest.mark.parametrize(
    ("held", "needed", "competition", "answer"),
    [
        (["read"], "read", None, True),
        (["read"], "read", "a", True),
        (["read"], "submit", "a", False),
        (["submit"], "read", "a", False),
        (["submit"], "submit", None, True),
        (["submit:a"], "submit", "a", True),
        (["submit:a"], "submit", "b", False),
        (["submit:a"], "submit", None, False),
        (["submit:a"], "submit", "", False),
        (["submit:a"], "read", "a", True),
        (["submit:a"], "read", "b", False),
        (["submit:a"], "organise", "a", False),
        (["organise:a"], "organise", "a", True),
        (["organise:a"], "submit", "a", False),
        (["organise:a"], "read", "a", True),
        (["admin"], "read", "a", False),
        (["read", "submit", "organise"], "admin", None, False),
        (["admin"], "admin", None, True),
        (["admin:a", "read:a"], "admin", "a", False),
        ([], "read", "a", False),
    ],
)
def test_allows(held: list[str], needed: str, competition: str | None, answer: bool) -> None:
    assert allows(held, needed, competition) is answer


def test_scopes_are_read_exactly() -> None:
    assert scope_parts(scope="submit:a-1") == ("submit", "a-1")
    wrong = (
        "submit:",
        "submit:A",
        "submit:a/b",
        "submit:-a",
        "read:a",
        "admin:a",
        f"submit:{'a' * 65}",
        "submit:a\n",
        "",
    )
    assert [scope for scope in wrong if scope_parts(scope=scope)] == []
    assert competitions_of(["submit:a", "organise:b"], "read") == {"a", "b"}
    assert competitions_of(["read", "submit:a"], "read") is None
    assert not knows(["submit:a"], "b")
    assert knows(["organise"], None)


TOKENS = {
    "read": ["read"], "submit": ["submit"], "organise": ["organise"], "admin": ["admin"],
    "submit:here": ["submit:open-one"], "organise:here": ["organise:open-one"], "elsewhere": ["submit:secret-one"],
}  # fmt: skip


def _operations(places: dict[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """(method, address, scope, whether the address is of `open-one`) of every operation there is."""
    anything: defaultdict[str, str] = defaultdict(lambda: UNKNOWN)
    examples: dict[str, str] = {}
    for address in WALK:
        name = get_resolver().resolve(address.partition("?")[0].format_map(anything)).url_name
        examples.setdefault(str(name), address)
    patterns = next(p for p in get_resolver().url_patterns if getattr(p, "app_name", "") == "api").url_patterns
    for pattern in patterns:
        address = examples.get(pattern.name, "")  # an address without a row is a fault of test_api_access
        if not address:
            continue
        here = "/open-one" in address or "{run}" in address
        if getattr(pattern.callback.view_class, "tag", "") == "webhooks":
            continue  # one of two scopes, by whose they are: the view decides
        for method, scope in pattern.callback.view_class.scopes.items():
            yield method.lower(), address.format(**places), scope, here


#: What names no competition, and is of the token's own then.
OWN = {("post", f"{_V1}/uploads", "submit"), ("get", f"{_V1}/submissions", "read")}


def _expected(token: str, method: str, address: str, scope: str, here: bool) -> bool:
    """Whether the operation is open to the token. Said again here, and not with the function that decides."""
    if scope in (PUBLIC, ANY):
        return True
    if (method, address, scope) in OWN and (scope == "read" or token != "organise:here"):
        return ":" in token or token in (scope, "elsewhere")
    if token in ("submit:here", "organise:here"):
        return here and scope in ("read", token.partition(":")[0])
    return token == scope


def test_every_operation_with_every_kind_of_token(world: World, places: dict[str, Any]) -> None:
    user = world.participant
    # Rows, not services: who may give which scope is tested elsewhere.
    rows = {name: token_create(user=user, name=name, scopes=["read"]) for name in TOKENS}
    wrong, seen = [], 0
    for name, scopes in TOKENS.items():
        row, secret = rows[name]
        ApiToken.objects.filter(pk=row.pk).update(scopes=scopes)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        for method, address, scope, here in _operations(places):
            if (method, address) == ("post", f"{_V1}/competitions") and name.startswith("organise:"):
                continue  # what is in the bundle decides; see below
            answer = getattr(client, method)(address)
            refused = answer.status_code == 403 and not answer.streaming and answer.json()["code"] == "scope_missing"
            if answer.streaming:
                b"".join(answer.streaming_content)
            seen += 1
            if refused is _expected(name, method, address, scope, here):
                wrong.append(f"{method} {address} ({scope or 'public'}) with {name}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)
    assert seen > 300


def test_a_limited_token_is_told_of_no_other_competition(world: World) -> None:
    """The participant is in both; the token is for one."""
    client = client_for(world.participant, "submit:open-one")
    nobody = APIClient()
    assert client_for(world.participant, "read").get(f"{_V1}/competitions/secret-one").status_code == 200
    for path in ("secret-one", "secret-one/data/train/labels.csv", "secret-one/leaderboards/main/main", "sealed-one"):
        answers = [each.get(f"{_V1}/competitions/{path}") for each in (client, nobody)]
        bodies = [{**answer.json(), "request_id": ""} for answer in answers]
        assert bodies[0] == bodies[1], path
    assert [item["slug"] for item in client.get(f"{_V1}/competitions").json()["items"]] == ["open-one"]
    assert client.get(f"{_V1}/competitions/open-one").json()["joined"]
    problem(client.get(f"{_V1}/submissions?competition=secret-one"), 403, "scope_missing")


def test_its_lists_are_of_its_competition(world: World) -> None:
    def listed(*scopes: str) -> set[str]:
        body = client_for(world.participant, *scopes).get(f"{_V1}/submissions").json()
        return {item["competition"] for item in body["items"]}

    other = world.private.phases.get(slug="main")
    Submission.objects.create(
        participation=world.private.participations.get(members__user=world.participant), phase=other,
        sent_by=world.participant, kind="predictions", run=None,
    )  # fmt: skip
    run = world.run
    Submission.objects.filter(phase=other).update(run=None)
    run.pk = None
    run.submission = Submission.objects.get(phase=other)
    run.save(force_insert=True)
    Submission.objects.filter(phase=other).update(run=run)
    assert listed("read") == {"open-one", "secret-one"}
    assert listed("submit:open-one") == {"open-one"}
    problem(
        client_for(world.participant, "submit:open-one", "submit:secret-one").get(f"{_V1}/submissions"),
        403, "scope_missing",
    )  # fmt: skip


def _begin(client: APIClient, **changes: Any) -> Any:
    body = {"name": "p.csv", "size": 10, "sha256": "1" * 64, **changes}
    return client.post(f"{_V1}/uploads", json.dumps(body), content_type="application/json")


def test_uploads_of_a_limited_token_are_bound(world: World) -> None:
    client = client_for(world.participant, "submit:open-one")
    wide = _begin(client_for(world.participant, "submit")).json()["id"]
    made = _begin(client)
    assert made.status_code == 201
    bound = made.json()["id"]
    assert bound != wide
    assert _begin(client).json()["id"] == bound  # continued
    assert str(Upload.objects.get(pk=bound).competition) == "open-one"
    problem(client.get(f"{_V1}/uploads/{wide}"), 403, "scope_missing")
    assert client.get(f"{_V1}/uploads/{bound}").status_code == 200
    elsewhere = client_for(world.participant, "submit:secret-one")
    problem(elsewhere.get(f"{_V1}/uploads/{bound}"), 403, "scope_missing")
    problem(_begin(client, competition="secret-one"), 403, "scope_missing")
    limit = world.public.spec["submission"]["size"]
    assert _begin(client, size=limit, sha256="2" * 64).status_code == 201
    problem(_begin(client, size=limit + 1, sha256="3" * 64), 413, "too_large")
    several = client_for(world.participant, "submit:open-one", "submit:secret-one")
    problem(_begin(several), 403, "scope_missing")
    assert _begin(several, competition="secret-one").status_code == 201
    body = {"competition": "secret-one", "phase": "main", "kind": "predictions", "upload": bound}
    problem(elsewhere.post(f"{_V1}/submissions", body, format="json"), 404, "not_found")


def test_submitting_with_a_limited_token(world: World) -> None:
    client = client_for(world.participant, "submit:open-one")

    def send(slug: str) -> Any:
        body = {
            "competition": slug,
            "phase": "main",
            "kind": "predictions",
            "file": SimpleUploadedFile("p.csv", b"id\n"),
        }
        return client.post(f"{_V1}/submissions", body, format="multipart")

    problem(send("secret-one"), 403, "scope_missing")
    problem(send("none-such"), 403, "scope_missing")
    made = send("open-one")
    assert made.status_code == 201, made.content
    assert client.get(f"{_V1}/submissions/{made.json()['id']}").status_code == 200
    assert client.post(f"{_V1}/submissions/{made.json()['id']}/cancel").status_code == 200


@pytest.mark.django_db
def test_a_bundle_for_which_the_token_is_not(world: World, tmp_path: Any) -> None:
    """Its name stands in the bundle: it is refused there, and a new competition is not made either."""
    client = client_for(world.organiser, "organise:open-one")
    for slug in ("secret-one", "brand-new"):
        packed = SimpleUploadedFile("bundle.zip", zip_of(write_bundle(tmp_path / slug, slug=slug)))
        problem(client.post(f"{_V1}/competitions", {"bundle": packed}, format="multipart"), 403, "scope_missing")


def test_who_may_give_which_scope(world: World) -> None:
    for user, scope in (
        (world.participant, "admin"),
        (world.participant, "organise:open-one"),
        (world.stranger, "submit:secret-one"),
        (world.stranger, "submit:none-such"),
        (world.helper, "submit:Open-One"),
    ):
        with pytest.raises(UserError) as caught:
            token_create(user=user, name="x", scopes=[scope])
        assert "scopes" in caught.value.fields
    token_create(user=world.staff, name="x", scopes=["admin"])
    token_create(user=world.helper, name="x", scopes=["organise:open-one", "submit:open-one"])


def test_nodes_are_for_tokens_of_staff_that_say_so(world: World) -> None:
    assert client_for(world.staff, "admin").get(f"{_V1}/nodes").status_code == 200
    problem(client_for(world.staff, "read", "organise").get(f"{_V1}/nodes"), 403, "scope_missing")


def test_a_token_expires_by_itself_unless_one_says_otherwise(world: World) -> None:
    client = APIClient()
    client.force_login(world.participant)
    made = client.post(f"{_V1}/tokens", {"name": "a", "scopes": ["submit:open-one"]}, format="json").json()
    assert made["expires_at"]
    never = client.post(f"{_V1}/tokens", {"name": "b", "scopes": ["read"], "expires_at": None}, format="json").json()
    assert never["expires_at"] is None
