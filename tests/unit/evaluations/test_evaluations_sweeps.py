"""The sweeper: nothing is lost, whatever message or process is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories.server import (
    competition_make,
    node_make,
    participation_make,
    queued_run,
    run_make,
    submission_make,
)
from touchstone.core.clock import now
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import lease_renew, run_cancel, run_claim, runs_sweep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(monkeypatch) -> list[tuple[str, list[str], str]]:
    """What would have gone to the broker."""
    messages: list[tuple[str, list[str], str]] = []
    monkeypatch.setattr(
        "touchstone.core.tasks._send", lambda name, args, **options: messages.append((name, args, options["queue"]))
    )
    return messages


def past() -> object:
    return now() - timedelta(seconds=1)


def lapse(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(lease_until=past())


def test_nothing_due_is_left_alone(sent) -> None:
    queued_run()

    report = runs_sweep()

    assert set(vars(report).values()) == {0}
    assert sent == []


def test_a_lost_nudge_is_sent_again_and_not_at_every_sweep(sent) -> None:
    run = queued_run(deadline=past())

    assert runs_sweep().nudged == 1
    assert runs_sweep().nudged == 0

    assert sent == [("touchstone.nudge", [str(run.pk)], "cpu")]


def test_a_lapsed_lease_goes_back_three_times_then_fails(sent) -> None:
    run = queued_run()
    states = []
    for _ in range(3):
        run_claim(node=node_make(), queue="cpu", kinds=["predictions"])
        lapse(run)
        assert runs_sweep().lapsed == 1
        run.refresh_from_db()
        states.append((run.status, run.attempt, run.faults))

    assert states == [("queued", 1, 1), ("queued", 2, 2), ("failed", 3, 3)]
    assert (run.verdict, run.code, run.counts_quota) == ("platform", "node_lost", False)
    assert [name for name, *_ in sent] == ["touchstone.nudge"] * 2


def test_a_node_that_renews_for_ever_is_not_believed(sent) -> None:
    run = queued_run()
    node = node_make()
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    lease_renew(node=node, run_id=run.pk, attempt=1)
    Run.objects.update(deadline=past())

    runs_sweep()

    run.refresh_from_db()
    assert (run.status, run.faults) == (RunStatus.QUEUED, 1)
    assert "time limit" in run.events.filter(kind="note").get().message


def test_a_cancelled_run_of_a_lost_node_ends(sent) -> None:
    run = queued_run()
    run_claim(node=node_make(), queue="cpu", kinds=["predictions"])
    run_cancel(run=run, user=run.submission.participation.user)
    lapse(run)

    assert runs_sweep().cancelled == 1

    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED


def test_a_lost_check_is_made_again_and_given_up_after_three(sent) -> None:
    submission = submission_make(participation_make(competition_make()))
    run = run_make(submission, RunStatus.RECEIVED, deadline=past())

    assert runs_sweep().rechecked == 1
    Run.objects.update(status=RunStatus.CHECKING, checks=1, deadline=past())
    runs_sweep()
    run.refresh_from_db()
    assert run.status == RunStatus.RECEIVED
    Run.objects.update(status=RunStatus.CHECKING, checks=3, deadline=past())
    runs_sweep()

    run.refresh_from_db()
    assert (run.status, run.code, run.counts_quota) == (RunStatus.FAILED, "check_broken", False)
    assert sent == [("touchstone.submission_check", [str(run.pk)], "server")] * 2


def test_one_broken_row_does_not_stop_the_others(sent, monkeypatch) -> None:
    queued_run(deadline=past())
    queued_run(deadline=past())
    calls = []

    def sometimes(**options):
        calls.append(options)
        if len(calls) == 1:
            raise RuntimeError("bad row")

    monkeypatch.setattr("touchstone.evaluations.services.sweeps.nudge", sometimes)

    report = runs_sweep()

    assert (report.failed, report.nudged) == (1, 1)


def test_a_dead_broker_breaks_nothing(monkeypatch) -> None:
    from touchstone.config import celery_app

    def refused(*_, **__):
        raise ConnectionRefusedError("no Redis")

    monkeypatch.setattr(celery_app, "send_task", refused)
    monkeypatch.setattr("touchstone.core.tasks._quiet_until", 0.0)
    run = queued_run(deadline=past())

    assert runs_sweep().nudged == 1
    run.refresh_from_db()
    assert run.status == RunStatus.QUEUED
