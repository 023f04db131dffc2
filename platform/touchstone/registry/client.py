"""The server's own questions to the registry: is a manifest there, and what does it weigh?"""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from django.utils.translation import gettext as _

from runners.spec.images import ACCEPT, MAX_MANIFEST, manifest_blobs
from touchstone.core.errors import UserError
from touchstone.registry.offer import platform_token, registry_keys, registry_url

_SECONDS = 10


@dataclass(frozen=True)
class Manifest:
    """A manifest as it is stored. `blobs`: digest → bytes of all parts, itself included."""

    media_type: str
    blobs: dict[str, int]


def manifest_get(*, repository: str, digest: str) -> Manifest | None:
    """The manifest of that digest, or None where the registry has none. Raises `UserError` (503) where it is away."""
    request = _request("GET", repository, digest, platform_token(repository=repository))
    request.add_header("Accept", ACCEPT)
    answer = _send(request)
    if answer is None:
        return None
    media_type, raw = answer
    if f"sha256:{hashlib.sha256(raw).hexdigest()}" != digest:
        raise _away("it sent another manifest than the one it was asked for")
    try:
        return Manifest(media_type, manifest_blobs(json.loads(raw)) | {digest: len(raw)})
    except ValueError as error:
        raise _away(f"it sent a manifest that cannot be read: {error}") from error


def blob_size(*, repository: str, digest: str) -> int | None:
    """Bytes of a blob as the registry stores it; None where it has none. Raises `UserError` (503) as above."""
    request = _request("HEAD", repository, digest, platform_token(repository=repository), kind="blobs")
    try:
        with _open(request) as response:
            length = str(response.headers.get("Content-Length") or "")
    except _Missing:
        return None
    return int(length) if length.isdecimal() and len(length) < 13 else None


def manifest_delete(*, repository: str, digest: str) -> None:
    """Forget a manifest. Its layers go with the next garbage collection. One that is gone already is no error."""
    access = [{"type": "repository", "name": repository, "actions": ["pull", "delete"]}]
    token = registry_keys().token(subject="platform", access=access, seconds=60)
    _send(_request("DELETE", repository, digest, token))


def _request(method: str, repository: str, digest: str, token: str, kind: str = "manifests") -> urllib.request.Request:
    url = f"{registry_url()}/v2/{repository}/{kind}/{digest}"
    request = urllib.request.Request(url, method=method)  # noqa: S310 - the operator's own address
    request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


class _Missing(Exception):
    """The registry has no such thing."""


def _send(request: urllib.request.Request) -> tuple[str, bytes] | None:
    try:
        with _open(request) as response:
            raw = response.read(MAX_MANIFEST + 1)
            if len(raw) > MAX_MANIFEST:
                raise _away(f"it sent a manifest of more than {MAX_MANIFEST} bytes")
            return str(response.headers.get_content_type()), raw
    except _Missing:
        return None


@contextmanager
def _open(request: urllib.request.Request) -> Iterator[Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_SECONDS) as response:
            yield response
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                raise _Missing from error
            raise _away(f"it answered {error.code}") from error
    except (OSError, HTTPException) as error:
        raise _away(str(error)) from error


def _away(why: str) -> UserError:
    return UserError(
        _("The platform's registry cannot be asked for this image: %(why)s.") % {"why": why},
        _("Try again in a minute; your image is still there."), "registry_away", 503,
    )  # fmt: skip
