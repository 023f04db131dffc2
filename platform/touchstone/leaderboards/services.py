"""Entries of leaderboards: one row per board and participant, written in the transaction that scores a run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models import F

from runners.spec.catalogue_file import Offer
from runners.spec.models import CompetitionSpec, LeaderboardSpec
from touchstone.competitions.models import Participation, Phase
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.state import run_make_current
from touchstone.leaderboards.history import history_add, history_clear, history_mend
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry
from touchstone.leaderboards.ranking import Ranking, columns_offered, rank
from touchstone.submissions.models import Submission, sent

#: Which of two runs an entry keeps. Ties go to the earlier submission, then to the smaller id: the same whatever the
#: order in which results arrive.
_ORDER = {
    "best": "x.sort_key DESC NULLS LAST, x.achieved_at, x.run_id",
    "last": "x.achieved_at DESC, x.run_id DESC",
}
#: Advisory locks of boards: results share a board's, a rebuild has it alone. Without it they would wait for each
#: other's rows for ever.
_LOCK = 0x626F6172
_FIELDS = "run_id, sort_key, key_low, key_high, unranked, achieved_at, scores"

_UPSERT = """
INSERT INTO leaderboards_leaderboardentry AS e
  (leaderboard_id, participation_id, {fields}, n_submissions, hidden)
VALUES (%(board)s, %(participation)s, %(run)s, %(sort_key)s, %(key_low)s, %(key_high)s, %(unranked)s,
  %(achieved_at)s, %(scores)s::jsonb, %(count)s, false)
ON CONFLICT (leaderboard_id, participation_id) DO UPDATE SET
  ({fields}) = (
    SELECT {picked} FROM (VALUES
      (excluded.run_id, excluded.sort_key, excluded.key_low, excluded.key_high, excluded.unranked,
       excluded.achieved_at, excluded.scores),
      (e.run_id, e.sort_key, e.key_low, e.key_high, e.unranked, e.achieved_at, e.scores)
    ) AS x ({fields}) ORDER BY {order} LIMIT 1),
  n_submissions = excluded.n_submissions
"""


def entries_update(*, run: Run) -> None:
    """Bring the boards of the run's phase up to date. Called once, inside the transaction that scored it.

    Calling it again changes nothing: the number of submissions is counted, not added to. The participation's row
    is locked first, so that two runs of one participant scored at once count each other.
    """
    submission = run.submission
    phase = submission.phase
    boards = list(Leaderboard.objects.filter(phase=phase).order_by("pk"))
    _guard(boards, "pg_advisory_xact_lock_shared")
    Participation.objects.select_for_update(no_key=True).get(pk=submission.participation_id)
    if Phase.objects.filter(pk=phase.pk).exclude(frozen_at=None).exists():
        return  # it enters when the phase is no longer frozen
    if Submission.everything.filter(pk=submission.pk).exclude(withdrawn_at=None).exists():
        return
    if submission.run_id != run.pk:  # evaluated again: what it was scored before no longer counts
        run_make_current(run=run)
        _participant_rebuild(boards, phase, submission.participation_id)
        return
    spec = CompetitionSpec.model_validate(phase.competition.spec)
    offer = columns_offered(spec=spec)
    results = {result.key: result for result in run.results.all()}
    count = _count(phase, submission.participation_id)
    rankings = [(board, rank(board=_spec(board), results=results, offer=offer)) for board in boards]
    for board, ranking in rankings:
        _upsert(board, run, ranking, count)
    # Last: the rows of the boards are shared by everybody, so they are held as short as can be.
    for board, ranking in rankings:
        _changed(board)
        history_add(board=board, run=run, ranking=ranking)


def participant_rebuild(*, phase: Phase, participation: Participation) -> None:
    """Compute the entries of one participant anew: their best run that still counts. In a transaction."""
    boards = list(Leaderboard.objects.filter(phase=phase).order_by("pk"))
    _guard(boards, "pg_advisory_xact_lock_shared")
    Participation.objects.select_for_update(no_key=True).get(pk=participation.pk)
    _participant_rebuild(boards, phase, participation.pk)


def _participant_rebuild(boards: list[Leaderboard], phase: Phase, participation_id: int) -> None:
    offer = columns_offered(spec=CompetitionSpec.model_validate(phase.competition.spec))
    own = _scored(phase).filter(submission__participation_id=participation_id)
    runs = list(own.prefetch_related("results").select_related("submission").order_by("submission__created_at", "pk"))
    for board in boards:
        entry = LeaderboardEntry.objects.filter(leaderboard=board, participation_id=participation_id)
        hidden = entry.filter(hidden=True).exists()
        entry.delete()
        for run in runs:
            ranking = _rank(board, run, offer)
            _upsert(board, run, ranking, len(runs))
            history_add(board=board, run=run, ranking=ranking)
        entry.update(hidden=hidden)
    for board in boards:
        _changed(board)
        history_mend(board=board)


def phase_freeze_boards(*, phase: Phase) -> None:
    """Wait for the results that are being written into the boards of a phase, and let no other in. In a transaction."""
    _guard(Leaderboard.objects.filter(phase=phase).order_by("pk"), "pg_advisory_xact_lock")


def phase_unfreeze_boards(*, phase: Phase, since: datetime) -> None:
    """Let in what was scored while the phase was frozen. In a transaction, after the phase's row was written."""
    boards = list(Leaderboard.objects.filter(phase=phase).order_by("pk"))
    _guard(boards, "pg_advisory_xact_lock")
    again = Run.objects.filter(
        submission__phase=phase, rerun__isnull=False, status=RunStatus.SCORED, finished_at__gt=since
    )
    for run in again.exclude(submission__run=F("pk")).select_related("submission").order_by("finished_at"):
        run_make_current(run=run)
    for board in boards:
        leaderboard_rebuild(leaderboard=board)


