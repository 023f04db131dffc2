"""The history of a board: an event for each run that was scored, and which of them led the board when they came."""

from __future__ import annotations

from django.db import connection
from django.db.models import F

from touchstone.core.clock import now
from touchstone.evaluations.models import Run
from touchstone.leaderboards.models import Leaderboard, LeaderboardEvent
from touchstone.leaderboards.ranking import Ranking

_SCORE = "score"
_WITHDRAWN = "withdrawn"

_ADD = """
INSERT INTO leaderboards_leaderboardevent (leaderboard_id, participation_id, run_id, at, kind, sort_key, is_frontier)
SELECT %(board)s, %(participation)s, %(run)s, %(at)s, %(kind)s, %(key)s::float8,
  %(key)s::float8 IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM leaderboards_leaderboardevent
    WHERE leaderboard_id = %(board)s AND is_frontier AND sort_key >= %(key)s::float8)
ON CONFLICT (leaderboard_id, run_id, kind) DO UPDATE SET sort_key = excluded.sort_key
"""
#: An event counts while its run is the one that counts of a submission that was not withdrawn.
_MEND = """
WITH counting AS (
  SELECT e.id, e.sort_key > COALESCE(max(e.sort_key) OVER (
    ORDER BY e.at, e.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '-Infinity') AS leads
  FROM leaderboards_leaderboardevent e JOIN submissions_submission s ON s.run_id = e.run_id
  WHERE e.leaderboard_id = %(board)s AND e.sort_key IS NOT NULL AND s.withdrawn_at IS NULL
)
UPDATE leaderboards_leaderboardevent e SET is_frontier = COALESCE(c.leads, false)
FROM leaderboards_leaderboardevent o LEFT JOIN counting c ON c.id = o.id
WHERE o.id = e.id AND e.leaderboard_id = %(board)s AND e.is_frontier IS DISTINCT FROM COALESCE(c.leads, false)
"""


def history_add(*, board: Leaderboard, run: Run, ranking: Ranking) -> None:
    """Note that a run was scored. In the transaction that scored it; noting it again changes its number alone."""
    values = {
        "board": board.pk, "participation": run.submission.participation_id, "run": run.pk,
        "at": run.finished_at or now(), "kind": _SCORE, "key": ranking.sort_key,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_ADD, values)


_GONE = """
INSERT INTO leaderboards_leaderboardevent (leaderboard_id, participation_id, run_id, at, kind, is_frontier)
SELECT e.leaderboard_id, e.participation_id, e.run_id, s.withdrawn_at, %(kind)s, false
FROM leaderboards_leaderboardevent e JOIN submissions_submission s ON s.run_id = e.run_id
WHERE e.leaderboard_id = %(board)s AND e.kind = %(score)s AND s.withdrawn_at IS NOT NULL
ON CONFLICT (leaderboard_id, run_id, kind) DO NOTHING
"""


def history_mend(*, board: Leaderboard) -> None:
    """Say anew which events led the board: after one was withdrawn, evaluated again, or came out of order."""
    with connection.cursor() as cursor:
        cursor.execute(_MEND, {"board": board.pk})
        cursor.execute(_GONE, {"board": board.pk, "kind": _WITHDRAWN, "score": _SCORE})
    back = LeaderboardEvent.objects.filter(leaderboard=board, kind=_WITHDRAWN)
    back.filter(run__submission__withdrawn_at=None).delete()


def history_clear(*, board: Leaderboard) -> None:
    """Forget the scores, for they are about to be written anew."""
    LeaderboardEvent.objects.filter(
        leaderboard=board, kind=_SCORE, run__submission__withdrawn_at=None, run__submission__run=F("run")
    ).delete()
