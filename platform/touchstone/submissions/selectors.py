"""Reading submissions and what is left of a quota."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from runners.contract import PARTICIPANT_VERDICTS
from touchstone.competitions.models import Competition, Participation, Phase
from touchstone.competitions.selectors import Viewer, is_member, is_organiser, participations_of
from touchstone.core.clock import now
from touchstone.core.errors import NotFound
from touchstone.submissions.models import Submission


@dataclass(frozen=True)
class Quota:
    """Submissions used and allowed in one phase; None allows any number. `resets_at`: when a new day (UTC) begins.

    `failed_today` of `failures_per_day`: submissions that failed by their own fault. They are not among those used.
    """

    per_day: int | None
    used_today: int
    total: int | None
    used_total: int
    resets_at: datetime
    failures_per_day: int | None = None
    failed_today: int = 0

    @property
    def left(self) -> int | None:
        """How many more may be sent now; None where there is no limit."""
        if self.failures_per_day is not None and self.failed_today >= self.failures_per_day:
            return 0
        left = [
            max(0, limit - used)
            for limit, used in ((self.per_day, self.used_today), (self.total, self.used_total))
            if limit is not None
        ]
        return min(left) if left else None


def quota(*, participation: Participation, phase: Phase, at: datetime | None = None) -> Quota:
    """What the participant has used. Our own faults, files refused at intake and runs cancelled before they
    started are not counted (`Run.counts_quota`); runs that failed by their own fault are counted by themselves."""
    moment = at or now()
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    counts = Q(run__counts_quota=True)
    failed = Q(run__counts_quota=False, run__status="failed", run__verdict__in=sorted(PARTICIPANT_VERDICTS))
    today = Q(created_at__gte=day, created_at__lt=day + timedelta(days=1))
    used = Submission.objects.filter(phase=phase, participation=participation).aggregate(
        total=Count("pk", filter=counts),
        today=Count("pk", filter=counts & today),
        failed=Count("pk", filter=failed & today),
    )
    return Quota(
        phase.per_day, used["today"], phase.total, used["total"], day + timedelta(days=1),
        settings.TOUCHSTONE_MAX_PARTICIPANT_FAILURES_PER_DAY or None, used["failed"],
    )  # fmt: skip


@dataclass(frozen=True)
class Activity:
    """How many take part in a competition, and how many submissions they sent."""

    participants: int = 0
    submissions: int = 0


def activity_of(*, competitions: Collection[Competition]) -> dict[int, Activity]:
    """The activity of each competition, by its key. Two queries for all; the caller has seen to who may see them."""
    keys = [competition.pk for competition in competitions]
    members = _counted(Participation.objects.filter(competition__in=keys), "competition")
    sent = _counted(Submission.objects.filter(phase__competition__in=keys), "phase__competition")
    return {key: Activity(members.get(key, 0), sent.get(key, 0)) for key in keys}


def _counted(rows: QuerySet[Any], path: str) -> dict[int, int]:
    return dict(rows.order_by().values(path).annotate(n=Count("pk")).values_list(path, "n"))


def submission_get(*, user: Viewer, id: uuid.UUID | str) -> Submission:  # noqa: A002 - the name of the thing
    """A submission of one's own or one's team, or of a competition one organises.

    Raises `NotFound`, foreign or missing alike.
    """
    missing = NotFound(
        _("There is no submission %(id)s, or it is not yours.") % {"id": id},
        _("Check the id, and who you are signed in as."),
    )
    try:
        key = id if isinstance(id, uuid.UUID) else uuid.UUID(id)
    except ValueError:
        raise missing from None
    found = (
        Submission.objects.select_related("participation__user", "phase__competition", "phase__split", "run__node")
        .filter(pk=key)
        .first()
    )
    if found is None or user is None or not user.is_authenticated:
        raise missing
    if is_member(user=user, participation=found.participation):
        return found
    if not is_organiser(user=user, competition=found.phase.competition):
        raise missing
    return found


def submissions_of(*, user: Viewer, competition: Competition | None = None) -> QuerySet[Submission]:
    """A user's own submissions and those of their teams, newest first, in one competition or all."""
    if user is None or not user.is_authenticated:
        return Submission.objects.none()
    mine = Submission.objects.filter(participation__in=participations_of(user=user)).select_related(
        "phase__competition", "run", "participation"
    )
    return mine if competition is None else mine.filter(phase__competition=competition)


def submissions_narrowed(
    *, submissions: QuerySet[Submission], phase: str = "", kind: str = "", status: str = ""
) -> QuerySet[Submission]:
    """Those of a phase (its slug), of a kind, whose run has a status; what is empty narrows nothing."""
    wanted = {"phase__slug": phase, "kind": kind, "run__status": status}
    return submissions.filter(**{name: value for name, value in wanted.items() if value})


def submissions_all(*, user: Viewer, competition: Competition) -> QuerySet[Submission]:
    """Every submission of a competition, for its organisers; for others their own."""
    if not is_organiser(user=user, competition=competition):
        return submissions_of(user=user, competition=competition)
    everything = Submission.objects.filter(phase__competition=competition)
    return everything.select_related("phase__competition", "run", "participation__user")


def provenance_shown(*, submission: Submission, user: Viewer) -> dict[str, str]:
    """Which job of a CI service sent it, for a page that everybody sees; empty where there was none.

    What is not public where it lies (the name of a repository, its commits) is shown to the participant's members only.
    """
    found: dict[str, str] = submission.provenance
    if not found or found.get("visibility") == "public" or is_member(user=user, participation=submission.participation):
        return found
    return {}
