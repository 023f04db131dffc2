"""What an image says of itself, asked of its registry: no pod tells it before it runs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from runners.channel.bridging import PORT_LABEL
from runners.contract import IMAGE_PULL, ImagePull
from runners.engines import _limits
from runners.errors import RetryableError
from runners.spec.bundle import ArchiveError
from runners.spec.images import MAX_MANIFEST

_SECONDS = 30
#: Platforms of one image: each is looked at, for the cluster chooses.
_MOST = 32
#: Plain HTTP only where the registry is on this machine.
_HERE = re.compile(r"(localhost|127\.\d+\.\d+\.\d+)(:\d+)?")


def check(pull: ImagePull) -> None:
    """Look at an image before a cluster is asked to run it.

    Raises `ParticipantFault` where it declares volumes, and `RetryableError` where this engine cannot serve it or the
    registry does not tell.
    """
    try:
        for told in _configs(pull):
            _limits.refuse_volumes(told.get("Volumes") or ())
            if PORT_LABEL in (told.get("Labels") or {}):
                text = f"The Kubernetes engine runs no images with the label {PORT_LABEL}: they need a node with"
                raise RetryableError(f"{text} the docker engine.", code="no_bridge")
    except (OSError, HTTPException, ArchiveError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = f"{pull.reference}: this node cannot read from the registry what the image says of itself: {error!r}"
        raise RetryableError(f"{text}. It must reach the registry as the cluster does", code=IMAGE_PULL) from error


def _configs(pull: ImagePull) -> list[dict[str, Any]]:
    """The settings of an image for each platform that it is for."""
    # Later than at import: what only starts pods needs no intake.
    from runners.intake.registry_reader import RegistryReader

    place, _, digest = pull.reference.partition("@")
    host, _, repository = place.partition("/")
    url = f"{'http' if _HERE.fullmatch(host) else 'https'}://{host}"
    reader = RegistryReader(url, repository, _token(url, repository, pull))
    top = _content(reader.manifest(digest), digest)
    parts = top.get("manifests") or []
    if len(parts) > _MOST:
        raise ValueError(f"it is for {len(parts)} platforms")
    manifests = [_content(reader.manifest(part["digest"]), part["digest"]) for part in parts] or [top]
    wanted = [manifest["config"]["digest"] for manifest in manifests]
    return [_content(reader.blob(each), each).get("config") or {} for each in wanted]


def _content(blob: Any, digest: str) -> dict[str, Any]:
    with blob:
        raw: bytes = blob.read(MAX_MANIFEST + 1)
    if f"sha256:{hashlib.sha256(raw).hexdigest()}" != digest:
        raise ValueError(f"what it has as {digest} is something else, or too large")
    found: dict[str, Any] = json.loads(raw)
    return found


def _token(url: str, repository: str, pull: ImagePull) -> str:
    """A token for this repository, by the way that the registry names; empty where it wants none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/v2/", timeout=_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            challenge = error.headers.get("WWW-Authenticate", "")
            if error.code != 401 or not challenge.lower().startswith("bearer "):
                raise
    named = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urlencode({"service": named.get("service", ""), "scope": f"repository:{repository}:pull"})
    request = urllib.request.Request(f"{named['realm']}?{query}")  # noqa: S310 - as the platform's own registry says
    if pull.username:
        pair = base64.b64encode(f"{pull.username}:{pull.password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {pair}")
    with opener.open(request, timeout=_SECONDS) as answer:
        told = json.loads(answer.read(MAX_MANIFEST))
    return str(told.get("token") or told["access_token"])
