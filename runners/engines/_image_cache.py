"""Which of the engine's images are participants', when each was last used, and which go when they are too many.

An image is a participant's if this node took it in: a file in the node's folder says so, holds what its layers weigh,
and its time says when it was used last. An image with a name is somebody's own and never touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import APIClient
from runners.engines._docker_api import settled
from runners.spec.values import parse_size

#: What participants' images may take together, and the free bytes that they leave to everything else on the disk.
DEFAULT_SIZE = 40 * 2**30
ROOM = 32 * 2**30
#: An image that was taken in so lately may be about to be started.
FRESH_SECONDS = 120.0
_ID = re.compile(r"sha256:([0-9a-f]{64})")
_GONE, _CONFLICT = 404, 409
_LOCK = ".lock"


@dataclass(frozen=True)
class _Kept:
    """One participant's image. `layers`: bytes of each, by a name that images share if they share the layer."""

    image: str
    used: float
    layers: dict[str, int]


def cache_size() -> int:
    """Bytes, from TOUCHSTONE_IMAGE_CACHE_SIZE (`40GiB`)."""
    return int(str(parse_size(os.environ.get("TOUCHSTONE_IMAGE_CACHE_SIZE") or DEFAULT_SIZE)))


def note_used(client: APIClient, image: str) -> None:
    """Remember that a participant's image was used now."""
    match = _ID.fullmatch(image)
    if match is None:
        return
    with _locked():  # else a sweeper may remove the image between the look and the note
        found = settled(lambda: client.inspect_image(image), fine=(_GONE,))
        if found is None:
            return
        mark = _folder() / match[1]
        if not mark.exists():
            partial = mark.with_name(f".{mark.name}")
            partial.write_text(json.dumps(_layers(client, found)))
            partial.replace(mark)
        os.utime(mark)


def used(client: APIClient, image: str) -> None:
    """A run of a participant's image is over: note it, and remove what there is no room for."""
    note_used(client, image)
    make_room(client, idle=image)


def make_room(client: APIClient, *, idle: str = "") -> list[str]:
    """Remove participants' images, the one used longest ago first, until the rest fits; returns the ids that went.

    Where the disk is short of room none is kept. One that is in use stays, and one that was used in the last two
    minutes, unless it is `idle`.
    """
    removed = []
    with _locked():
        kept = _all_kept()
        cap = cache_size() if _has_room(client) else 0
        for each in sorted(kept, key=lambda one: (one.used, one.image)):
            if _size(kept) <= cap:
                break
            if each.image != idle and time.time() - each.used < FRESH_SECONDS:
                continue
            if _remove(client, each.image):
                removed.append(each.image)
            kept.remove(each)  # what stays in spite of us is not ours to count
    return removed


def forget(client: APIClient, image: str) -> None:
    """Remove an image that was refused, unless it serves somebody else already."""
    with _locked():
        if not (_folder() / image.removeprefix("sha256:")).exists():
            _remove(client, image)


def _remove(client: APIClient, image: str) -> bool:
    """Remove an image by all the digests it is known by; False where it stays: it has a name, or is in use."""
    mark = _folder() / image.removeprefix("sha256:")
    found = settled(lambda: client.inspect_image(image), fine=(_GONE,))
    if found is not None:
        if found.get("RepoTags"):
            return False
        for reference in [*(found.get("RepoDigests") or []), image]:
            _untag(client, reference)
        if settled(lambda: client.inspect_image(image), fine=(_GONE,)) is not None:
            return False
    mark.unlink(missing_ok=True)
    return found is not None


def _untag(client: APIClient, reference: str) -> None:
    settled(lambda: client.remove_image(reference, noprune=False), fine=(_GONE, _CONFLICT))


def _layers(client: APIClient, found: dict[str, Any]) -> dict[str, int]:
    """Bytes of each layer, named by itself and all below it: images that have it so share it on the disk."""
    digests = (found.get("RootFS") or {}).get("Layers") or []
    history = settled(lambda: client.history(found["Id"]), fine=(_GONE,)) or []
    sizes = [int(step["Size"]) for step in reversed(history) if step["Size"]]
    if len(sizes) != len(digests):  # an empty layer: the steps do not tell which is which
        return {str(found["Id"]): int(found["Size"])}
    names, chain = [], hashlib.sha256()
    for digest in digests:
        chain.update(str(digest).encode())
        names.append(chain.hexdigest())
    return dict(zip(names, sizes, strict=True))


def _all_kept() -> list[_Kept]:
    found = []
    for mark in _folder().iterdir():
        if _ID.fullmatch(f"sha256:{mark.name}"):
            layers = {str(name): int(size) for name, size in json.loads(mark.read_text()).items()}
            found.append(_Kept(f"sha256:{mark.name}", mark.stat().st_mtime, layers))
    return found


def _size(kept: list[_Kept]) -> int:
    """Bytes on the disk; what images share counts once."""
    layers: dict[str, int] = {}
    for each in kept:
        layers |= each.layers
    return sum(layers.values())


def _has_room(client: APIClient) -> bool:
    """Whether the daemon's disk has room for images to keep; unknown for a daemon on another host: then it has not."""
    root = Path(str(settled(client.info, fine=()).get("DockerRootDir", "")))
    return root.is_dir() and shutil.disk_usage(root).free >= ROOM


def _folder() -> Path:
    folder = Path(os.environ.get("TOUCHSTONE_NODE_DIR") or "var/node").resolve() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _locked() -> Iterator[None]:
    """One at a time looks and acts, of all processes and threads of the node. Never twice: it would wait for itself."""
    with (_folder() / _LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
