"""Pulling a participant's image from a registry, by digest and with a key for this one pull."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docker.errors import APIError

from docker import APIClient
from runners.contract import IMAGE_PULL, ImagePull
from runners.engines import _image_cache
from runners.engines._docker_api import LOST, explain, is_node_fault, settled
from runners.errors import RetryableError, UserError

#: What the daemon says of an image that is broken itself; everything else is the registry's or the node's fault.
_IMAGE_FAULTS = (
    "filesystem layer verification failed", "layers from manifest don't match image configuration",
    "image operating system", "cannot be used on this platform", "no matching manifest", "unsupported media type",
    "invalid tar header", "unexpected eof while untarring", "breakout", "unsupported manifest",
    "failed to register layer",
    "error processing tar", "archive/tar", "failed to extract layer", "failed to unpack", "error unpacking",
    "applylayer", "gzip: invalid", "flate: corrupt", "unexpected commit digest", "wrong diff id",
)  # fmt: skip
#: Trouble of the node while it unpacks a good image, in words that starting a sandbox does not know.
_NODE_FAULTS = (
    "cannot allocate memory", "structure needs cleaning", "too many open files", "connection reset", "i/o timeout",
)  # fmt: skip
_HINT = "Push the image again with the same Docker that runs it for you, and submit the digest it prints."


def pull(
    client: APIClient, pull: ImagePull, *, limit: int, said: Callable[[dict[str, Any]], None] | None = None
) -> str:
    """Take the image that a registry has under this digest; return its id, `sha256:…`.

    An image that is here already is not asked for again, and a layer that is here is not sent again. `said` gets what
    the daemon tells while it pulls.

    Raises `UserError` for an image that the engine refuses or that has above `limit` bytes unpacked, and
    `RetryableError` where registry, key or node fail.
    """
    found = _find(client, pull.reference)
    if found is None:
        _image_cache.make_room(client)
        _pull(client, pull, said)
        found = _find(client, pull.reference)
        if found is None or pull.reference not in (found.get("RepoDigests") or []):
            text = f"the engine pulled another image than {pull.reference}"
            raise RetryableError(text, code=IMAGE_PULL)
    image, size = str(found["Id"]), int(found["Size"])
    if size > limit:
        _image_cache.forget(client, image)
        raise UserError(
            f"The image has {size} bytes unpacked; {limit} are allowed.",
            hint="Build it from a smaller base, and in fewer layers.", code="image_too_large",
        )  # fmt: skip
    _image_cache.note_used(client, image)
    return image


def _find(client: APIClient, reference: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = settled(lambda: client.inspect_image(reference), fine=(404,))
    return found


def _pull(client: APIClient, pull: ImagePull, said: Callable[[dict[str, Any]], None] | None) -> None:
    repository, _, digest = pull.reference.partition("@")
    # An empty name is given too: else the daemon would be sent whatever this user is logged in with.
    auth = {"username": pull.username, "password": pull.password}
    try:
        for part in client.pull(repository, tag=digest, auth_config=auth, stream=True, decode=True):
            if said is not None:
                said(part)
            if "error" in part:
                raise _fault(str(part["error"]), pull)
    except APIError as error:
        raise _fault(explain(error), pull) from error
    except LOST as error:
        raise RetryableError(f"the Docker daemon does not answer: {error}", code="engine_gone") from error


def _fault(text: str, pull: ImagePull) -> Exception:
    told = text.lower()
    at_node = is_node_fault(told) or any(words in told for words in _NODE_FAULTS)
    if not at_node and any(words in told for words in _IMAGE_FAULTS):
        return UserError(f"Docker refuses the image: {text[:500]}", hint=_HINT, code="image_refused")
    return RetryableError(f"{pull.reference} cannot be pulled: {text[:500]}", code=IMAGE_PULL)
