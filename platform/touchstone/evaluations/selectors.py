"""Reading runs: what a person may see of one, at any time."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from touchstone.competitions.selectors import Viewer, is_organiser
from touchstone.core.clock import now
from touchstone.evaluations.explanations import Explanation, explain
from touchstone.evaluations.models import Node, Result, Run, RunEvent, RunStatus
from touchstone.evaluations.state import FINAL
from touchstone.evaluations.visibility import events_shown, log_hidden, results_blunted, results_hidden

_RECENT = 20


@dataclass(frozen=True)
class RunView:
    """A run as one person may see it. `results` is empty, and `results_hidden` says why, where feedback forbids it.

    `position` counts from 1; `estimated_start` is None where nothing is known, and never past. `not_enforced` lists
    the limits that the engine could not enforce.
    """

    run: Run
    status: str
    attempt: int
    is_final: bool
    position: int | None
    estimated_start: datetime | None
    nodes_online: int | None
    explanation: Explanation
    events: list[RunEvent]
    log: str
    results: list[Result]
    results_hidden: str
    not_enforced: list[str]


def run_view(*, run: Run, user: Viewer) -> RunView:
    """What `user` may see of `run`. The caller has made sure that they may see the run at all."""
    phase = run.submission.phase
    organiser = is_organiser(user=user, competition=phase.competition)
    hidden = "" if organiser else results_hidden(run=run, phase=phase)
    position = queue_position(run=run) if run.status == RunStatus.QUEUED else None
    online = nodes_online(run=run) if run.status == RunStatus.QUEUED else None
    return RunView(
        run=run,
        status=str(run.status),
        attempt=run.attempt,
        is_final=run.status in FINAL,
        position=position,
        estimated_start=_estimate(run, position, online),
        nodes_online=online,
        explanation=explain(
            run=run,
            position=position,
            nodes_online=online,
            results_hidden=hidden,
            log_hidden=not organiser and log_hidden(phase=phase),
        ),
        events=_events(run, organiser),
        log=_log(run, organiser),
        results=_results(run, organiser),
        results_hidden=hidden,
        not_enforced=list((run.engine or {}).get("not_enforced", ())),
    )


def run_results(*, run: Run, user: Viewer) -> list[Result]:
    """The results that `user` may see, in order. Rounded feedback has two decimals and no intervals."""
    return _results(run, is_organiser(user=user, competition=run.submission.phase.competition))


def _results(run: Run, organiser: bool) -> list[Result]:
    phase = run.submission.phase
    if organiser:
        return list(run.results.all())
    if results_hidden(run=run, phase=phase):
        return []
    return results_blunted(results=run.results.all(), phase=phase)


def run_events(*, run: Run, user: Viewer, after: int = 0) -> list[RunEvent]:
    """The run's history after the event numbered `after`, as far as the phase's feedback allows."""
    return _events(run, is_organiser(user=user, competition=run.submission.phase.competition), after)


def _events(run: Run, organiser: bool, after: int = 0) -> list[RunEvent]:
    events = run.events.filter(sequence__gt=after).order_by("sequence")
    return list(events) if organiser else events_shown(events=events, phase=run.submission.phase)


def run_log(*, run: Run, user: Viewer) -> str:
    """The log of the last attempt, as far as the phase allows."""
    return _log(run, is_organiser(user=user, competition=run.submission.phase.competition))


def _log(run: Run, organiser: bool) -> str:
    return run.log if organiser or not log_hidden(phase=run.submission.phase) else ""


def queue_position(*, run: Run) -> int | None:
    """The run's place in its queue, from 1; None where it does not wait."""
    if run.queued_at is None:
        return None
    ahead = Q(queued_at__lt=run.queued_at) | Q(queued_at=run.queued_at, pk__lt=run.pk)
    return Run.objects.filter(ahead, status=RunStatus.QUEUED, queue=run.queue).count() + 1


def nodes_online(*, run: Run) -> int:
    """How many nodes that could run it were seen lately: right queue, and this kind of submission."""
    since = now() - timedelta(seconds=settings.TOUCHSTONE_NODE_ONLINE_SECONDS)
    hellos = Node.objects.filter(seen_at__gte=since, disabled_at=None).values_list("hello", flat=True)
    return sum(_can_run(hello, run) for hello in hellos)


def _can_run(hello: dict, run: Run) -> bool:  # type: ignore[type-arg]
    if run.queue not in hello.get("queues", [run.queue]):
        return False
    return run.submission.kind in hello.get("kinds", ())


def _estimate(run: Run, position: int | None, online: int | None) -> datetime | None:
    """Now, plus the usual duration of a run of this phase for each that is ahead, over the nodes there are.

    Not before the pause that a lost attempt is given.
    """
    if not position or not online:
        return None
    recent = Run.objects.filter(
        status=RunStatus.SCORED, submission__phase=run.submission.phase, started_at__isnull=False
    )
    spans = [
        (finished - started).total_seconds()
        for started, finished in recent.order_by("-finished_at").values_list("started_at", "finished_at")[:_RECENT]
    ]
    if not spans:
        return None
    moment = now()
    usual = max(0.0, statistics.median(spans))  # a node's clock may run behind
    return max(run.not_before or moment, moment + timedelta(seconds=usual * (position - 1) / online))
