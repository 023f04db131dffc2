"""A frozen phase takes nothing and its boards stand still; nothing is lost."""

from __future__ import annotations

import io

import pytest

from tests.factories.reruns import again, evaluate, scored, shown
from tests.factories.server import board_of, competition_make, participation_make, phase_of, run_make, submission_make
from touchstone.competitions.freezing import phase_freeze, phase_unfreeze
from touchstone.core.errors import NotAllowed, UserError
from touchstone.leaderboards.services import leaderboard_rebuild
from touchstone.submissions.models import Submission
from touchstone.submissions.services import submission_create

pytestmark = pytest.mark.django_db


def test_nothing_moves_and_then_everything_enters() -> None:
    competition = competition_make()
    phase, owner = phase_of(competition), competition.owner
    old = scored(competition, 0.9)
    changed = again(old)
    fresh = submission_make(participation_make(competition))
    run_make(fresh)

    phase_freeze(phase=phase, by=owner, reason="The labels are being looked at.")
    evaluate(0.7)
    evaluate(0.4)

    assert shown(competition) == [0.9]
    assert leaderboard_rebuild(leaderboard=board_of(competition)) == 1, "nor does a rebuild let anything in"
    assert shown(competition) == [0.9]
    with pytest.raises(UserError, match="The labels are being looked at") as refused:
        submission_create(
            user=fresh.participation.user, phase=phase_of(competition), kind="predictions", file=io.BytesIO(b"id\n")
        )
    assert refused.value.code == "phase_frozen"

    phase_unfreeze(phase=phase_of(competition), by=owner)

    assert shown(competition) == [0.7, 0.4]
    assert Submission.objects.get(pk=old.pk).run_id == changed.pk
    phase_unfreeze(phase=phase_of(competition), by=owner)  # again, and nothing happens


def test_who_may_and_what_must_be_said() -> None:
    competition = competition_make()
    phase = phase_of(competition)
    with pytest.raises(NotAllowed):
        phase_freeze(phase=phase, by=participation_make(competition).user, reason="no")
    with pytest.raises(UserError, match="Say why"):
        phase_freeze(phase=phase, by=competition.owner, reason=" ")
    with pytest.raises(NotAllowed):
        phase_unfreeze(phase=phase, by=participation_make(competition).user)
