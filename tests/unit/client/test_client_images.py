"""An image is submitted by digest; a name is looked up in the engine here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.images import image_digest

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a `docker` on PATH that does as told."""

    def put(script: str) -> None:
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin:/usr/bin")

    return put


@pytest.mark.parametrize("image", ["", DIGEST, f"registry.test/team/model@{DIGEST}"])
def test_a_digest_stays_as_it_is(image: str) -> None:
    assert image_digest(image) == image


def test_a_name_is_looked_up(docker) -> None:
    docker(f'[ "$1 $2 $5 $6" = "image inspect -- team/model:1" ] && echo {DIGEST}')

    assert image_digest("team/model:1") == DIGEST


def test_an_unknown_name_is_the_users_to_mend(docker) -> None:
    docker("echo 'No such image: x' >&2; exit 1")

    with pytest.raises(ClientError, match="No such image: x") as caught:
        image_digest("x")

    assert caught.value.exit_code == ExitCode.USAGE
    assert "docker save" in caught.value.hint


def test_without_docker_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ClientError, match="no docker command"):
        image_digest("team/model:1")
