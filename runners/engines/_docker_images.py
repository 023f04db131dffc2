"""Taking participants' images into the engine: from a checked `docker save` archive, or from a registry."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from docker.errors import APIError

from docker import APIClient
from runners.engines import _image_cache
from runners.engines._docker_api import LOST, explain, is_node_fault, retried, settled
from runners.engines._docker_pull import pull as pull
from runners.engines._image_cache import used as used
from runners.errors import RetryableError, UserError
from runners.spec.bundle import ArchiveError

_LOADED = re.compile(r"Loaded image(?: ID)?: (\S+)")


def load(client: APIClient, archive: Path, *, limit: int) -> str:
    """Load an archive whose names were taken away; return the image's id, `sha256:…`.

    Raises `UserError` for an archive the engine refuses or an image above `limit` bytes unpacked, and
    `RetryableError` where the node cannot take it.
    """
    # Later than at import: a node that only scores files needs no intake.
    from runners.intake.images import rewrite_without_tags

    # Beside the archive: what a killed judge leaves there goes with the folder of its attempt.
    with tempfile.TemporaryDirectory(prefix=".image-", dir=archive.parent) as folder:
        nameless = Path(folder) / "image.tar"
        try:
            digest = rewrite_without_tags(archive, nameless)
        except ArchiveError as error:
            text = f"{archive.name} is not a sound image archive: {'; '.join(d.message for d in error.defects)}"
            raise UserError(text, hint="Make it with `docker save IMAGE -o FILE`.", code="image_refused") from error
        except OSError as error:
            raise RetryableError(f"the image cannot be copied on this node: {error}", code="node_disk") from error
        known = _has(client, digest)
        if not known:
            _image_cache.make_room(client)
        with nameless.open("rb") as file:
            messages = _send(client, file)
    image = _find(client, messages, archive.name)
    size = int(image["Size"])
    if size > limit:
        if not known:  # else it serves somebody else already
            client.remove_image(image["Id"], noprune=False)
        raise UserError(
            f"The image in {archive.name} has {size} bytes unpacked; {limit} are allowed.",
            hint="Build it from a smaller base, and in fewer layers.", code="image_too_large",
        )  # fmt: skip
    _image_cache.note_used(client, str(image["Id"]))
    return str(image["Id"])


def _has(client: APIClient, image: str) -> bool:
    return settled(lambda: client.inspect_image(image), fine=(404,)) is not None


def _send(client: APIClient, file: Any) -> str:
    try:
        said = "".join(str(part.get("stream", part.get("error", ""))) for part in client.load_image(file, quiet=True))
    except APIError as error:
        if is_node_fault(explain(error)):
            raise RetryableError(f"Docker cannot take the image: {explain(error)}", code="engine_load") from error
        raise UserError(
            f"Docker refuses the image: {explain(error)}",
            hint="Make it with `docker save IMAGE -o FILE`.",
            code="image_refused",
        ) from error
    except LOST as error:
        raise RetryableError(f"the Docker daemon does not answer: {error}", code="engine_gone") from error
    if is_node_fault(said):
        raise RetryableError(f"Docker cannot take the image: {said.strip()[:500]}", code="engine_load")
    return said


def _find(client: APIClient, messages: str, name: str) -> dict[str, Any]:
    loaded = _LOADED.findall(messages)
    if len(loaded) != 1:
        raise UserError(
            f"{name} holds {len(loaded)} images, one is expected. Docker said: {messages.strip()[:500] or 'nothing'}",
            hint="Make it with `docker save IMAGE -o FILE`.", code="image_refused",
        )  # fmt: skip
    if not loaded[0].startswith("sha256:"):
        raise RetryableError(f"the archive named its image {loaded[0]}; names must be taken away first")
    image: dict[str, Any] = retried(lambda: client.inspect_image(loaded[0]))
    return image
