"""A push uses this machine's docker with a credential of its own, and leaves nothing behind."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.images import is_registry_tag, pushed_digest
from touchstone_client.pushing import default_name, push_image
from touchstone_client.types import ImagePlace, PushedImage

ID, DIGEST = f"sha256:{'b' * 64}", f"sha256:{'a' * 64}"
HOST = "registry.test:5000"
PLACE = ImagePlace(HOST, f"{HOST}/tiny/alice", "", 0, 10, ())
PUSHED = f'echo "abc: Pushed"; echo "bbb: digest: {DIGEST} size: 944"'


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A `docker` that writes down how it is called, and does `push` on a push; gives that record."""
    record = tmp_path / "record"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin:/usr/bin")
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def put(push: str = PUSHED, inspect: str = f"echo {ID}") -> Path:
        program = tmp_path / "docker"
        program.write_text(
            f'#!/bin/sh\necho "$*" >> {record}\n'
            'case "$1 $2" in\n'
            f'"image inspect") {inspect};;\n'
            '"context inspect") echo unix:///run/mine.sock;;\n'
            f'"push "*) cp "$DOCKER_CONFIG/config.json" {record}.config; echo "$DOCKER_CONFIG" > {record}.folder\n'
            f'echo "$DOCKER_HOST" > {record}.host; {push};;\nesac\n'
        )
        program.chmod(0o755)
        return record

    return put


def test_why_the_push_failed_is_told_even_where_untagging_fails_too(docker, tmp_path: Path) -> None:
    docker(push="echo denied: no quota left; exit 1")
    program = tmp_path / "docker"
    program.write_text(program.read_text().replace("esac", '"image rm") echo no such image >&2; exit 1;;\nesac'))

    with pytest.raises(ClientError) as caught:
        push()

    assert "no quota left" in caught.value.why


def push(local: str = "mine/model:1", *, place: ImagePlace = PLACE, name: str = "") -> tuple[str, list[str]]:
    said: list[str] = []
    return push_image(local, place=place, username="alice", token="ts_secret", name=name, say=said.append), said


def test_the_image_is_named_pushed_and_unnamed(docker) -> None:
    record = docker()

    found, said = push()

    target = f"{HOST}/tiny/alice/model:{'b' * 12}"
    assert found == f"{HOST}/tiny/alice/model@{DIGEST}"
    assert said[0] == "abc: Pushed"
    calls = record.read_text().splitlines()
    assert [f"image tag {ID} {target}", f"push {target}", f"image rm --no-prune {target}"] == calls[2:]


def test_the_credential_lives_as_long_as_the_push(docker) -> None:
    record = docker()

    push()

    held = json.loads(Path(f"{record}.config").read_text())
    assert held == {"auths": {HOST: {"auth": base64.b64encode(b"alice:ts_secret").decode()}}}
    assert not Path(Path(f"{record}.folder").read_text().strip()).exists()
    assert "ts_secret" not in record.read_text()
    assert Path(f"{record}.host").read_text().strip() == "unix:///run/mine.sock"


@pytest.mark.parametrize("fault", ["echo denied: requested access; exit 1", "echo no digest here"])
def test_a_push_that_failed_says_why_and_leaves_no_name(docker, fault: str) -> None:
    record = docker(fault)

    with pytest.raises(ClientError) as caught:
        push()

    assert caught.value.code == "push"
    assert caught.value.why in fault
    assert record.read_text().splitlines()[-1].startswith("image rm")
    assert not Path(Path(f"{record}.folder").read_text().strip()).exists()


def test_an_image_that_docker_does_not_know(docker) -> None:
    docker(inspect="echo No such image >&2; exit 1")

    with pytest.raises(ClientError, match="no image 'mine/model:1'") as caught:
        push()
    assert "No such image" in caught.value.why


def test_without_docker_archives_are_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ClientError) as caught:
        push()
    assert "docker save" in caught.value.hint


def test_nothing_is_pushed_where_the_server_says_no(docker) -> None:
    record = docker()

    with pytest.raises(ClientError) as caught:
        push(place=ImagePlace("", "", "This installation has no registry.", 0, 0, ()))

    assert (caught.value.why, caught.value.exit_code) == (
        "This installation has no registry.",
        ExitCode.QUOTA_OR_CLOSED,
    )
    assert not record.exists()


@pytest.mark.parametrize(
    ("local", "name"),
    [("model", "model"), ("a/b/My-Model:1", "my-model"), ("localhost:5000/x", "x"), (ID, "model"), ("x@" + ID, "x"),
     ("a/_b", "model")],
)  # fmt: skip
def test_the_name_comes_from_the_images_own(local: str, name: str) -> None:
    assert default_name(local) == name


def test_a_bad_name_is_the_users_to_mend(docker) -> None:
    docker()
    with pytest.raises(ClientError) as caught:
        push(name="Bad/Name")
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("image", "expected"),
    [("model:1", False), ("team/model", False), (f"{HOST}/a/b/c@{DIGEST}", False), (f"{HOST}/a/b/c:1", True),
     ("localhost/a/b/c", True), ("ghcr.io/a/b", True), (DIGEST, False)],
)  # fmt: skip
def test_which_names_the_server_is_asked_about(image: str, expected: bool) -> None:
    assert is_registry_tag(image) is expected


def test_a_tag_means_what_was_pushed_under_it_last() -> None:
    name = f"{HOST}/tiny/alice/model"
    items = [
        PushedImage(f"{name}@sha256:{n}", tag, 1, datetime(2026, 1, n, tzinfo=UTC))
        for n, tag in ((1, "v1"), (3, "v2"), (2, "v1"))
    ]
    assert pushed_digest(f"{name}:v1", items) == f"{name}@sha256:2"
    assert pushed_digest(name, items) == f"{name}@sha256:3"
    for unknown in (f"{name}:v3", f"{HOST}/tiny/alice/other", f"{HOST}/tiny/bob/model:v1"):
        with pytest.raises(ClientError, match="cannot be named by its digest"):
            pushed_digest(unknown, items)
