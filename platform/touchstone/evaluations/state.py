"""Which moves a run may make, and the only way to make one.

    received → checking → queued → running → scored
                        ↘ rejected         ↘ failed | cancelled

Every state that is not final has a deadline; when it passes, the sweeper acts.
"""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound
from touchstone.evaluations.events import event_add
from touchstone.evaluations.models import Lane, Run, RunStatus
from touchstone.evaluations.shares import spent_of, turn_settle

S = RunStatus

#: From each state, the states it may become.
TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    S.RECEIVED: frozenset({S.CHECKING, S.FAILED, S.CANCELLED}),
    # Back to received: the checker itself broke, which is our fault.
    S.CHECKING: frozenset({S.QUEUED, S.REJECTED, S.RECEIVED, S.FAILED, S.CANCELLED}),
    S.QUEUED: frozenset({S.RUNNING, S.FAILED, S.CANCELLED}),
    # Back to queued: the node was lost, gave the run back, or reported a fault of ours.
    S.RUNNING: frozenset({S.SCORED, S.FAILED, S.CANCELLED, S.QUEUED}),
    S.SCORED: frozenset(),
    S.REJECTED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
}

FINAL = frozenset(status for status, moves in TRANSITIONS.items() if not moves)
OPEN = frozenset(TRANSITIONS) - FINAL


class IllegalTransition(Conflict):
    """The table has no such move."""

    code = "illegal_transition"


def run_lock(*, run_id: object) -> Run:
    """The run with its row locked until the transaction ends. Raises `NotFound`."""
    try:
        return (
            Run.objects.select_for_update(of=("self",)).select_related("submission__phase__competition").get(pk=run_id)
        )
    except Run.DoesNotExist:
        raise NotFound(_("There is no run %(run_id)s.") % {"run_id": run_id}) from None


def run_make_current(*, run: Run) -> None:
    """Let this run be the one that counts for its submission. One that is scored is told of now: now it is shown."""
    run.submission.run = run
    run.submission.save(update_fields=["run"])
    if run.status == S.SCORED:
        from touchstone.hooks.events import run_event  # as below

        run_event(run=run, to=S.SCORED)


def run_transition(*, run: Run, to: RunStatus, reason: str, **fields: Any) -> Run:
    """Move `run` to `to` and write an event. `fields` are set with it.

    The row is locked and read anew, so what counts is its state now, not that of `run`, which is brought up to
    date. A final state gets `finished_at` and loses lease and deadline. Raises `IllegalTransition`.
    """
    with transaction.atomic():
        row = run_lock(run_id=run.pk)
        if to not in TRANSITIONS[RunStatus(row.status)]:
            raise IllegalTransition(
                _("Run %(row)s is %(status)s and cannot become %(to)s.")
                % {"row": row.pk, "status": row.status, "to": to},
                _("Reload the page to see its present state.") if row.status in FINAL else "",
            )
        moment = now()
        changes = _timing(row, to, moment) | fields | {"status": to}
        before = row.status
        for name, value in changes.items():
            setattr(row, name, value)
            setattr(run, name, value)
        row.save(update_fields=list(changes))
        if to in FINAL:
            _settle(row, RunStatus(before), moment)
            if row.rerun_id is not None and to != S.SCORED:
                boards_tell(phase_id=row.submission.phase_id)
        event_add(run=row, kind="status", message=reason, data={"from": str(before), "to": str(to)}, at=moment)
        if to in FINAL:
            # Later than at import: the webhooks build on this app.
            from touchstone.hooks.events import run_event

            run_event(run=row, to=to)
    return row


def boards_tell(*, phase_id: int) -> None:
    """Let copies of a phase's boards be fetched anew, after the commit: what is being evaluated again has changed."""

    def tell() -> None:
        # Later than at import: the boards build on this app. One after the other: nobody waits for two of them.
        from touchstone.leaderboards.models import Leaderboard

        for pk in Leaderboard.objects.filter(phase=phase_id).order_by("pk").values_list("pk", flat=True):
            Leaderboard.objects.filter(pk=pk).update(version=F("version") + 1)

    transaction.on_commit(tell, robust=True)


def _settle(run: Run, before: RunStatus, moment: datetime) -> None:
    """Have its share charged what the run took, after the commit: runs of one person may end at once.

    Lost only with the process, and then the share is charged what the run might have taken. A file that was read has
    taken what it is charged.
    """
    began = before == RunStatus.RUNNING and run.started_at is not None
    if run.charge == 0 or (began and run.lane == Lane.QUICK):
        return
    took = (moment - run.started_at).total_seconds() if began and run.started_at is not None else 0.0
    settle = functools.partial(turn_settle, run_id=run.pk, spent=spent_of(began=began, seconds=took))
    transaction.on_commit(settle, robust=True)


def _timing(run: Run, to: RunStatus, moment: datetime) -> dict[str, Any]:
    """The times that go with a state; a caller may set others."""
    if to in FINAL:
        return {"finished_at": moment, "deadline": None, "lease_until": None}
    if to == S.QUEUED:
        # A run that goes back keeps its place in the queue.
        pause = timedelta(seconds=settings.TOUCHSTONE_NUDGE_SECONDS)
        return {
            "queued_at": run.queued_at or moment, "deadline": moment + pause, "lease_until": None, "node": None,
        }  # fmt: skip
    if to == S.RECEIVED:
        return {"deadline": moment + timedelta(seconds=settings.TOUCHSTONE_NUDGE_SECONDS)}
    if to == S.CHECKING:
        # A lease: the checker moves it on while it works, so a check that was killed with it is soon repeated.
        return {"deadline": moment + timedelta(seconds=settings.TOUCHSTONE_CHECK_LEASE_SECONDS)}
    return {}