def leaderboard_rebuild(*, leaderboard: Leaderboard) -> int:
    """Compute every entry anew from the results; returns how many there are. What is the same stays the same.

    For changes that an increment cannot follow: another rule, other weights, a withdrawn run.
    """
    with transaction.atomic():
        _guard([leaderboard], "pg_advisory_xact_lock")
        boards = Leaderboard.objects.select_for_update(of=("self",)).select_related("phase__competition")
        board = boards.get(pk=leaderboard.pk)
        offer = columns_offered(spec=CompetitionSpec.model_validate(board.phase.competition.spec))
        hidden = set(board.entries.filter(hidden=True).values_list("participation_id", flat=True))
        board.entries.all().delete()
        history_clear(board=board)
        counts: dict[int, int] = {}
        runs = _scored(board.phase).prefetch_related("results").select_related("submission").order_by("pk")
        for run in runs.iterator(chunk_size=500):
            key = run.submission.participation_id
            counts[key] = counts.get(key, 0) + 1
            ranking = _rank(board, run, offer)
            _upsert(board, run, ranking, counts[key])
            history_add(board=board, run=run, ranking=ranking)
        history_mend(board=board)
        board.entries.filter(participation_id__in=hidden).update(hidden=True)
        _changed(board)
        return board.entries.count()


def entry_hide(*, entry: LeaderboardEntry, hidden: bool) -> None:
    """Take an entry off its board, or put it back."""
    with transaction.atomic():
        LeaderboardEntry.objects.filter(pk=entry.pk).update(hidden=hidden)
        _changed(entry.leaderboard)


def boards_touch(*, participations: Iterable[Participation]) -> None:
    """Let copies of the boards that these are on be fetched anew: their names have changed.

    The caller is in a transaction, and holds the rows of the participations.
    """
    keys = LeaderboardEntry.objects.filter(participation__in=participations).values("leaderboard_id")
    for pk in Leaderboard.objects.filter(pk__in=keys).order_by("pk").values_list("pk", flat=True):  # as results do
        Leaderboard.objects.filter(pk=pk).update(version=F("version") + 1)


def boards_sync(*, phases: Iterable[Phase], spec: CompetitionSpec) -> list[Leaderboard]:
    """Make the boards of the phases those of the file: made, changed or removed. Returns those whose spec changed."""
    changed = []
    for phase in phases:
        wanted = {board.slug: board for board in spec.leaderboards if board.phase in (None, phase.slug)}
        Leaderboard.objects.filter(phase=phase).exclude(slug__in=wanted).delete()
        for slug, board in wanted.items():
            body = board.model_dump(mode="json")
            row, created = Leaderboard.objects.get_or_create(
                phase=phase, slug=slug,
                defaults={"competition": phase.competition, "title": board.title or slug, "spec": body},
            )  # fmt: skip
            if not created and (row.spec != body or row.title != (board.title or slug)):
                row.spec, row.title = body, board.title or slug
                row.save(update_fields=["spec", "title"])
                changed.append(row)
    return changed


def _changed(board: Leaderboard) -> None:
    """Let copies of a board be fetched anew, and tell those who asked to be told. In a transaction."""
    # Later than at import: the webhooks build on this app.
    from touchstone.hooks.events import board_event

    Leaderboard.objects.filter(pk=board.pk).update(version=F("version") + 1)
    board_event(board=board)


def _guard(boards: Iterable[Leaderboard], function: str) -> None:
    with connection.cursor() as cursor:
        for board in boards:
            cursor.execute(f"SELECT {function}(%s, %s)", [_LOCK, board.pk])


def _spec(board: Leaderboard) -> LeaderboardSpec:
    return LeaderboardSpec.model_validate(board.spec)


def _rank(board: Leaderboard, run: Run, offer: Offer) -> Ranking:
    return rank(board=_spec(board), results={r.key: r for r in run.results.all()}, offer=offer)


def _scored(phase: Phase) -> Any:
    """The runs that count: of each submission the current one; none of a withdrawn one, or later than a freeze."""
    found = Run.objects.filter(
        sent("submission__"), submission__phase=phase, submission__withdrawn_at=None, submission__run=F("pk"),
        status=RunStatus.SCORED,
    )  # fmt: skip
    return found if phase.frozen_at is None else found.filter(finished_at__lte=phase.frozen_at)


def _count(phase: Phase, participation_id: int) -> int:
    return int(_scored(phase).filter(submission__participation_id=participation_id).count())


def _upsert(board: Leaderboard, run: Run, ranking: Ranking, count: int) -> None:
    order = _ORDER[_spec(board).entry]
    statement = _UPSERT.format(
        fields=_FIELDS, picked=", ".join(f"x.{name.strip()}" for name in _FIELDS.split(",")), order=order
    )
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "board": board.pk, "participation": run.submission.participation_id, "run": run.pk,
                "sort_key": ranking.sort_key, "key_low": ranking.key_low, "key_high": ranking.key_high,
                "unranked": ranking.unranked, "achieved_at": run.submission.created_at,
                "scores": orjson.dumps(ranking.scores).decode(), "count": count,
            },
        )  # fmt: skip
