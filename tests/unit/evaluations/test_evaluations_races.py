"""Two of everything at once: the row decides, and each run is scored once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories.server import (
    board_of,
    competition_make,
    node_make,
    participation_make,
    phase_of,
    queued_run,
    result_make,
    run_make,
    submission_make,
)
from tests.factories.threads import together
from touchstone.core.clock import now
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import Fenced, result_accept, run_cancel, run_claim, run_receive, runs_sweep
from touchstone.evaluations.state import IllegalTransition
from touchstone.submissions.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = ["predictions"]


def claim(node):
    return run_claim(node=node, queue="cpu", kinds=KINDS)


def test_two_nodes_never_get_the_same_run() -> None:
    competition = competition_make()
    runs = {str(queued_run(competition).pk) for _ in range(6)}
    nodes = [node_make() for _ in range(8)]

    specs = together([lambda node=node: claim(node) for node in nodes])

    given = [spec.run for spec in specs if spec is not None]
    assert not [spec for spec in specs if isinstance(spec, Exception)]
    assert len(given) == 6
    assert set(given) == runs
    assert set(Run.objects.values_list("attempt", flat=True)) == {1}


def test_one_result_reported_eight_times_at_once_counts_once() -> None:
    run = queued_run()
    node = node_make()
    claim(node)
    run.refresh_from_db()
    report = result_make(run, 0.75)

    answers = together([lambda: result_accept(node=node, result=report) for _ in range(8)])

    assert answers == ["scored"] * 8
    assert run.results.count() == 2
    assert run.events.filter(kind="status", data__to="scored").count() == 1
    entry = board_of(run.submission.phase.competition).entries.get()
    assert (entry.sort_key, entry.n_submissions) == (0.75, 1)


def test_result_and_cancel_at_once_leave_one_final_state() -> None:
    for _ in range(5):
        run = queued_run()
        node = node_make()
        claim(node)
        run.refresh_from_db()
        user = run.submission.participation.user
        fresh = Run.objects.select_related("submission__participation", "submission__phase__competition").get(pk=run.pk)

        together([
            lambda node=node, run=run: result_accept(node=node, result=result_make(run)),
            lambda fresh=fresh, user=user: run_cancel(run=fresh, user=user),
        ])  # fmt: skip

        run.refresh_from_db()
        assert run.status in (RunStatus.SCORED, RunStatus.CANCELLED)
        assert run.results.count() == (2 if run.status == RunStatus.SCORED else 0)


def test_two_sweepers_send_a_lapsed_run_back_once() -> None:
    run = queued_run()
    claim(node_make())
    Run.objects.update(lease_until=now() - timedelta(seconds=1))

    reports = together([runs_sweep, runs_sweep, runs_sweep])

    run.refresh_from_db()
    assert sum(report.lapsed for report in reports) == 1
    assert (run.status, run.faults, run.attempt) == (RunStatus.QUEUED, 1, 1)


def test_late_result_and_sweep_at_once_never_do_both() -> None:
    for _ in range(5):
        run = queued_run()
        node = node_make()
        claim(node)
        run.refresh_from_db()
        Run.objects.filter(pk=run.pk).update(lease_until=now() - timedelta(seconds=1))

        answer, _ = together([lambda node=node, run=run: result_accept(node=node, result=result_make(run)), runs_sweep])

        run.refresh_from_db()
        if run.status == RunStatus.SCORED:
            assert answer == "scored"
        else:
            assert run.status == RunStatus.QUEUED
            assert isinstance(answer, Fenced)
            assert not run.results.exists()
        Run.objects.all().delete()


def test_runs_of_one_participant_scored_at_once_are_all_counted() -> None:
    competition = competition_make()
    participation = participation_make(competition)
    node = node_make()
    runs = [
        run_make(
            submission_make(participation),
            RunStatus.RUNNING,
            attempt=1,
            node=node,
            lease_until=now() + timedelta(minutes=1),
        )
        for _ in range(8)
    ]

    answers = together([
        lambda run=run, i=i: result_accept(node=node, result=result_make(run, i / 10)) for i, run in enumerate(runs)
    ])  # fmt: skip

    assert answers == ["scored"] * 8
    entry = board_of(competition).entries.get()
    assert (entry.n_submissions, entry.sort_key, entry.run_id) == (8, 0.7, runs[7].pk)
    assert board_of(competition).version == 8


def test_cancel_and_claim_at_once() -> None:
    for _ in range(5):
        run = queued_run()
        node = node_make()
        fresh = Run.objects.select_related("submission__participation", "submission__phase__competition").get(pk=run.pk)

        user = fresh.submission.participation.user
        spec, cancelled = together([
            lambda node=node: claim(node), lambda fresh=fresh, user=user: run_cancel(run=fresh, user=user)
        ])  # fmt: skip

        run.refresh_from_db()
        assert not isinstance(spec, Exception)
        assert not isinstance(cancelled, Exception) or isinstance(cancelled, IllegalTransition)
        if spec is None:
            assert run.status == RunStatus.CANCELLED
        else:
            assert run.status == RunStatus.RUNNING
            assert run.cancel_requested
        Run.objects.all().delete()


def test_receive_gives_one_seed_that_json_can_hold() -> None:
    competition = competition_make()
    submission: Submission = submission_make(participation_make(competition), phase_of(competition))

    run = run_receive(submission=submission)

    assert 0 <= run.seed < 2**53
    assert run.status == RunStatus.RECEIVED
    assert run.deadline is not None
