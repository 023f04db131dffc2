"""Pushing an image with this machine's own `docker`, without leaving a credential or a name behind."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.types import ImagePlace

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")
_SECONDS = 60


def default_name(local: str) -> str:
    """The name that an image gets in the registry: the last part of its own, without host and tag."""
    last = local.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()
    return last if _NAME.fullmatch(last) and local.partition(":")[0] != "sha256" else "model"


def push_image(
    local: str, *, place: ImagePlace, username: str, token: str, name: str = "", say: Callable[[str], None]
) -> str:
    """Tag, push and untag `local` (a name or id that Docker here knows); returns its name by digest, to submit.

    `say` gets what Docker says meanwhile. Raises `ClientError`.
    """
    if place.why_not:
        raise _failed("Nothing can be pushed now", place.why_not, "", "cannot_push", ExitCode.QUOTA_OR_CLOSED)
    name = name or default_name(local)
    if not _NAME.fullmatch(name):
        why = "a name has small letters and digits, and between them . _ or -"
        raise _failed(f"{name!r} is no name for an image", why, "Choose another with --name.", "name", ExitCode.USAGE)
    docker = shutil.which("docker")
    if docker is None:
        why = "there is no docker command on this machine"
        hint = "Submit an archive instead: `docker save IMAGE -o image.tar` where Docker is."
        raise _failed("The image cannot be pushed", why, hint, "no_docker", ExitCode.USAGE)
    image = _inspect(docker, local)
    target = f"{place.prefix}/{name}:{image.removeprefix('sha256:')[:12]}"
    with _docker_config(docker, place.host, username, token) as environment:
        _run([docker, "image", "tag", image, target], environment, f"{local} cannot be tagged")
        try:
            digest = _push([docker, "push", target], environment, say)
        finally:
            # A name that stays is no harm; and why the push failed is what one must read.
            with suppress(ClientError, OSError):
                _run([docker, "image", "rm", "--no-prune", target], environment, f"{target} cannot be untagged")
    return f"{place.prefix}/{name}@{digest}"


def _inspect(docker: str, local: str) -> str:
    argv = [docker, "image", "inspect", "--format", "{{.Id}}", "--", local]
    return _run(argv, os.environ, f"Docker here has no image {local!r}").strip()


@contextmanager
def _docker_config(docker: str, host: str, username: str, token: str) -> Iterator[Mapping[str, str]]:
    """An environment in which Docker knows this one credential, and still talks to the same engine."""
    key = base64.b64encode(f"{username}:{token}".encode()).decode()
    with tempfile.TemporaryDirectory(prefix="touchstone-docker-") as folder:  # only this user can open it
        file = Path(folder) / "config.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps({"auths": {host: {"auth": key}}}), encoding="utf-8")
        environment = {**os.environ, "DOCKER_CONFIG": folder}
        if not os.environ.get("DOCKER_HOST"):
            endpoint = _endpoint(docker)
            environment |= {"DOCKER_HOST": endpoint} if endpoint else {}
        environment.pop("DOCKER_CONTEXT", None)
        yield environment


def _endpoint(docker: str) -> str:
    """Where the chosen context's engine is: contexts are kept in the configuration that we do without."""
    argv = [docker, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    asked = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _run(argv: list[str], environment: Mapping[str, str], what: str) -> str:
    try:
        done = subprocess.run(
            argv, env=dict(environment), capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(what, f"docker did not answer within {_SECONDS} s", "Is the Docker engine well?") from error
    if done.returncode:
        raise _failed(what, done.stderr.strip() or "docker said nothing", "See `docker image ls`.")
    return done.stdout


def _push(argv: list[str], environment: Mapping[str, str], say: Callable[[str], None]) -> str:
    """Push, telling each step; returns the digest."""
    digest, last = "", ""
    process = subprocess.Popen(
        argv, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.strip() or last
            found = _DIGEST.search(line)
            digest = found[1] if found else digest
            say(line.rstrip())
    if process.returncode or not digest:
        hint = "denied: your token needs the scope submit, the competition an open phase, and you some quota left."
        raise _failed("The image was not pushed", last or f"docker ended with {process.returncode}", hint, "push")
    return digest


def _failed(
    what: str, why: str, hint: str, code: str = "docker", exit_code: ExitCode = ExitCode.UNEXPECTED
) -> ClientError:
    return ClientError(what, why=why, hint=hint, code=code, exit_code=exit_code)
