"""Runs from beginning to end, and runs again: what tests of boards and reruns share."""

from __future__ import annotations

from runners.contract import Verdict
from tests.factories.server import (
    board_of,
    metric,
    node_make,
    participation_make,
    result_make,
    run_make,
    submission_make,
)
from touchstone.competitions.models import Competition, Participation
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import result_accept, run_claim, submission_rerun
from touchstone.submissions.models import Submission


def evaluate(value: float | None) -> Run:
    """The next run that waits, as a node does it; None: it fails through the platform, for good."""
    node = node_make()
    spec = run_claim(node=node, queue="cpu", kinds=["predictions", "model", "code", "container"])
    assert spec is not None
    run = Run.objects.get(pk=spec.run)
    if value is None:
        Run.objects.filter(pk=run.pk).update(faults=9)
        result_accept(node=node, result=result_make(run, verdict=Verdict.PLATFORM, code="broken", message="ours"))
    else:
        result_accept(node=node, result=result_make(run, results=(metric(value=value),)))
    run.refresh_from_db()
    return run


def scored(competition: Competition, value: float = 0.9, participation: Participation | None = None) -> Submission:
    made = submission_make(participation or participation_make(competition))
    run_make(made)
    evaluate(value)
    return Submission.objects.get(pk=made.pk)


def shown(competition: Competition) -> list[float | None]:
    return list(board_of(competition).entries.order_by("-sort_key").values_list("sort_key", flat=True))


def again(submission: Submission, reason: str = "a metric was mended") -> Run:
    submission_rerun(submissions=[submission], by=submission.phase.competition.owner, reason=reason)
    return Run.objects.get(submission=submission, rerun__isnull=False, status=RunStatus.QUEUED)
