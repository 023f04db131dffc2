"""Queues with people in them: what the tests of who is next share."""

from __future__ import annotations

from datetime import timedelta

from tests.factories.server import competition_make, phase_of, submission_make
from touchstone.core.clock import now
from touchstone.evaluations.models import Node, Run, RunStatus
from touchstone.evaluations.services import run_claim, run_receive
from touchstone.evaluations.services.runs import run_enqueue
from touchstone.evaluations.state import run_transition

KINDS = ["predictions", "model", "code", "container"]


def arena(priority: int = 0, **resources):
    """A competition for models that may take 100 s each."""
    phases = [{"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "priority": priority}]
    submission = {"kinds": ["predictions", "model"], "resources": {"time": 100, **resources}}
    return competition_make(
        phases=phases, submission=submission, input={"kind": "tabular", "shape": [1], "features": ["a"]}
    )


def send(participation, n: int = 1, kind: str = "model") -> list[Run]:
    """As if `n` submissions had passed their checks one after the other."""
    made = []
    for _ in range(n):
        submission = submission_make(participation, phase_of(participation.competition), kind=kind)
        run = run_receive(submission=submission)
        run_transition(run=run, to=RunStatus.CHECKING, reason="")
        made.append(run_enqueue(run=run, reason=""))
    return made


def take(node: Node, *, end: bool = True, kinds=KINDS, queue: str = "cpu") -> Run | None:
    """Claim a run. `end`: it is over at once, and took as long as it might have."""
    spec = run_claim(node=node, queue=queue, kinds=kinds)
    if spec is None:
        return None
    run = Run.objects.get(pk=spec.run)
    if end:
        Run.objects.filter(pk=run.pk).update(status=RunStatus.SCORED, finished_at=now())
    return run


def serve(node: Node, seconds: float, capture) -> Run:
    """Claim a run that ends, as a report would end it, after `seconds`. `capture`: pytest-django's of callbacks."""
    run = take(node, end=False)
    assert run is not None
    Run.objects.filter(pk=run.pk).update(started_at=now() - timedelta(seconds=seconds))
    with capture(execute=True):
        return run_transition(run=run, to=RunStatus.SCORED, reason="")


def names(runs) -> str:
    """The first letters of those whose turn it was."""
    return "".join(run.submission.participation.display_name[0] for run in runs)
