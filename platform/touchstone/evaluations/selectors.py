"""Reading runs: what a person may see of one, at any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from touchstone.competitions.selectors import Viewer, is_organiser
from touchstone.evaluations.explanations import Explanation, explain
from touchstone.evaluations.logs import LogPlace, log_place
from touchstone.evaluations.models import Result, Run, RunEvent
from touchstone.evaluations.queue_selectors import queue_position, waiting_of
from touchstone.evaluations.state import FINAL
from touchstone.evaluations.visibility import (
    events_shown,
    log_hidden,
    results_blunted,
    results_hidden,
    sample_log_hidden,
)

__all__ = [
    "LogsShown", "RunView", "logs_shown", "queue_position", "run_events", "run_log", "run_results", "run_view",
]  # fmt: skip


@dataclass(frozen=True)
class LogsShown:
    """Which of a run's two logs somebody may see, and why not the whole."""

    sample: bool
    whole: bool
    reason: str = ""

    def place(self, run: Run) -> LogPlace:
        """How far somebody is who has just been shown the logs of `run`."""
        return log_place(run=run, sample=self.sample, whole=self.whole)


@dataclass(frozen=True)
class RunView:
    """A run as one person may see it. `results` is empty, and `results_hidden` says why, where feedback forbids it.

    `position` counts from 1; `estimated_start` is None where nothing is known, and never past. `sample_log` is what
    the run wrote about the public sample, `log` what it wrote then. `not_enforced` lists the limits that the engine
    could not enforce.
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
    sample_log: str
    logs: LogsShown
    results: list[Result]
    results_hidden: str
    not_enforced: list[str]


def run_view(*, run: Run, user: Viewer) -> RunView:
    """What `user` may see of `run`. The caller has made sure that they may see the run at all."""
    phase = run.submission.phase
    organiser = is_organiser(user=user, competition=phase.competition)
    hidden = "" if organiser else results_hidden(run=run, phase=phase)
    waits = waiting_of(run=run)
    shown = logs_shown(run=run, user=user, organiser=organiser)
    return RunView(
        run=run,
        status=str(run.status),
        attempt=run.attempt,
        is_final=run.status in FINAL,
        position=waits.position,
        estimated_start=waits.estimated_start,
        nodes_online=waits.nodes_online,
        explanation=explain(
            run=run,
            position=waits.position,
            nodes_online=waits.nodes_online,
            lacking=waits.lacking,
            results_hidden=hidden,
            log_hidden=not shown.whole,
        ),
        events=_events(run, organiser),
        log=run.log if shown.whole else "",
        sample_log=run.sample_log if shown.sample else "",
        logs=shown,
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


def run_events(*, run: Run, user: Viewer, after: int = 0, organiser: bool | None = None) -> list[RunEvent]:
    """The run's history after the event numbered `after`, as far as the phase's feedback allows.

    `organiser`: whether `user` organises the competition, where the caller knows.
    """
    if organiser is None:
        organiser = is_organiser(user=user, competition=run.submission.phase.competition)
    return _events(run, organiser, after)


def _events(run: Run, organiser: bool, after: int = 0) -> list[RunEvent]:
    events = run.events.filter(sequence__gt=after).order_by("sequence")
    return list(events) if organiser else events_shown(events=events, phase=run.submission.phase)


def logs_shown(*, run: Run, user: Viewer, organiser: bool | None = None) -> LogsShown:
    """Which logs of `run` this person may see. `organiser`: whether they organise, where the caller knows."""
    phase = run.submission.phase
    if organiser if organiser is not None else is_organiser(user=user, competition=phase.competition):
        return LogsShown(sample=True, whole=True)
    if sample_log_hidden(phase=phase):
        return LogsShown(sample=False, whole=False, reason=_("This phase shows no logs to participants."))
    if log_hidden(phase=phase):
        reason = _("This phase keeps what runs write about its own data: the log might hold inputs that are secret.")
        return LogsShown(sample=True, whole=False, reason=reason)
    return LogsShown(sample=True, whole=True)


def run_log(*, run: Run, user: Viewer, part: str = "all") -> str:
    """The log of the last attempt, as far as the phase allows. `part`: all, sample or run."""
    shown = logs_shown(run=run, user=user)
    sample = run.sample_log if shown.sample and part in ("all", "sample") else ""
    rest = run.log if shown.whole and part in ("all", "run") else ""
    return f"{sample}\n{rest}" if sample and rest and not sample.endswith("\n") else sample + rest
