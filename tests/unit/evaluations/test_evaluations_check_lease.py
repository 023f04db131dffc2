"""A check that is being made keeps its deadline away; one that was killed is repeated within seconds."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest

from tests.factories.server import competition_make, participation_make, run_make, submission_make
from touchstone.core.clock import now
from touchstone.evaluations.intake import IntakeReport
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import checks, run_check, runs_sweep


@pytest.mark.django_db(transaction=True)
def test_a_long_check_is_renewed_and_not_doubled(monkeypatch, settings) -> None:
    settings.TOUCHSTONE_CHECK_LEASE_SECONDS = 0.3
    sent: list[str] = []
    monkeypatch.setattr("touchstone.core.tasks._send", lambda name, args, **_: sent.append(name))
    run = run_make(submission_make(participation_make(competition_make())), RunStatus.RECEIVED)
    renewed = Event()

    def look(_: Run) -> IntakeReport:
        """Ends when the deadline was moved on twice after it had been overdue."""
        for _ in range(2):
            Run.objects.filter(pk=run.pk).update(deadline=now() - timedelta(seconds=1))
            while Run.objects.get(pk=run.pk).deadline < now():
                renewed.wait(0.02)
        assert runs_sweep().rechecked == 0
        return IntakeReport()

    monkeypatch.setattr(checks, "_look", look)

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert (run.status, run.checks) == (RunStatus.QUEUED, 1)
    assert "touchstone.submission_check" not in sent


@pytest.mark.django_db
def test_a_check_that_was_killed_is_due_soon_and_given_out_again_at_once(monkeypatch, settings) -> None:
    scheduled: list[object] = []
    monkeypatch.setattr(
        "touchstone.evaluations.services.sweeps.check_schedule", lambda run_id: scheduled.append(run_id)
    )
    run = run_make(submission_make(participation_make(competition_make())), RunStatus.RECEIVED)
    before = now()
    checks._begin(run.pk)  # and then the process is gone

    run.refresh_from_db()
    # With a sweep every five seconds, the next check begins within twenty.
    assert (
        run.deadline - before <= timedelta(seconds=settings.TOUCHSTONE_CHECK_LEASE_SECONDS + 1) <= timedelta(seconds=16)
    )
    assert runs_sweep().rechecked == 0
    Run.objects.update(deadline=now() - timedelta(seconds=1))
    assert runs_sweep().rechecked == 1
    assert scheduled == [run.pk]
