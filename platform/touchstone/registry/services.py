"""Images on their way in: pushes that the registry tells of, and images that a submission or a node names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import DataError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from runners.contract import ImagePull
from runners.spec.images import DIGEST, MANIFESTS
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Member, Participation
from touchstone.competitions.selectors import participations_of
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, NotFound, UserError
from touchstone.core.text import clean
from touchstone.evaluations.models import Run
from touchstone.registry import client
from touchstone.registry.charges import blob_charge, blobs_hold, blobs_release, blobs_weigh, size_checked
from touchstone.registry.grants import NODE, node_key
from touchstone.registry.models import PushedImage
from touchstone.registry.names import (
    Reference,
    namespace_claim,
    namespace_of,
    namespace_user,
    reference_parse,
    repository_parse,
)
from touchstone.registry.offer import registry_host
from touchstone.submissions.models import Submission

log = structlog.get_logger(__name__)

#: What one manifest may list.
MAX_PARTS = 512
_PUSH = gettext_lazy("Push the image with `touchstone image push`, which prints the name to submit.")


def events_take(*, events: list[dict[str, Any]]) -> int:
    """Record the pushes among the registry's events; returns how many. Safe to repeat: they come at least once."""
    count = 0
    for event in events:
        try:
            with transaction.atomic():
                count += _event(event)
        except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
            # It would be no better the next time; those that come after it must not wait for it.
            log.warning("registry.bad_event", error=repr(error)[:500])
    return count


def _event(event: Any) -> bool:
    target = event.get("target") or {}
    is_manifest = target.get("mediaType") in MANIFESTS
    if event.get("action") not in (("push",) if is_manifest else ("push", "mount")):
        return False
    repository, digest = str(target["repository"]), str(target["digest"])
    if not DIGEST.fullmatch(digest):
        raise ValueError("no sha256")
    participation = _owner(repository)
    if participation is None:
        log.warning("registry.push_of_nobody", repository=repository[:255])
        return False
    size = size_checked(size=target["size"])
    if not is_manifest:
        blob_charge(participation=participation, digest=digest, size=size)
        return False
    parts = target.get("references") or []
    if len(parts) > MAX_PARTS:
        raise ValueError("more parts than an image has")
    claimed = {str(part["digest"]): part["size"] for part in parts}
    blobs = blobs_weigh(participation=participation, repository=repository, claimed=claimed) | {digest: size}
    image_record(
        participation=participation, repository=repository, digest=digest, media_type=str(target["mediaType"]),
        blobs=blobs, tag=str(target.get("tag") or ""), at=_moment(event.get("timestamp")),
    )  # fmt: skip
    return True


def _moment(text: object) -> datetime:
    """The registry's time in nanoseconds, cut; ours where it gives none."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return now()
    return found if found.tzinfo is not None else now()


def image_record(
    *, participation: Participation, repository: str, digest: str, media_type: str, blobs: dict[str, int],
    tag: str = "", at: datetime | None = None,
) -> PushedImage:  # fmt: skip
    """Note a manifest, once for each repository and digest; the same again only moves its time and tag on."""
    moment = at or now()
    with transaction.atomic():
        image, made = PushedImage.objects.get_or_create(
            repository=repository, digest=digest,
            defaults={
                "participation": participation, "media_type": media_type[:100], "blobs": blobs,
                "tag": clean(tag, limit=128), "pushed_at": moment,
            },
        )  # fmt: skip
        blobs_hold(participation=participation, blobs=blobs)
        if made:
            pusher = _pusher(repository) or participation.user
            namespace_claim(user=pusher)
            audit_append(
                actor=pusher, act="image.push",
                subject=f"competition:{participation.competition.slug}", data={"image": f"{repository}@{digest}"},
            )  # fmt: skip
        elif moment > image.pushed_at:
            image.pushed_at, image.tag = moment, clean(tag, limit=128)
            image.save(update_fields=["pushed_at", "tag"])
    return image


def _pusher(repository: str) -> User | None:
    """The member of a participant whose name stands in the repository's."""
    parts = repository_parse(repository=repository)
    return namespace_user(namespace=parts.namespace) if parts else None


def _owner(repository: str) -> Participation | None:
    parts, user = repository_parse(repository=repository), _pusher(repository)
    if parts is None or user is None:
        return None
    found = participations_of(user=user).filter(competition__slug=parts.competition)
    return found.select_related("competition", "user").first()


