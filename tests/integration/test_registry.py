"""Images by the platform's own registry: the real docker client, the real registry, and a node that pulls."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit import Live, build_image, competition, ended, publish, remove_image, told
from registrykit import Docker, forget_pulled

from docker import APIClient
from runners.contract import ImagePull
from runners.engines import _docker_pull
from touchstone_client.errors import ClientError

pytestmark = pytest.mark.docker
SCORED = 'FROM touchstone/base:1\nCOPY main.py /app/main.py\nCMD ["python3", "/app/main.py"]\n'


@pytest.fixture(scope="module")
def host(docker_registry: str, docker_engine: str, live: Live) -> Iterator[str]:
    """The registry of the stack, as people write it. What was pulled from it goes at the end."""
    yield live.stack.registry_host
    forget_pulled(live.stack.registry_host)


@pytest.fixture(scope="module")
def slug(live: Live, host: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A competition that alice and bob joined; each test pushes images of other names."""
    made = publish(live, tmp_path_factory.mktemp("pushing"))
    for name in ("alice", "bob"):
        live.person(name).join(made, accept_terms=True)
    return made


@pytest.fixture
def alice(live: Live, docker_node: str, host: str, slug: str, tmp_path: Path) -> Iterator[Docker]:
    docker = Docker(tmp_path / "alice", host=host, username="alice", token=live.tokens["alice"])
    yield docker
    docker.forget()


def test_pushed_with_the_command_submitted_by_its_name_pulled_and_scored(
    live: Live, docker_node: str, host: str, slug: str, tmp_path: Path
) -> None:
    image = build_image(tmp_path / "image", SCORED)

    pushed = live.cli("image", "push", image, "--competition", slug, "--name", "right", token=live.tokens["alice"])

    assert pushed.returncode == 0, pushed.stderr
    name = pushed.stdout.strip()
    assert name.startswith(f"{host}/{slug}/alice/right@sha256:")
    assert f"touchstone submit {slug} --image {name}" in pushed.stderr
    listed = live.person("alice").image_place(slug)
    found = next(item for item in listed.items if item.image == name)
    assert 0 < found.size <= listed.used < listed.quota

    remove_image(image)  # the node has to get it from the registry
    done = live.cli("submit", f"{slug}/open", "--image", name, "--wait", "--json", token=live.tokens["alice"])

    assert done.returncode == 0, done.stdout + done.stderr
    body = json.loads(done.stdout)
    assert {item["key"]: item["value"] for item in body["results"]["items"]} == {"performance.accuracy": 1.0}
    assert body["submission"]["image"] == name
    with pytest.raises(ClientError, match="A submission of yours names this image") as caught:
        live.person("alice").image_remove(slug, name)
    assert caught.value.status == 409


def test_a_push_leaves_neither_names_nor_credentials(live: Live, host: str, slug: str, alice: Docker) -> None:
    alice.build("touchstone-test/left:1", {"a": b"left"})
    home = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    before = home.read_bytes() if home.exists() else None

    pushed = live.cli("image", "push", "touchstone-test/left:1", "-c", slug, token=live.tokens["alice"])

    assert pushed.returncode == 0, pushed.stderr
    assert (home.read_bytes() if home.exists() else None) == before
    assert live.tokens["alice"] not in pushed.stdout + pushed.stderr
    assert f"{host}/{slug}/alice/left" not in alice.run("image", "ls", "--format", "{{.Repository}}").stdout


def test_nobody_pushes_or_pulls_in_anothers_name(live: Live, host: str, slug: str, alice: Docker) -> None:
    for place in (f"{slug}/bob/model", f"{slug}/model", "elsewhere/alice/model", "touchstone/base"):
        target = f"{host}/{place}:1"
        alice.build(target, {"a": b"mine"})
        refused = alice.run("push", target)
        assert refused.returncode != 0
        assert "denied: requested access to the resource is denied" in refused.stdout, place
    alice.build(f"{host}/{slug}/alice/mine:1", {"a": b"mine"})
    digest, _ = alice.push(f"{host}/{slug}/alice/mine:1")
    bob = Docker(alice.folder / "bob", host=host, username="bob", token=live.tokens["bob"])
    refused = bob.run("pull", f"{host}/{slug}/alice/mine@{digest}")
    assert refused.returncode != 0
    assert "denied" in refused.stdout

    with pytest.raises(ClientError, match="not one of your images") as caught:
        live.person("bob").submit(slug, "open", kind="container", image=f"{host}/{slug}/alice/mine@{digest}")
    assert (caught.value.code, caught.value.status) == ("image_not_yours", 403)


@pytest.mark.parametrize("wrong", ["bad-password", "other-user"])
def test_a_wrong_sign_in_is_told_as_such(live: Live, host: str, slug: str, alice: Docker, wrong: str) -> None:
    password = "ts_0" if wrong == "bad-password" else live.tokens["bob"]

    done = alice.run("login", host, "--username", "alice", "--password-stdin", given=password)

    assert done.returncode != 0
    assert "unauthorized: user name and token do not fit" in done.stdout


def test_what_cannot_be_submitted_is_refused_with_the_reason(live: Live, host: str, slug: str) -> None:
    client, nothing = live.person("alice"), f"sha256:{'0' * 64}"
    cases = {
        f"{host}/{slug}/alice/model@{nothing}": ("image_unknown", "has no image"),
        f"ghcr.io/{slug}/alice/model@{nothing}": ("image_registry", f"the platform's own registry is {host}"),
        f"{host}/touchstone/base@{nothing}": ("image_not_yours", "not one of your images"),
    }
    for image, (code, text) in cases.items():
        with pytest.raises(ClientError, match=text) as caught:
            client.submit(slug, "open", kind="container", image=image)
        assert caught.value.code == code


