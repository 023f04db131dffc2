"""Reading what was pushed, and what may be pushed."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from runners.spec.models import CompetitionSpec, SubmissionKind
from touchstone.accounts.models import User
from touchstone.competitions.access import refusal
from touchstone.competitions.models import Competition, Participation
from touchstone.competitions.selectors import phase_current
from touchstone.registry.charges import charged
from touchstone.registry.models import PushedImage
from touchstone.registry.names import namespace_of
from touchstone.registry.offer import registry_host

#: Layers of one image that engines take.
MAX_LAYERS = 127


@dataclass(frozen=True)
class PushPlace:
    """Where a participant pushes to. `why_not` says in a sentence why nothing can be pushed now; else it is empty.

    `prefix` is `<host>/<competition>/<namespace>`, empty where there is no registry. `used` and `quota` in bytes.
    """

    host: str
    prefix: str
    used: int
    quota: int
    why_not: str
    competition: str

    @property
    def command(self) -> str:
        """What one types to push."""
        return f"touchstone image push IMAGE --competition {self.competition}"


def pushed_images(*, participation: Participation) -> QuerySet[PushedImage]:
    """A participant's images, the one pushed last first."""
    return PushedImage.objects.filter(participation=participation)


def image_name(*, image: PushedImage) -> str:
    """The name under which a pushed image is submitted."""
    return f"{registry_host()}/{image.repository}@{image.digest}"


def push_place(*, participation: Participation, user: User | None = None) -> PushPlace:
    """Where and whether a participant may push now. `user`: which member; the founder where none is named."""
    host, competition = registry_host(), participation.competition
    quota = int(settings.TOUCHSTONE_REGISTRY_QUOTA)
    used, blobs = charged(participation=participation)
    prefix = f"{host}/{competition.slug}/{namespace_of(user=user or participation.user)}" if host else ""
    why_not = _why_not(competition, host) or _status(participation) or _full(participation, used, quota, blobs)
    return PushPlace(host, prefix, used, quota, why_not, competition.slug)


def _why_not(competition: Competition, host: str) -> str:
    if not host:
        return _("This installation has no registry. Submit the archive that `docker save` makes.")
    if not takes_containers(competition=competition):
        return _("%(competition)s takes no containers.") % {"competition": competition.slug}
    if phase_current(competition=competition) is None:
        return _("No phase of %(competition)s is open.") % {"competition": competition.slug}
    return ""


def _status(participation: Participation) -> str:
    problem = refusal(participation, competition=participation.competition)
    return problem.message if problem else ""


def _full(participation: Participation, used: int, quota: int, blobs: int) -> str:
    """Why there is no room for one image more; removed images make room a day later."""
    step = _(
        "Images that no submission uses can be removed, which makes room a day later: `touchstone image remove NAME`."
    )
    if used >= quota:
        return _("Your images take %(used)s bytes in the registry; %(quota)s are allowed. %(step)s") % {
            "used": used,
            "quota": quota,
            "step": step,
        }
    most = int(settings.TOUCHSTONE_REGISTRY_IMAGES)
    if pushed_images(participation=participation).count() >= most:
        return _(
            "You have %(most)s images in the registry for this competition, which is as many as are allowed. %(step)s"
        ) % {"most": most, "step": step}
    if blobs >= most * MAX_LAYERS:
        return _("Your images have %(blobs)s layers in the registry, which is more than are allowed. %(step)s") % {
            "blobs": blobs,
            "step": step,
        }
    return ""


def takes_containers(*, competition: Competition) -> bool:
    """Whether submissions of this kind are accepted at all."""
    spec = CompetitionSpec.model_validate(competition.spec)
    return SubmissionKind.CONTAINER in spec.submission.kinds
