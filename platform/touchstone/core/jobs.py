"""Long work that a row stands for: a message may be lost or doubled, and a process may die, and it is done once.

The row is the truth. Who works on it holds a lease, and only the holder writes how it ended; what was left behind is
taken up by the next, and given up after three.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import F, Q, QuerySet

from touchstone.core.clock import now

ATTEMPTS = 3
_RESEND = timedelta(seconds=30)


class JobState(models.TextChoices):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


UNDER_WAY = (JobState.WAITING, JobState.RUNNING)


class Job(models.Model):
    """What every job has. `message` and `hint` say why it failed and what to do next."""

    state = models.CharField(max_length=10, choices=JobState, default=JobState.WAITING)
    message = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    wanted_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    @property
    def under_way(self) -> bool:
        """Whether it has yet to end."""
        return self.state in UNDER_WAY


def job_fresh() -> dict[str, Any]:
    """The fields of a job that was asked for just now."""
    return {
        "state": JobState.WAITING, "message": "", "hint": "", "attempts": 0, "wanted_at": now(), "lease_until": None,
        "finished_at": None,
    }  # fmt: skip


def job_take(rows: QuerySet[Any], *, seconds: float) -> datetime | None:
    """Take the one job of `rows` for so long; the lease, or None where there is nothing to do."""
    moment = now()
    free = Q(state=JobState.WAITING) | Q(state=JobState.RUNNING, lease_until__lt=moment)
    lease = moment + timedelta(seconds=seconds)
    taken = rows.filter(free, attempts__lt=ATTEMPTS).update(
        state=JobState.RUNNING, lease_until=lease, attempts=F("attempts") + 1
    )
    return lease if taken else None


def job_renew(rows: QuerySet[Any], *, lease: datetime, seconds: float, **fields: Any) -> datetime | None:
    """Hold a job for so long from now on, and write `fields` of it; None where it is somebody else's by now."""
    later = now() + timedelta(seconds=seconds)
    held = rows.filter(state=JobState.RUNNING, lease_until=lease).update(lease_until=later, **fields)
    return later if held else None


def job_end(
    rows: QuerySet[Any], *, lease: datetime, state: JobState, message: str = "", hint: str = "", **fields: Any
) -> bool:
    """Write how a job ended; false where it is somebody else's by now, and nothing may be written about it."""
    ended = {"state": state, "message": message[:500], "hint": hint[:500], "lease_until": None, "finished_at": now()}
    return bool(rows.filter(state=JobState.RUNNING, lease_until=lease).update(**ended, **fields))


def jobs_stuck(rows: QuerySet[Any], *, message: str, hint: str) -> QuerySet[Any]:
    """Those whose message was lost or whose process died, to be sent again; what failed too often is given up."""
    moment = now()
    stuck = Q(state=JobState.WAITING, wanted_at__lt=moment - _RESEND) | Q(
        state=JobState.RUNNING, lease_until__lt=moment
    )
    rows.filter(stuck, attempts__gte=ATTEMPTS).update(
        state=JobState.FAILED, message=message, hint=hint, finished_at=moment, lease_until=None
    )
    return rows.filter(stuck)
