"""The public part of a submission: what a leaderboard shows of it, and where it came from."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.utils.translation import gettext as _

from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import Viewer
from touchstone.core.errors import NotFound
from touchstone.evaluations.models import Result
from touchstone.evaluations.selectors import run_results
from touchstone.leaderboards.filters import Filters, entries_shown, flags_of
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry, LeaderboardEvent
from touchstone.leaderboards.selectors import board_blunt, board_hidden, leaderboards_of
from touchstone.leaderboards.standing import Standing, facts_get
from touchstone.leaderboards.timeline import was_shown
from touchstone.submissions.models import Submission


@dataclass(frozen=True)
class Place:
    """An entry on one board: its rank's range, if one is known, and flags."""

    board: Leaderboard
    entry: LeaderboardEntry
    standing: Standing | None
    flags: list[str]


@dataclass(frozen=True)
class EntryView:
    """A submission as everybody may see it. `places` is empty where it has been replaced by a later one.

    `withdrawn`: it was taken back; then there is nothing else. `results` are as the phase lets the viewer see them.
    """

    submission: Submission
    board: Leaderboard
    places: list[Place]
    results: list[Result]
    withdrawn: bool


def entry_get(*, competition: Competition, user: Viewer, id: uuid.UUID) -> EntryView:  # noqa: A002
    """The public part of a submission that is or was an entry. Raises `NotFound`, hidden or missing alike."""
    missing = NotFound(
        _("There is no entry %(id)s on a leaderboard of %(competition)s that you may see.")
        % {"id": id, "competition": competition.slug},
        _("The leaderboard lists those there are."),
    )
    found = Submission.objects.select_related("participation", "phase__split", "run__node").filter(
        pk=id, phase__competition=competition
    )
    submission = found.first()
    if submission is None or submission.run is None:
        raise missing
    submission.phase.competition = competition
    boards = [board for board in leaderboards_of(competition=competition) if board.phase_id == submission.phase_id]
    for board in boards:
        board.phase.competition = competition
    shown = [board for board in boards if not board_hidden(phase=board.phase, user=user)]
    if not shown:
        raise missing
    if submission.withdrawn_at is not None:
        if LeaderboardEvent.objects.filter(leaderboard__in=shown, run=submission.run, kind="withdrawn").exists():
            return EntryView(submission, shown[0], [], [], withdrawn=True)
        raise missing
    places = [place for board in shown if (place := _place(board, user, submission)) is not None]
    if not places and not _was_shown(shown, user, submission):
        raise missing
    results = run_results(run=submission.run, user=user)
    return EntryView(submission, places[0].board if places else shown[0], places, results, withdrawn=False)


def _place(board: Leaderboard, user: Viewer, submission: Submission) -> Place | None:
    entry = entries_shown(leaderboard=board, filters=Filters()).filter(run__submission=submission).first()
    if entry is None:
        return None
    blunt = board_blunt(phase=board.phase, user=user)
    facts = facts_get(leaderboard=board, found=None, first=None)
    standing = None if blunt else facts.standing(entry.key_low, entry.key_high)
    return Place(board, entry, standing, flags_of(entry, closes=board.phase.closes))


def _was_shown(boards: list[Leaderboard], user: Viewer, submission: Submission) -> bool:
    hidden = LeaderboardEntry.objects.filter(
        leaderboard__in=boards, participation_id=submission.participation_id, hidden=True
    )
    if hidden.exists():
        return False
    events = {
        event.leaderboard_id: event
        for event in LeaderboardEvent.objects.filter(leaderboard__in=boards, run=submission.run, kind="score")
    }
    return any(
        board.pk in events and was_shown(leaderboard=board, user=user, event=events[board.pk]) for board in boards
    )
