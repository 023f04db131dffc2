"""Evaluating again: the old result stays until the new one is there, and costs nobody anything."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
from django.db import connection

from tests.factories.reruns import again, evaluate, scored, shown
from tests.factories.server import (
    board_of,
    competition_make,
    participation_make,
    phase_of,
    run_make,
    submission_make,
    user_make,
)
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.evaluations.models import Rerun, Run, RunStatus
from touchstone.evaluations.rerun_selectors import (
    again_of,
    again_run,
    earlier_runs,
    rerun_progress,
    scored_before,
    scored_otherwise,
)
from touchstone.evaluations.services import (
    rerun_continue,
    run_cancel,
    runs_sweep,
    submission_rerun,
)
from touchstone.evaluations.services import reruns as service
from touchstone.evaluations.shares import LET_THROUGH, RERUN
from touchstone.submissions.models import Submission
from touchstone.submissions.selectors import quota

pytestmark = pytest.mark.django_db


def test_the_old_result_counts_until_the_new_one_is_there() -> None:
    competition = competition_make()
    submission = scored(competition, 0.9)
    before = quota(participation=submission.participation, phase=phase_of(competition))
    version = board_of(competition).version

    run = again(submission)

    old = submission.run
    assert Submission.objects.get(pk=submission.pk).run_id == old.pk != run.pk
    assert (run.seed, run.counts_quota) == (old.seed, old.counts_quota)
    assert shown(competition) == [0.9]
    assert again_of(submissions=[submission.pk]) == {submission.pk}
    assert again_run(submission=submission) == run
    assert evaluate(0.6).pk == run.pk
    now = Submission.objects.get(pk=submission.pk)
    assert now.run_id == run.pk
    assert shown(competition) == [0.6], "worse than the old one, and yet what counts"
    assert board_of(competition).entries.get().n_submissions == 1
    assert quota(participation=submission.participation, phase=phase_of(competition)) == before
    assert again_of(submissions=[submission.pk]) == set()
    (earlier,) = earlier_runs(submission=now, user=competition.owner)
    assert (earlier.run.pk, earlier.differences[0].change) == (old.pk, pytest.approx(-0.3))
    assert board_of(competition).version > version


def test_what_fails_leaves_the_old_result() -> None:
    competition = competition_make()
    submission = scored(competition, 0.9)
    run = again(submission)

    assert evaluate(None).status == RunStatus.FAILED

    submission.refresh_from_db()
    assert submission.run_id != run.pk
    assert shown(competition) == [0.9]
    assert again_run(submission=submission).pk == run.pk, "the page tells that it failed"
    assert earlier_runs(submission=submission, user=competition.owner) == []


def test_one_that_was_never_scored_shows_its_new_run_at_once() -> None:
    competition = competition_make()
    submission = submission_make(participation_make(competition))
    run_make(submission, RunStatus.FAILED, verdict="platform", counts_quota=False)

    run = again(submission)

    assert Submission.objects.get(pk=submission.pk).run_id == run.pk
    evaluate(0.7)
    assert shown(competition) == [0.7]
    assert quota(participation=submission.participation, phase=submission.phase).used_total == 0


def test_it_waits_behind_what_participants_send() -> None:
    competition = competition_make()
    submission = scored(competition, 0.9)
    run = again(submission)
    fresh = scored(competition, 0.5)

    assert fresh.run.status == RunStatus.SCORED, "it came later, and was first"
    assert (run.priority, run.share) == (RERUN, competition.owner_id)
    Run.objects.filter(pk=run.pk).update(priority=LET_THROUGH)
    evaluate(0.8)  # its share is settled in its own class, or this raises


def test_who_may_and_what_must_be_said() -> None:
    competition = competition_make()
    submission = scored(competition)

    with pytest.raises(NotAllowed):
        submission_rerun(submissions=[submission], by=submission.participation.user, reason="mine")
    with pytest.raises(UserError, match="Say why"):
        submission_rerun(submissions=[submission], by=competition.owner, reason=" ")
    with pytest.raises(Conflict):
        submission_rerun(submissions=[], by=competition.owner, reason="none")
    other = scored(competition_make(competition.owner))
    with pytest.raises(UserError, match="several"):
        submission_rerun(submissions=[submission, other], by=competition.owner, reason="both")
    assert not Rerun.objects.exists()
    run = again(submission)
    with pytest.raises(NotAllowed):
        run_cancel(run=run, user=submission.participation.user)
    assert run_cancel(run=run, user=competition.owner).status == RunStatus.CANCELLED


def test_many_are_begun_in_parts_and_the_sweeper_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_AT_ONCE", 1)
    monkeypatch.setattr(service, "_BATCH", 1)
    competition = competition_make()
    many = [scored(competition, 0.5) for _ in range(4)]
    withdrawn = many[3]
    Submission.objects.filter(pk=withdrawn.pk).update(withdrawn_at=withdrawn.created_at)

    made = submission_rerun(submissions=[*many[:2], many[3]], by=competition.owner, reason="all", what="chosen")

    assert (made.total, len(made.waiting)) == (3, 2)
    assert rerun_continue(rerun_id=made.pk) == 1
    assert runs_sweep().rerun == 1
    made.refresh_from_db()
    progress = rerun_progress(reruns=[made])[made.pk]
    assert (progress.waiting, progress.open, progress.skipped, progress.done, progress.over) == (0, 2, 1, 1, False)
    evaluate(0.4)
    evaluate(0.3)
    progress = rerun_progress(reruns=[made])[made.pk]
    assert (progress.scored, progress.over) == (2, True)


def test_what_was_scored_before_a_change_is_found() -> None:
    competition = competition_make()
    submission = scored(competition)
    assert submission.run.competition_version == 1
    assert set(submission.run.metric_versions) == {"performance.accuracy", "performance.log_loss"}

    assert list(scored_before(competition=competition, version=2)) == [submission]
    assert not scored_before(competition=competition, version=1).exists()
    assert not scored_otherwise(competition=competition, metric="performance.log_loss").exists()
    competition.spec["metrics"][1]["eps"] = 1e-6
    assert list(scored_otherwise(competition=competition, metric="performance.log_loss")) == [submission]
    assert not scored_otherwise(competition=competition, metric="performance.accuracy").exists()
    Run.objects.update(competition_version=None)
    assert list(scored_before(competition=competition, version=1)) == [submission], "nothing is known of it"


def test_what_a_server_of_the_version_before_took_in_is_pointed_at_its_run() -> None:
    submission = submission_make(participation_make(competition_make()))
    run = run_make(submission)
    Submission.objects.update(run=None)

    assert runs_sweep().pointed == 1
    assert runs_sweep().pointed == 0
    assert Submission.objects.get().run_id == run.pk


def test_a_participant_gets_no_earlier_results_that_the_phase_hides() -> None:
    competition = competition_make(
        user_make(), phases=[{"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "feedback": "none"}]
    )
    submission = scored(competition, 0.9)
    again(submission)
    evaluate(0.8)
    now = Submission.objects.get(pk=submission.pk)

    (earlier,) = earlier_runs(submission=now, user=submission.participation.user)

    assert earlier.differences == []


def test_the_migration_points_each_submission_at_its_run() -> None:
    competition = competition_make()
    runs = [run_make(submission_make(participation_make(competition))) for _ in range(3)]
    Submission.objects.update(run=None)
    migration = importlib.import_module("touchstone.submissions.migrations.0004_submission_run")

    migration.fill(None, SimpleNamespace(connection=connection))

    assert set(Submission.objects.values_list("pk", "run")) == {(run.submission_id, run.pk) for run in runs}
