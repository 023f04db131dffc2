"""How a competition is doing, for its organisers. Each figure is one query, however much was sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import TruncDate

from touchstone.competitions.models import Competition, Participation, Phase
from touchstone.core.clock import now
from touchstone.evaluations.fitness import nodes_active, nodes_for
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services.queueing import needs_of
from touchstone.evaluations.state import OPEN
from touchstone.submissions.models import Submission, sent

_DAYS = 60
_FAILURES = 20


@dataclass(frozen=True)
class DayCount:
    day: date
    kind: str
    n: int


@dataclass(frozen=True)
class Failure:
    """Runs that ended without a score for one reason: how many, the latest, and one message of them."""

    status: str
    verdict: str
    code: str
    n: int
    message: str
    latest: datetime


@dataclass(frozen=True)
class QueueNow:
    """`oldest`: since when the first one waits. `takers`: each kind with the nodes that take it."""

    checking: int
    waiting: int
    running: int
    oldest: datetime | None
    takers: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class PhaseUse:
    """What of a phase's allowance was used: by everybody, and by how many participants."""

    phase: Phase
    today: int
    total: int
    participants: int


@dataclass(frozen=True)
class Dashboard:
    days: list[DayCount]
    kinds: dict[str, int]
    states: dict[str, int]
    failures: list[Failure]
    queue: QueueNow
    joined: list[tuple[date, int]]
    participants: dict[str, int]
    stored: int
    quota: list[PhaseUse]

    @property
    def submissions(self) -> int:
        return sum(self.kinds.values())


def dashboard_of(*, competition: Competition) -> Dashboard:
    """Everything the page shows. The caller has made sure that an organiser asks. Nine queries."""
    mine = Submission.objects.filter(phase__competition=competition)
    since = now() - timedelta(days=_DAYS)
    by_day = mine.filter(created_at__gte=since).annotate(day=TruncDate("created_at")).order_by("day", "kind")
    days = by_day.values_list("day", "kind").annotate(n=Count("pk"))
    rows = list(mine.order_by().values_list("kind", "run__status").annotate(n=Count("pk")))
    people = Participation.objects.filter(competition=competition)
    joined = people.annotate(day=TruncDate("joined_at")).order_by("day").values_list("day").annotate(n=Count("pk"))
    by_status = people.order_by().values_list("status").annotate(n=Count("pk"))
    return Dashboard(
        days=[DayCount(*row) for row in days],
        kinds=_summed(rows, 0),
        states=_summed(rows, 1),
        failures=_failures(mine),
        queue=_queue(competition),
        joined=list(joined),
        participants=dict(by_status),
        stored=stored_bytes(competition=competition),
        quota=_quota(competition),
    )


def _summed(rows: list[tuple[str, str, int]], place: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row[place]] = found.get(row[place], 0) + row[2]
    return found


def _failures(mine: Any) -> list[Failure]:
    ended = mine.filter(run__status__in=(RunStatus.FAILED, RunStatus.REJECTED)).order_by()
    rows = ended.values_list("run__status", "run__verdict", "run__code").annotate(
        n=Count("pk"), message=Max("run__message"), latest=Max("run__finished_at")
    )
    return [Failure(*row) for row in rows.order_by("-n", "run__code")[:_FAILURES]]


def _queue(competition: Competition) -> QueueNow:
    """Reruns too: they wait in the same queues."""
    open_runs = Run.objects.filter(sent("submission__"), submission__phase__competition=competition, status__in=OPEN)
    counts = open_runs.aggregate(
        checking=Count("pk", filter=Q(status__in=(RunStatus.RECEIVED, RunStatus.CHECKING))),
        waiting=Count("pk", filter=Q(status=RunStatus.QUEUED)),
        running=Count("pk", filter=Q(status=RunStatus.RUNNING)),
        oldest=Min("queued_at", filter=Q(status=RunStatus.QUEUED)),
    )
    nodes = list(nodes_active())
    phase = Phase(competition=competition)
    takers = []
    for kind in competition.spec["submission"]["kinds"]:
        asked = Run(**needs_of(submission=Submission(kind=kind, phase=phase)))
        takers.append((kind, [node.name for node in nodes_for(run=asked, nodes=nodes)]))
    return QueueNow(takers=takers, **counts)


def stored_bytes(*, competition: Competition) -> int:
    """Bytes of what was sent; the same file counts once, as it is stored once."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT COALESCE(SUM(size), 0) FROM (
                 SELECT DISTINCT file ->> 'sha256', (file ->> 'size')::bigint AS size
                 FROM submissions_submission s JOIN competitions_phase p ON p.id = s.phase_id
                 CROSS JOIN LATERAL jsonb_array_elements(s.files) AS file WHERE p.competition_id = %s) AS stored""",
            [competition.pk],
        )
        return int(cursor.fetchone()[0])


def _quota(competition: Competition) -> list[PhaseUse]:
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
    counts = Q(submissions__run__counts_quota=True, submissions__original=None, submissions__is_check=False)
    phases = Phase.objects.filter(competition=competition).annotate(
        used=Count("submissions", filter=counts),
        used_today=Count("submissions", filter=counts & Q(submissions__created_at__gte=midnight)),
        senders=Count("submissions__participation", filter=counts, distinct=True),
    )
    return [PhaseUse(phase, phase.used_today, phase.used, phase.senders) for phase in phases.order_by("position")]
