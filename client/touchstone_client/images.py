"""Which image a name means. The platform takes digests only: a tag may come to mean another image."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable

from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.types import PushedImage

_DIGEST = re.compile(r"(?:.+@)?sha256:[0-9a-f]{64}")
_SECONDS = 30


def image_digest(image: str) -> str:
    """`image` itself where it is a digest, else the id that the Docker engine of this machine has for the name.

    Raises `ClientError` (exit code 2) where it cannot be told.
    """
    if not image or _DIGEST.fullmatch(image):
        return image
    docker = shutil.which("docker")
    if docker is None:
        raise _unknown(image, "there is no docker command on this machine to ask for its digest")
    argv = [docker, "image", "inspect", "--format", "{{.Id}}", "--", image]
    try:
        asked = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise _unknown(image, f"docker did not answer within {_SECONDS} s") from error
    if asked.returncode:
        raise _unknown(image, asked.stderr.strip() or "docker does not know it")
    return asked.stdout.strip()


def is_registry_tag(image: str) -> bool:
    """Whether an image is named with a registry's host and without a digest."""
    host, slash, _ = image.partition("/")
    return bool(slash) and (host == "localhost" or "." in host or ":" in host) and not _DIGEST.fullmatch(image)


def pushed_digest(image: str, pushed: Iterable[PushedImage]) -> str:
    """The newest of the pushed images that has this `HOST/…/NAME[:TAG]`, by its digest. Raises `ClientError`."""
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = image, ""
    found = [item for item in pushed if item.image.partition("@")[0] == repository and (not tag or item.tag == tag)]
    if not found:
        raise _unknown(image, "you have pushed no image of that name to the platform's registry")
    return max(found, key=lambda item: item.pushed_at).image


def _unknown(image: str, why: str) -> ClientError:
    return ClientError(
        f"The image {image!r} cannot be named by its digest",
        why=why,
        hint="Give sha256:…, or save it with `docker save -o image.tar NAME` and submit image.tar.",
        code="image_unknown",
        exit_code=ExitCode.USAGE,
    )
