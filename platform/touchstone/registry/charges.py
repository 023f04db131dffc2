"""What a participant's images take in the registry: bytes as the registry itself counts them, not as manifests say."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import structlog
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Greatest

from runners.spec.images import DIGEST
from touchstone.competitions.models import Participation
from touchstone.core.clock import now
from touchstone.core.errors import UserError
from touchstone.registry import client
from touchstone.registry.models import PushedBlob, PushedImage

log = structlog.get_logger(__name__)

#: How long bytes count that no image holds: the registry keeps them until its next garbage collection.
KEPT = timedelta(days=1)
_MOST = 2**40


def charged(*, participation: Participation) -> tuple[int, int]:
    """Bytes and number of the blobs that count for a participant now."""
    counted = Q(charged_until=None) | Q(charged_until__gt=now())
    found = PushedBlob.objects.filter(counted, participation=participation).aggregate(size=Sum("size"), n=Count("pk"))
    return int(found["size"] or 0), int(found["n"])


def size_checked(*, size: Any) -> int:
    """A size that can be one. Raises `ValueError`."""
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _MOST:
        raise ValueError(f"{str(size)[:40]!r} is no size")
    return size


def blob_charge(*, participation: Participation, digest: str, size: int) -> None:
    """Count bytes that were sent: for a day, or for as long as an image will hold them."""
    until = now() + KEPT
    row, made = PushedBlob.objects.get_or_create(
        participation=participation, digest=digest, defaults={"size": size, "charged_until": until}
    )
    if not made:
        rows = PushedBlob.objects.filter(pk=row.pk)
        rows.update(size=Greatest(F("size"), size))
        rows.exclude(charged_until=None).update(charged_until=until)


def blobs_hold(*, participation: Participation, blobs: dict[str, int]) -> None:
    """Count what an image holds until it is removed. Of two sizes the larger counts."""
    for digest, size in sorted(blobs.items()):  # in one order: two pushes at once must not wait for each other
        blob_charge(participation=participation, digest=digest, size=size)
    PushedBlob.objects.filter(participation=participation, digest__in=list(blobs)).update(charged_until=None)


def blobs_release(*, participation: Participation, digests: Iterable[str]) -> None:
    """An image is gone: what no other one holds counts for a day more."""
    left = set(digests)
    for other in PushedImage.objects.filter(participation=participation).values_list("blobs", flat=True):
        left -= other.keys()
    rows = PushedBlob.objects.filter(participation=participation, digest__in=left)
    rows.update(charged_until=now() + KEPT)


def blobs_weigh(*, participation: Participation, repository: str, claimed: dict[str, int]) -> dict[str, int]:
    """The true sizes of what a manifest lists: told by the registry when they came, or asked for now.

    Raises `ValueError` for what cannot be a digest or a size. While the registry is away the manifest is believed.
    """
    if not all(DIGEST.fullmatch(digest) for digest in claimed):
        raise ValueError("a part has no sha256")
    sizes = {digest: size_checked(size=size) for digest, size in claimed.items()}
    known = PushedBlob.objects.filter(participation=participation, digest__in=list(sizes))
    found = dict(known.values_list("digest", "size"))
    try:
        for digest in sizes.keys() - found.keys():
            size = client.blob_size(repository=repository, digest=digest)
            if size is not None:
                found[digest] = size
    except UserError as error:
        log.warning("registry.sizes_believed", repository=repository, error=str(error))
    return sizes | found
