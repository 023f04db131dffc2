"""Turns: where a run stands in the order of its queue. The decision and its bounds: docs/adr/0004-fair-queue.md.

A turn is a time in seconds of service. A person's next run comes as much later as their last one may take, and nobody
comes before what is being served now. What a run really took is settled when it ends: the person's waiting runs, and
the next they send, come as much earlier as it took less than it might have. The clock, at which newcomers begin, moves
on with what is served and with each of them, so that an endless stream of newcomers passes nobody by for ever.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.db.models import F, Max, Min, Q, QuerySet

from touchstone.evaluations.models import QueueTurn, Run, RunStatus

#: Higher than any phase can have: a run that others' priority kept waiting too long.
LET_THROUGH = 11
#: Lower than any phase can have: what organisers have evaluated again stands behind what participants wait for.
RERUN = -11
#: So many newcomers, at most, begin before somebody's next run for each run that they have in front of it.
NEWCOMERS = 20
#: The least that a run which began counts for, in seconds: else very short ones without number would pass the others.
_LEAST_SECONDS = 1.0
_CLOCK = 0


@dataclass(frozen=True)
class _Class:
    """Runs that are in one order."""

    queue: str
    lane: int
    priority: int


def priority_of(*, run: Run) -> int:
    """The priority with which a run enters its queue."""
    return RERUN if run.rerun_id is not None else run.submission.phase.priority


def turn_draw(*, run: Run, share: int, priority: int, seconds: float) -> dict[str, Any]:
    """The turn of a run that enters its queue and may take `seconds`, and what it is charged until that is settled.

    Inside a transaction, with the run's row locked.
    """
    of = _Class(run.queue, run.lane, priority)
    clock = _locked(of, _CLOCK)  # first, always: draws of one class come one after the other
    own = _locked(of, share)
    runs = Run.objects.filter(**asdict(of))
    served = _served(runs)
    after = own.at if own.at is not None else _after_known(runs, run, share, seconds)
    turn = after
    if turn is None or turn < served:  # new, or back after a while
        turn = served if clock.at is None else max(served, clock.at)
        clock.at = turn + seconds / NEWCOMERS
        clock.save(update_fields=["at"])
    own.at = turn + seconds
    own.save(update_fields=["at"])
    return {"turn": turn, "charge": seconds}


def turn_settle(*, run_id: object, spent: float) -> None:
    """A run has ended and took `spent` seconds, 0 where it never began: correct what it was charged. Safe to repeat.

    Those of its person's runs that drew after it move together. What somebody did not use gives no credit against
    people who came meanwhile. To be called with no row locked: two runs of one person may end at once, and each would
    wait for the other's rows.
    """
    with transaction.atomic():
        run = Run.objects.select_related("submission__phase").only(
            "queue", "lane", "priority", "share", "turn", "queued_at", "rerun", "submission__phase__priority"
        ).get(pk=run_id)  # fmt: skip
        let_through = run.priority == LET_THROUGH
        of = _Class(run.queue, run.lane, priority_of(run=run) if let_through else run.priority)
        own = _rows(of, run.share).select_for_update().first()
        if own is None or own.at is None:  # it drew from a server of the version before
            return
        # Only now: whoever settled this run before has written it by then.
        charged = Run.objects.values_list("charge", flat=True).get(pk=run_id)
        delta = spent - charged
        if delta == 0:
            return
        Run.objects.filter(pk=run_id).update(charge=spent)
        behind = Run.objects.filter(**asdict(of), share=run.share, status=RunStatus.QUEUED, queued_at__gt=run.queued_at)
        first = behind.aggregate(turn=Min("turn"))["turn"]
        if first is not None:
            delta = max(delta, min(0.0, _earliest(of, run) - first))
            if delta:  # claims pass over rows that are being written
                behind.update(turn=F("turn") + delta)
        own.at += delta
        own.save(update_fields=["at"])


def spent_of(*, began: bool, seconds: float) -> float:
    """What a run that ended is charged."""
    return max(seconds, _LEAST_SECONDS) if began else 0.0


def _rows(of: _Class, share: int) -> QuerySet[QueueTurn]:
    return QueueTurn.objects.filter(**asdict(of), share=share)


def _locked(of: _Class, share: int) -> QueueTurn:
    found = _rows(of, share).select_for_update().first()
    if found is None:
        QueueTurn.objects.bulk_create([QueueTurn(**asdict(of), share=share)], ignore_conflicts=True)
        found = _rows(of, share).select_for_update().get()
    return found


def _served(runs: QuerySet[Run]) -> float:
    """The turn that is being served: no newcomer comes before it, and none must come after what waits.

    The highest that ever began never falls, whatever ends. What was passed over, for want of a node, waits below it.
    """
    begun = runs.filter(started_at__isnull=False).aggregate(turn=Max("turn"))["turn"]
    waits = runs.filter(status=RunStatus.QUEUED).aggregate(turn=Min("turn"))["turn"]
    known = [turn for turn in (begun, waits) if turn is not None]
    return float(min(known)) if known else 0.0


def _earliest(of: _Class, ended: Run) -> float:
    """Where the runs behind one that ended may come at the earliest: before no newcomer, as long as others are there.

    A newcomer's turn counts what the runs before it might take. Below the clock, then, only as far as the first of the
    others, or as the turn of the one that ended.
    """
    clock = _rows(of, _CLOCK).values_list("at", flat=True).first() or 0.0
    others = Run.objects.filter(**asdict(of)).exclude(share=ended.share)
    # One after the other: each has an index of its own.
    found = [others.filter(status=s).aggregate(turn=Min("turn"))["turn"] for s in (RunStatus.QUEUED, RunStatus.RUNNING)]
    known = [turn for turn in found if turn is not None]
    return min(clock, max(ended.turn, min(known))) if known else min(clock, ended.turn)


def _after_known(runs: QuerySet[Run], run: Run, share: int, seconds: float) -> float | None:
    """When the next run of somebody comes who has drawn no turn since this version; None where they never did."""
    # A run that was withdrawn before it began took nothing from anybody.
    counted = Q(status__in=(RunStatus.QUEUED, RunStatus.RUNNING)) | Q(started_at__isnull=False)
    last = runs.filter(counted, share=share).exclude(pk=run.pk).aggregate(turn=Max("turn"))["turn"]
    return None if last is None else last + seconds
