"""The sweeper: acts on every run whose deadline passed. May run twice at once, or not for an hour; nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Q, Subquery

from touchstone.core.clock import now
from touchstone.core.tasks import nudge
from touchstone.evaluations.models import Lane, Run, RunStatus
from touchstone.evaluations.services.checks import check_retry, check_schedule
from touchstone.evaluations.services.queueing import needs_of, passed_over
from touchstone.evaluations.services.reruns import reruns_continue
from touchstone.evaluations.services.results import platform_fault
from touchstone.evaluations.state import OPEN, run_transition
from touchstone.submissions.models import Submission

log = structlog.get_logger(__name__)

#: So many rows at a time: a sweep stays short, and the next comes in seconds.
_BATCH = 200


@dataclass
class SweepReport:
    """How many runs the sweep acted on, by what it did."""

    lapsed: int = 0
    rechecked: int = 0
    nudged: int = 0
    cancelled: int = 0
    let_through: int = 0
    rerun: int = 0
    pointed: int = 0
    failed: int = 0


def runs_sweep() -> SweepReport:
    """Return lapsed runs to the queue or end them, repeat lost checks, send lost nudges again."""
    report = SweepReport()
    moment = now()
    due = Q(status__in=OPEN, deadline__lt=moment) | Q(status=RunStatus.RUNNING, lease_until__lt=moment)
    for run_id in list(Run.objects.filter(due).order_by("deadline").values_list("pk", flat=True)[:_BATCH]):
        try:
            _sweep_one(run_id, due, report)
        except Exception:  # one bad row must not keep the others waiting
            log.exception("sweep.failed", run=str(run_id))
            report.failed += 1
    _apart(report, _let_through, "sweep.queue_failed")
    _apart(report, _reruns, "sweep.reruns_failed")
    _apart(report, _point, "sweep.point_failed")
    return report


def _apart(report: SweepReport, act: Callable[[SweepReport], None], event: str) -> None:
    """What fails here is no reason to stop sweeping."""
    try:
        act(report)
    except Exception:
        log.exception(event)
        report.failed += 1


def _let_through(report: SweepReport) -> None:
    with transaction.atomic():
        report.let_through = passed_over()


def _reruns(report: SweepReport) -> None:
    report.rerun = reruns_continue()


def _point(report: SweepReport) -> None:
    """A server of the version before took these in, and does not point a submission at its run."""
    first = Run.objects.filter(submission=OuterRef("pk")).order_by("created_at").values("pk")[:1]
    lost = Submission.everything.filter(run=None, runs__isnull=False)
    report.pointed = Submission.everything.filter(pk__in=lost.values("pk")).update(run=Subquery(first))


def _sweep_one(run_id: object, due: Q, report: SweepReport) -> None:
    with transaction.atomic():
        run = Run.objects.select_for_update(skip_locked=True, of=("self",)).filter(due, pk=run_id).first()
        if run is not None:  # else somebody else holds it, or it moved on
            _ACTIONS[RunStatus(run.status)](run, report)


def _received(run: Run, report: SweepReport) -> None:
    run.deadline = now() + timedelta(seconds=settings.TOUCHSTONE_NUDGE_SECONDS)
    run.save(update_fields=["deadline"])
    check_schedule(run_id=run.pk)
    report.rechecked += 1


def _checking(run: Run, report: SweepReport) -> None:
    check_retry(run=run, why="the checker did not answer")
    if run.status == RunStatus.RECEIVED:
        check_schedule(run_id=run.pk)
    report.rechecked += 1


def _queued(run: Run, report: SweepReport) -> None:
    run.deadline = now() + timedelta(seconds=settings.TOUCHSTONE_NUDGE_SECONDS)
    # A server of the version before made it: it says no kind, or that a sandbox needs no CPU.
    complete = run.kind and (run.lane == Lane.QUICK or run.cpus > 0)
    changed = {} if complete else needs_of(submission=run.submission)
    for name, value in changed.items():
        setattr(run, name, value)
    run.save(update_fields=["deadline", *changed])
    nudge(run_id=str(run.pk), queue=run.queue)
    report.nudged += 1


def _running(run: Run, report: SweepReport) -> None:
    if run.cancel_requested:
        run_transition(run=run, to=RunStatus.CANCELLED, reason="Cancelled, as asked; the node no longer answers.")
        report.cancelled += 1
        return
    silent = run.lease_until is not None and run.lease_until < now()
    why = "the node stopped answering" if silent else "the node did not finish within the time limit"
    platform_fault(run=run, code="node_lost" if silent else "node_hung", message=why)
    report.lapsed += 1


_ACTIONS: dict[RunStatus, Callable[[Run, SweepReport], None]] = {
    RunStatus.RECEIVED: _received,
    RunStatus.CHECKING: _checking,
    RunStatus.QUEUED: _queued,
    RunStatus.RUNNING: _running,
}
