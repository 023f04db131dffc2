"""Reading the queues: a run's place in one and when it may start; what waits, and who is there to take it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min, Q

from touchstone.core.clock import now
from touchstone.evaluations.fitness import capabilities, lacking, nodes_for
from touchstone.evaluations.models import Lane, Node, Run, RunStatus
from touchstone.evaluations.services.queueing import ahead_of, waiting

_RECENT = 20


@dataclass(frozen=True)
class Waiting:
    """How a run waits; all None where it does not. `lacking` says what it needs and no known node has."""

    position: int | None = None
    estimated_start: datetime | None = None
    nodes_online: int | None = None
    lacking: str = ""


def waiting_of(*, run: Run) -> Waiting:
    """The place of a queued run, who could take it, and when it may start. Four queries, however long the queue."""
    if run.status != RunStatus.QUEUED:
        return Waiting()
    known = list(Node.objects.filter(disabled_at=None))
    able = nodes_for(run=run, nodes=[node for node in known if is_active(node=node)])
    position = queue_position(run=run)
    return Waiting(position, _estimate(run, position, able), len(able), lacking(run=run, nodes=known))


def queue_position(*, run: Run) -> int | None:
    """The run's place in its lane of its queue, from 1; None where it does not wait."""
    if run.queued_at is None:
        return None
    return waiting(queue=run.queue, lane=run.lane).order_by().filter(ahead_of(run=run)).count() + 1


def is_online(*, node: Node) -> bool:
    """Whether the node was seen lately."""
    since = now() - timedelta(seconds=settings.TOUCHSTONE_NODE_ONLINE_SECONDS)
    return node.seen_at is not None and node.seen_at >= since


def is_active(*, node: Node) -> bool:
    """Whether the node takes runs now."""
    return is_online(node=node) and not (node.disabled_at or node.drained_at or node.quarantined_at)


def _estimate(run: Run, position: int | None, able: Sequence[Node]) -> datetime | None:
    """Now, plus the usual duration of such a run for each that is ahead or runs, over the slots there are.

    None where no such run has ended yet. Not before the pause that a lost attempt is given.
    """
    if not position or not able:
        return None
    recent = Run.objects.filter(
        status=RunStatus.SCORED, submission__phase=run.submission.phase, kind=run.kind, started_at__isnull=False,
        submission__original__isnull=run.submission.original_id is None,
    )  # fmt: skip
    spans = [
        (finished - started).total_seconds()
        for started, finished in recent.order_by("-finished_at").values_list("started_at", "finished_at")[:_RECENT]
    ]
    if not spans:
        return None
    moment = now()
    usual = max(0.0, statistics.median(spans))  # a node's clock may run behind
    # A prediction file needs no slot: each node reads one at a time.
    slots = len(able) if run.lane == Lane.QUICK else sum(capabilities(node=node).slots for node in able)
    running = Run.objects.filter(status=RunStatus.RUNNING, queue=run.queue, lane=run.lane, node__in=able).count()
    before = max(0, position - 1 + min(running, slots) - slots + 1)
    return max(run.not_before or moment, moment + timedelta(seconds=usual * before / slots))


@dataclass(frozen=True)
class QueueSummary:
    """One queue. `slots`, `busy`: long runs at once, possible and present. `oldest`: since when its first one waits.

    `usual_wait`: median seconds from entering the queue to the start, of the last runs that began; None where none did.
    """

    name: str
    nodes_online: int
    slots: int
    busy: int
    waiting: int
    waiting_quick: int
    oldest: datetime | None
    usual_wait: float | None


def queues_summary() -> list[QueueSummary]:
    """The queues that there are, by name. A constant number of queries."""
    nodes = [node for node in Node.objects.filter(disabled_at=None) if is_active(node=node)]
    open_runs = Run.objects.filter(status__in=(RunStatus.QUEUED, RunStatus.RUNNING)).order_by()
    rows = {
        row["queue"]: row
        for row in open_runs.values("queue").annotate(
            busy=Count("pk", filter=Q(status=RunStatus.RUNNING, lane=Lane.LONG)),
            waiting=Count("pk", filter=Q(status=RunStatus.QUEUED)),
            quick=Count("pk", filter=Q(status=RunStatus.QUEUED, lane=Lane.QUICK)),
            oldest=Min("queued_at", filter=Q(status=RunStatus.QUEUED)),
        )
    }
    served: Counter[str] = Counter()
    slots: Counter[str] = Counter()
    for node in nodes:
        able = capabilities(node=node)
        for name in able.queues or ():
            served[name] += 1
            slots[name] += able.slots
    waits = _usual_waits()
    none = {"busy": 0, "waiting": 0, "quick": 0, "oldest": None}
    return [
        QueueSummary(
            name=name, nodes_online=served[name], slots=slots[name], busy=row["busy"], waiting=row["waiting"],
            waiting_quick=row["quick"], oldest=row["oldest"], usual_wait=waits.get(name),
        )
        for name in sorted({"cpu", *rows, *served})
        for row in [rows.get(name, none)]
    ]  # fmt: skip


def _usual_waits() -> dict[str, float]:
    """Median wait in each queue, of the last runs that were scored at their first attempt."""
    recent = Run.objects.filter(status=RunStatus.SCORED, attempt=1, queued_at__isnull=False, started_at__isnull=False)
    found: dict[str, list[float]] = {}
    for queue, queued, started in recent.order_by("-finished_at").values_list("queue", "queued_at", "started_at")[:100]:
        found.setdefault(queue, []).append(max(0.0, (started - queued).total_seconds()))
    return {queue: statistics.median(spans) for queue, spans in found.items()}


@dataclass(frozen=True)
class NodeView:
    """A node as the platform's staff sees it.

    `state`: ready, busy, draining, drained, quarantined, offline or disabled.
    """

    node: Node
    state: str
    slots: int
    runs: list[Run]

    @property
    def long_runs(self) -> int:
        """Runs that take a slot."""
        return sum(run.lane == Lane.LONG for run in self.runs)


def nodes_view() -> list[NodeView]:
    """Every node with what it runs, by name. Two queries."""
    running: dict[int, list[Run]] = {}
    for run in (
        Run.objects.filter(status=RunStatus.RUNNING, node__isnull=False)
        .select_related("submission__phase__competition")
        .defer("log", "sample_log", "submission__phase__competition__spec", "submission__phase__competition__source")
        .order_by("started_at")
    ):
        running.setdefault(run.node_id, []).append(run)
    found = []
    for node in Node.objects.all():
        runs, slots = running.get(node.pk, []), capabilities(node=node).slots
        found.append(NodeView(node, _state(node, runs, slots), slots, runs))
    return found


def _state(node: Node, runs: list[Run], slots: int) -> str:
    if node.disabled_at:
        return "disabled"
    if node.quarantined_at:
        return "quarantined"
    if node.drained_at:
        return "draining" if runs else "drained"
    if not is_online(node=node):
        return "offline"
    return "busy" if sum(run.lane == Lane.LONG for run in runs) >= slots else "ready"
