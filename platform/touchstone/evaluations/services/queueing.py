"""The order in which queued runs start. The decision and its reasons: docs/adr/0004-fair-queue.md.

Start-time fair queueing: when a run enters the queue it draws a `turn` (`shares.py`). So someone with fifty runs
alternates with someone who has one, and nobody waits longer because others sent more. The turn moves only when one's
own runs end; who is first, and at which place, is a matter of one index.
"""

from __future__ import annotations

import functools
import operator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from touchstone.competitions.models import Phase
from touchstone.core.clock import now
from touchstone.evaluations.events import event_add
from touchstone.evaluations.fitness import Capabilities, capabilities, fit_filter, lane_of, nodes_active, size_filter
from touchstone.evaluations.models import Lane, Node, Run, RunStatus
from touchstone.evaluations.shares import LET_THROUGH, priority_of, turn_draw
from touchstone.evaluations.state import run_lock
from touchstone.submissions.models import Submission

#: Within one queue and lane. The index `run_claim` has the same columns.
ORDER = ("-priority", "turn", "queued_at", "id")
#: So many prediction files in a row, then a node that takes both kinds takes a long run, if one waits.
QUICK_BURST = 20
#: What a prediction file counts for, in the seconds that limits of other runs are given in.
_QUICK_SECONDS = 1.0


def needs_of(*, submission: Submission) -> dict[str, Any]:
    """The fields of a run that say what a node must have for it. A prediction file needs a reader, and nothing else."""
    lane = lane_of(kind=submission.kind)
    # An endpoint runs elsewhere, but surrogates that its examples are made against run here.
    elsewhere = submission.kind == "endpoint" and not submission.phase.competition.surrogates
    if lane == Lane.QUICK or elsewhere:
        return {"kind": submission.kind, "lane": lane, "queue": "cpu", "cpus": 0.0, "memory": 0, "gpus": 0}
    resources = submission.phase.competition.spec["submission"]["resources"]
    return {
        "kind": submission.kind, "lane": lane, "queue": "gpu" if resources["gpus"] else "cpu",
        "cpus": float(resources["cpus"]), "memory": int(resources["memory"]), "gpus": int(resources["gpus"]),
    }  # fmt: skip


def place_of(*, run: Run) -> dict[str, Any]:
    """Priority, share, turn and charge for a run that enters its queue. Inside a transaction, with its row locked."""
    phase, share = run.submission.phase, run.share or run.submission.participation.user_id
    priority = priority_of(run=run)
    drawn = turn_draw(run=run, share=share, priority=priority, seconds=_cost(run, phase))
    return {"priority": priority, "share": share, **drawn}


def _cost(run: Run, phase: Phase) -> float:
    """Seconds that a run may take: known, and not understated by anybody. What it took is settled when it ends."""
    if run.lane == Lane.QUICK:
        return _QUICK_SECONDS
    return float(phase.competition.spec["submission"]["resources"]["time"])


def waiting(*, queue: str, lane: int) -> QuerySet[Run]:
    """The queued runs of a lane, in their order."""
    return Run.objects.filter(status=RunStatus.QUEUED, queue=queue, lane=lane).order_by(*ORDER)


def ahead_of(*, run: Run) -> Q:
    """Those of the same queue and lane that come before `run`."""
    same = Q(priority=run.priority)
    return (
        Q(priority__gt=run.priority)
        | same & Q(turn__lt=run.turn)
        | same & Q(turn=run.turn) & Q(queued_at__lt=run.queued_at)
        | same & Q(turn=run.turn, queued_at=run.queued_at, pk__lt=run.pk)
    )


def first_waiting(
    *, node: Node, able: Capabilities, queue: str, lane: int, kinds: list[str], others: Q | None
) -> Run | None:
    """The first run of a lane that `node` can take, its row locked; rows that another claim holds are passed over.

    `others` selects runs that some other node could take now: of those, the ones that this node failed before are
    left to them, until their `avoid_until`.
    """
    found = waiting(queue=queue, lane=lane).filter(size_filter(able=able), kind__in=kinds)
    found = found.filter(Q(not_before=None) | Q(not_before__lte=now()))
    if others is not None:
        found = found.exclude(Q(avoid=node, avoid_until__gt=now()) & others)
    return found.select_for_update(skip_locked=True, of=("self",)).first()


def passed_over() -> int:
    """Let one run of each lower priority through that has waited too long; return how many.

    A phase's priority puts it first, not alone: of each lower class one run at a time may come before all others once
    it has waited `TOUCHSTONE_QUEUE_PATIENCE_SECONDS` and none of its class runs. Only runs that an active node can
    take: one that nobody can take must not stand in the way of those behind it.
    """
    able = [fit_filter(able=capabilities(node=node)) for node in nodes_active()]
    if not able:
        return 0
    takeable = functools.reduce(operator.or_, able)
    since = now() - timedelta(seconds=settings.TOUCHSTONE_QUEUE_PATIENCE_SECONDS)
    classes = Run.objects.filter(status=RunStatus.QUEUED).order_by().values_list("queue", "lane", "priority").distinct()
    found: dict[tuple[str, int], list[int]] = {}
    for queue, lane, priority in classes:
        found.setdefault((queue, lane), []).append(priority)
    moved = 0
    for (queue, lane), priorities in found.items():
        open_runs = Run.objects.filter(queue=queue, lane=lane, status__in=(RunStatus.QUEUED, RunStatus.RUNNING))
        if len(priorities) < 2 or _is_let_through(open_runs, takeable):
            continue
        for priority in sorted(priorities)[:-1]:
            if not open_runs.filter(priority=priority, status=RunStatus.RUNNING).exists():
                moved += _let_through(queue, lane, priority, since, takeable)
    return moved


def _is_let_through(open_runs: QuerySet[Run], takeable: Q) -> bool:
    """Whether one that was let through is still on its way."""
    first = open_runs.filter(priority=LET_THROUGH)
    return first.filter(takeable | Q(status=RunStatus.RUNNING)).exists()


def _let_through(queue: str, lane: int, priority: int, since: Any, takeable: Q) -> int:
    """The caller is in a transaction."""
    able = waiting(queue=queue, lane=lane).filter(takeable, priority=priority)
    head = able.select_for_update(skip_locked=True).first()
    if head is None or head.queued_at is None or head.queued_at > since:
        return 0
    run = run_lock(run_id=head.pk)
    run.priority = LET_THROUGH
    run.save(update_fields=["priority"])
    event_add(run=run, kind="note", message="It waited long behind phases of higher priority, and comes first now.")
    return 1