def test_a_tag_that_was_pushed_again_moves_no_submission(live: Live, host: str, slug: str, alice: Docker) -> None:
    target = f"{host}/{slug}/alice/model:v1"
    first = alice.build(target, {"a": b"first"})
    old, _ = alice.push(target)
    second = alice.build(target, {"a": b"second"})
    new, _ = alice.push(target)
    alice.forget()
    alice.run("image", "rm", "--force", first, second)

    assert old != new
    assert _pull(live, f"{host}/{slug}/alice/model@{old}")[0] == first
    assert _pull(live, f"{host}/{slug}/alice/model@{new}")[0] == second
    alice.made += [first, second]
    client = live.person("alice")
    assert client.image_named(slug, target) == f"{host}/{slug}/alice/model@{new}"


def _pull(live: Live, reference: str, *, user: str = "alice") -> tuple[str, list[dict[str, Any]]]:
    """Pull as a node does; the image's id and what the daemon said."""
    said: list[dict[str, Any]] = []
    client = APIClient()
    try:
        pull = ImagePull(reference=reference, username=user, password=live.tokens[user])
        return _docker_pull.pull(client, pull, limit=2**33, said=said.append), said
    finally:
        client.close()


def _count(said: list[dict[str, Any]], status: str) -> int:
    return len({part["id"] for part in said if part.get("status") == status})


def test_a_layer_is_pushed_once_and_pulled_once(live: Live, host: str, slug: str, alice: Docker) -> None:
    shared, names = os.urandom(2**20), [f"{host}/{slug}/alice/{name}" for name in ("one", "two")]
    ids = [
        alice.build(f"{name}:1", {"shared": shared, "own": name.encode(), "more": name.encode() * 2}) for name in names
    ]
    digests, said = zip(*(alice.push(f"{name}:1") for name in names), strict=True)
    assert (said[0].count(": Pushed"), said[1].count(": Pushed")) == (3, 2)
    assert f": Mounted from {slug}/alice/one" in said[1]
    _, again = alice.push(f"{names[1]}:1")
    assert (again.count(": Pushed"), again.count(": Layer already exists")) == (0, 3)
    alice.forget()
    alice.run("image", "rm", "--force", *ids)

    references = [f"{name}@{digest}" for name, digest in zip(names, digests, strict=True)]
    first, second, third = [_pull(live, references[at]) for at in (0, 1, 1)]

    alice.made += ids
    assert [first[0], second[0], third[0]] == [ids[0], ids[1], ids[1]]
    assert (_count(first[1], "Pull complete"), _count(first[1], "Already exists")) == (3, 0)
    assert (_count(second[1], "Pull complete"), _count(second[1], "Already exists")) == (2, 1)
    assert third[1] == [], "an image that is here is not asked for again"


def test_an_event_that_comes_twice_is_recorded_once(live: Live, host: str, slug: str, alice: Docker) -> None:
    target = f"{host}/{slug}/alice/event:1"
    alice.build(target, {"a": b"event"})
    digest, _ = alice.push(target)
    parts = {"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": digest, "size": 5}
    event = {"action": "push", "target": {**parts, "repository": f"{slug}/alice/event", "tag": "1"}}
    secret = (live.stack.var / "secrets" / "registry" / "events-secret").read_text()

    answers = [_events(live, [event, event], secret) for _ in range(2)]

    assert answers == [(200, {"recorded": 2})] * 2
    assert _events(live, [event], "wrong")[0] == 401
    listed = live.person("alice").image_place(slug).items
    assert [item.image for item in listed if "/event@" in item.image] == [f"{host}/{slug}/alice/event@{digest}"]


def _events(live: Live, events: list[dict[str, Any]], secret: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", live.stack.port, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        connection.request("POST", "/registry/events", json.dumps({"events": events}), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_intake_refuses_a_pushed_image_with_the_reason(live: Live, host: str, tmp_path: Path) -> None:
    spec = competition()
    spec["submission"]["root_images"] = False
    spec["submission"]["resources"]["image"] = "1MiB"
    slug = publish(live, tmp_path, spec)
    client = live.person("alice")
    client.join(slug, accept_terms=True)
    alice = Docker(tmp_path / "alice", host=host, username="alice", token=live.tokens["alice"])
    cases = {
        "root": ({"a": b"a"}, "", "user is root"),
        "volume": ({"a": b"a"}, "USER 65534\nVOLUME /data\n", "declares volumes"),
        "large": ({"a": os.urandom(2**21)}, "USER 65534\n", "unpacks to more than 1,048,576 bytes"),
    }
    try:
        for name, (files, config, text) in cases.items():
            alice.build(f"{host}/{slug}/alice/{name}:1", files, config=config)
            digest, _ = alice.push(f"{host}/{slug}/alice/{name}:1")
            sent = client.submit(slug, "open", kind="container", image=f"{host}/{slug}/alice/{name}@{digest}")
            done = ended(client, sent)
            assert done.status == "rejected", told(done)
            assert text in told(done)
    finally:
        alice.forget()
    assert client.quota(slug, "open").used_total == 0


def test_an_image_nobody_submitted_can_be_removed(live: Live, host: str, slug: str, alice: Docker) -> None:
    target = f"{host}/{slug}/alice/gone:1"
    alice.build(target, {"a": b"gone"})
    digest, _ = alice.push(target)
    name = f"{host}/{slug}/alice/gone@{digest}"
    client = live.person("alice")

    removed = live.cli("image", "remove", name, token=live.tokens["alice"])

    assert removed.returncode == 0, removed.stderr
    assert name not in {item.image for item in client.image_place(slug).items}
    assert "manifest unknown" in alice.run("pull", name).stdout
    with pytest.raises(ClientError, match="You have no image"):
        client.image_remove(slug, name)
