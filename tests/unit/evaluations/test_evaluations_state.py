"""The table of moves, and the one way to make them."""

from __future__ import annotations

import pytest

from tests.factories.server import competition_make, participation_make, run_make, submission_make
from touchstone.evaluations.models import RunStatus
from touchstone.evaluations.state import FINAL, OPEN, TRANSITIONS, IllegalTransition, run_transition

pytestmark = pytest.mark.django_db

ALL = [(a, b) for a in RunStatus for b in RunStatus]


def fresh(status: RunStatus):
    return run_make(submission_make(participation_make(competition_make())), status)


def test_table_covers_every_state() -> None:
    assert set(TRANSITIONS) == set(RunStatus)
    assert {"scored", "rejected", "failed", "cancelled"} == FINAL
    assert {"received", "checking", "queued", "running"} == OPEN


def test_every_final_state_can_be_reached_from_received() -> None:
    seen, todo = set(), [RunStatus.RECEIVED]
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            todo += TRANSITIONS[state]

    assert seen == set(RunStatus)


@pytest.mark.parametrize(("before", "to"), ALL)
def test_moves_follow_the_table(before: RunStatus, to: RunStatus) -> None:
    run = fresh(before)

    if to in TRANSITIONS[before]:
        run_transition(run=run, to=to, reason="because")
        run.refresh_from_db()
        event = run.events.get()
        assert run.status == to
        assert (event.kind, event.message, event.data) == ("status", "because", {"from": before, "to": to})
    else:
        with pytest.raises(IllegalTransition):
            run_transition(run=run, to=to, reason="because")
        run.refresh_from_db()
        assert run.status == before
        assert not run.events.exists()


def test_what_counts_is_the_row_not_the_copy() -> None:
    run = fresh(RunStatus.QUEUED)
    stale = type(run).objects.get(pk=run.pk)
    run_transition(run=run, to=RunStatus.CANCELLED, reason="first")

    with pytest.raises(IllegalTransition):
        run_transition(run=stale, to=RunStatus.RUNNING, reason="second")


def test_open_states_have_a_deadline_and_final_ones_have_none() -> None:
    run = fresh(RunStatus.RECEIVED)
    for to in (RunStatus.CHECKING, RunStatus.QUEUED):
        run.deadline = None
        run.save()
        run_transition(run=run, to=to, reason="x")
        assert run.deadline is not None

    run_transition(run=run, to=RunStatus.FAILED, reason="x")

    assert (run.deadline, run.lease_until) == (None, None)
    assert run.finished_at is not None


def test_events_are_numbered_without_a_gap() -> None:
    run = fresh(RunStatus.RECEIVED)
    for to in (RunStatus.CHECKING, RunStatus.RECEIVED, RunStatus.CHECKING, RunStatus.QUEUED):
        run_transition(run=run, to=to, reason="x")

    assert list(run.events.values_list("sequence", flat=True)) == [1, 2, 3, 4]
