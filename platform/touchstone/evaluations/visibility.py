"""What a phase's feedback lets a participant see of a run. Organisers see everything.

A submission is code of strangers that is shown hidden inputs: whatever it can make us print, it can tell its author.
So where feedback is less than full, nothing is told but states, the names of stages and how far they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.utils.translation import gettext as _

from touchstone.competitions.models import DataSplit, Phase
from touchstone.competitions.selectors import feedback_of, phase_finalists, phase_is_over
from touchstone.evaluations.models import Result, Run, RunEvent, RunStatus
from touchstone.evaluations.validity import blunted

_DECIMALS = 2


def results_hidden(*, run: Run, phase: Phase) -> str:
    """Why a participant is not told the results of a scored run; empty where they are."""
    if run.status != RunStatus.SCORED or feedback_of(phase=phase) in ("full", "rounded") or phase_is_over(phase=phase):
        return ""
    if phase_finalists(phase=phase):
        return _("These are the finals: their results are shown when the organisers publish the ranking.")
    # What is not known to tell, does not.
    if phase.closes is None:
        return _("This phase gives no feedback: its results are for the organisers to publish.")
    text = _("This phase gives no feedback while it runs: results are shown when it closes, %(when)s.")
    return text % {"when": f"{phase.closes:%Y-%m-%d %H:%M} UTC"}


def log_hidden(*, phase: Phase) -> bool:
    """Whether participants are kept from what their runs wrote about the phase's own data.

    `logs: auto` shows it, but not where inputs are secret and feedback is not full: the log may hold inputs. For good,
    for the inputs stay secret when the phase is over.
    """
    if phase.logs == "auto":
        return feedback_of(phase=phase) != "full" and phase.split.visibility == DataSplit.Visibility.HIDDEN
    return phase.logs != "full"


def sample_log_hidden(*, phase: Phase) -> bool:
    """Whether participants are kept from what their runs wrote about the public sample, too."""
    return phase.logs == "none"


def results_blunted(*, results: Iterable[Result], phase: Phase) -> list[Result]:
    """The results as participants get them: while a phase with rounded feedback runs, two decimals and no intervals.

    Changed in memory only; `details` may hold curves that would tell the exact value, so of them only the verdict of
    the checks is left.
    """
    found = list(results)
    if phase.feedback == "rounded" and not phase_is_over(phase=phase):
        for result in found:
            result.value = None if result.value is None else round(result.value, _DECIMALS)
            result.low = result.high = None
            result.details = blunted(result.details)
    return found


def events_shown(*, events: Iterable[RunEvent], phase: Phase) -> list[RunEvent]:
    """The events as participants get them. Changed in memory only."""
    if feedback_of(phase=phase) == "full" or phase_is_over(phase=phase):
        return list(events)
    return list(_blunted(events))


def _blunted(events: Iterable[RunEvent]) -> Iterator[RunEvent]:
    for event in events:
        if "node_at" not in event.data:  # our own words about the run, not a node's about the data
            yield event
        elif event.kind in ("stage", "progress"):
            stage = str(event.data.get("stage") or (event.message if event.kind == "stage" else "working"))
            share = event.data.get("share")
            event.message = stage
            event.data = {"stage": stage} | ({"share": share} if isinstance(share, (int, float)) else {})
            yield event
