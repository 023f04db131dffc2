"""Withdrawing: out of the ranking, never out of the record."""

from __future__ import annotations

import pytest

from tests.factories.reruns import evaluate, scored, shown
from tests.factories.server import board_of, competition_make, participation_make, run_make, submission_make, user_make
from touchstone.audit.models import AuditEntry
from touchstone.core.errors import NotAllowed, UserError
from touchstone.evaluations.models import RunStatus
from touchstone.leaderboards.services import leaderboard_rebuild
from touchstone.submissions.models import Submission
from touchstone.submissions.withdrawing import submission_withdraw, withdrawn_text

pytestmark = pytest.mark.django_db


def test_the_next_best_takes_its_place() -> None:
    competition = competition_make()
    participation = participation_make(competition)
    worse, best = (scored(competition, value, participation) for value in (0.6, 0.9))
    assert shown(competition) == [0.9]

    row = submission_withdraw(submission=best, by=competition.owner, reason="a copy of another's")

    entry = board_of(competition).entries.get()
    assert (entry.sort_key, entry.run_id, entry.n_submissions) == (0.6, worse.run_id, 1)
    assert withdrawn_text(row) == f"withdrawn on {row.withdrawn_at:%Y-%m-%d} by the organisers: a copy of another's"
    assert leaderboard_rebuild(leaderboard=board_of(competition)) == 1
    assert shown(competition) == [0.6], "a rebuild does not bring it back"
    submission_withdraw(submission=worse, by=participation.user)
    assert shown(competition) == []
    assert AuditEntry.objects.filter(act="submission.withdraw").count() == 2
    assert "its participant" in withdrawn_text(Submission.objects.get(pk=worse.pk))


def test_it_ends_what_runs_and_keeps_a_later_result_off_the_board() -> None:
    competition = competition_make()
    submission = submission_make(participation_make(competition))
    run = run_make(submission)
    submission_withdraw(submission=submission, by=submission.participation.user)
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED

    late = submission_make(submission.participation)
    run_make(late)
    Submission.objects.filter(pk=late.pk).update(withdrawn_at=late.created_at)
    evaluate(0.8)
    assert shown(competition) == []


def test_who_may_and_what_must_be_said() -> None:
    competition = competition_make()
    submission = scored(competition)

    with pytest.raises(NotAllowed):
        submission_withdraw(submission=submission, by=user_make(), reason="envy")
    with pytest.raises(UserError, match="Say why"):
        submission_withdraw(submission=submission, by=competition.owner, reason="")
    first = submission_withdraw(submission=submission, by=competition.owner, reason="one")
    again = submission_withdraw(submission=submission, by=competition.owner, reason="two")
    assert (again.withdrawn_at, again.withdrawn_reason) == (first.withdrawn_at, "one")