def image_accept(*, participation: Participation, image: str) -> str:
    """The image that a submission may name, as it is kept. Raises `UserError` for any other.

    `sha256:…` and `NAME@sha256:…` are images of the node's own engine: for a single machine, where settings allow it.
    """
    reference = reference_parse(image=image)
    if reference is None:
        if not settings.TOUCHSTONE_LOCAL_IMAGES:
            raise _refused(
                _("%(image)r names an image of a node's engine; here nodes take none.") % {"image": image[:100]}, _PUSH
            )
        return image
    _check_place(participation, reference)
    if _known(participation, reference) is None:
        _look_up(participation, reference)
    return str(reference)


def _check_place(participation: Participation, reference: Reference) -> None:
    host, competition = registry_host(), participation.competition
    if reference.host != host:
        where = (
            _("the platform's own registry is %(host)s") % {"host": host}
            if host
            else _("this installation has no registry")
        )
        hint = str(_PUSH) if host else _("Submit the archive that `docker save` makes.")
        text = _("The image is in the registry %(host)s; %(where)s.") % {"host": reference.host, "where": where}
        raise _refused(text, hint, "image_registry")
    members = Member.objects.filter(participation=participation).select_related("user")
    mine = [f"{competition.slug}/{namespace_of(user=member.user)}/" for member in members]
    if not reference.repository.startswith(tuple(mine)):
        raise NotAllowed(
            _("%(repository)s is not one of your images for %(competition)s: those begin with %(mine)s.")
            % {"repository": reference.repository, "competition": competition.slug, "mine": " or ".join(mine)},
            _("Push the image under your own name: `touchstone image push`."),
            "image_not_yours",
        )
    if repository_parse(repository=reference.repository) is None:
        raise _refused(_("%(name)r is no name of an image.") % {"name": reference.repository[:100]}, str(_PUSH))


def _known(participation: Participation, reference: Reference) -> PushedImage | None:
    found = PushedImage.objects.filter(repository=reference.repository, digest=reference.digest)
    return found.filter(participation=participation).first()


def _look_up(participation: Participation, reference: Reference) -> None:
    """Ask the registry itself: its event may be late or lost."""
    found = client.manifest_get(repository=reference.repository, digest=reference.digest)
    if found is None or found.media_type not in MANIFESTS:
        raise _refused(
            _("The registry has no image %(image)s.") % {"image": f"{reference.repository}@{reference.digest}"},
            _("Push it first; `docker push` prints the digest when it is done."),
            "image_unknown",
        )
    own = {reference.digest: found.blobs[reference.digest]}
    claimed = {digest: size for digest, size in found.blobs.items() if digest not in own}
    blobs = own | blobs_weigh(participation=participation, repository=reference.repository, claimed=claimed)
    image_record(
        participation=participation, repository=reference.repository, digest=reference.digest,
        media_type=found.media_type, blobs=blobs,
    )  # fmt: skip


def image_remove(*, participation: Participation, image: str, by: User | None = None) -> None:
    """Take one's own image out of the registry. Raises `NotFound`, and `Conflict` while a submission names it."""
    reference = reference_parse(image=image)
    found = _known(participation, reference) if reference and reference.host == registry_host() else None
    if reference is None or found is None:
        raise NotFound(
            _("You have no image %(image)r.") % {"image": image[:200]},
            _("`touchstone image list` shows those you have."),
        )
    ending = f"/{reference.repository}@{reference.digest}"
    if Submission.objects.filter(participation=participation, image__endswith=ending).exists():
        raise Conflict(
            _("A submission of yours names this image; it is kept so that the score can be made again."),
            _("Remove images that you never submitted."), "image_in_use",
        )  # fmt: skip
    client.manifest_delete(repository=reference.repository, digest=reference.digest)
    with transaction.atomic():
        found.delete()
        blobs_release(participation=participation, digests=found.blobs)
        audit_append(
            actor=by or participation.user, act="image.remove", subject=f"competition:{participation.competition.slug}",
            data={"image": f"{reference.repository}@{reference.digest}"},
        )  # fmt: skip


def run_pull(*, run: Run) -> ImagePull | None:
    """Where the node of the run's present attempt gets the image, with a key that dies with the attempt."""
    reference = reference_parse(image=run.submission.image)
    if reference is None or not registry_host():
        return None
    host = str(settings.TOUCHSTONE_REGISTRY_PULL_HOST)
    return ImagePull(
        reference=f"{host}/{reference.repository}@{reference.digest}", username=NODE,
        password=node_key(run=run, repository=reference.repository),
    )  # fmt: skip


def _refused(message: str, hint: str, code: str = "image") -> UserError:
    return UserError(message, hint, code)
