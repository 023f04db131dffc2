"""Words that server and node share about images in a registry: media types, and what a manifest lists."""

from __future__ import annotations

import re
from typing import Any

#: Manifests of one image, and lists of such (one for each platform).
IMAGE_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
INDEX_TYPES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
MANIFESTS = frozenset((*IMAGE_TYPES, *INDEX_TYPES))
ACCEPT = ", ".join((*IMAGE_TYPES, *INDEX_TYPES))
#: Bytes of a manifest; registries take no larger ones.
MAX_MANIFEST = 4 * 2**20
#: Name of the file that asks intake to look at an image in the registry rather than at the file itself.
PUSHED = "pushed-image.json"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_PARTS = 512


def manifest_parts(manifest: Any) -> list[dict[str, Any]]:
    """The descriptors in a manifest or an index. Raises `ValueError` where one has no digest or no size."""
    if not isinstance(manifest, dict):
        raise ValueError("it is not an object")
    lists = [manifest.get(key) or [] for key in ("layers", "manifests")]
    if not all(isinstance(each, list) for each in lists):
        raise ValueError("its parts are not a list")
    parts = [part for part in (manifest.get("config"), *lists[0], *lists[1]) if part is not None]
    if len(parts) > _MAX_PARTS:
        raise ValueError(f"it lists more than {_MAX_PARTS} parts")
    for part in parts:
        if not isinstance(part, dict) or not DIGEST.fullmatch(str(part.get("digest"))):
            raise ValueError("one of its parts has no sha256")
        if not isinstance(part.get("size"), int) or not 0 <= part["size"] < 2**40:
            raise ValueError("one of its parts has no size")
    return parts


def manifest_blobs(manifest: Any) -> dict[str, int]:
    """Digest → bytes of what a manifest lists. Raises `ValueError`."""
    return {part["digest"]: part["size"] for part in manifest_parts(manifest)}
