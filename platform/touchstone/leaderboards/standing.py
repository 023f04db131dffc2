"""Where entries stand: ranks, rank ranges and ties, in one query whose cost does not grow with the board.

Two entries are tied where their intervals overlap. An entry's rank is then a range: the best rank is one more than
the number of entries whose whole interval is better, the worst is the number of entries that may be as good. That is
conservative and looks at each entry alone: a paired test on the same items would tell more of them apart.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import orjson
from django.db import connection
from django.db.models import QuerySet

from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry

#: Ranges are read from the best so many ends of intervals.
REACH = 1_000
#: Entries are counted up to here; beyond, a board has "more than".
COUNTED = 2_000


@dataclass(frozen=True)
class Standing:
    """The ranks that an entry may have. `tied`: how many others may be as good. `open`: the worst is not known."""

    best: int
    worst: int
    open: bool = False

    @property
    def tied(self) -> int:
        return self.worst - self.best


@dataclass(frozen=True)
class Facts:
    """What a page needs to know of its board. `lows` and `highs` rise, and are turned: the best end is first.

    `results`: title, unit and direction of each key, as the first run of the page reported them. `ranks`: {sort_key:
    (rank, how many share it)}, where it was asked for.
    """

    total: int
    lows: list[float]
    highs: list[float]
    results: dict[str, dict[str, str]]
    ranks: dict[float, tuple[int, int]]
    withdrawn: list[dict[str, str]]

    @property
    def more(self) -> bool:
        """Whether there are more entries than were counted."""
        return self.total > COUNTED

    def standing(self, low: float | None, high: float | None) -> Standing | None:
        """The range of an entry by the ends of its turned interval; None for one without a rank, or beyond reach."""
        if low is None or high is None:
            return None
        better = bisect_left(self.lows, -high)  # lows are negated: those that are greater than `high`
        worst = bisect_right(self.highs, -low)
        return None if better >= REACH else Standing(better + 1, max(worst, better + 1), worst >= REACH)


_FACTS = """
SELECT
  (SELECT count(*) FROM ({counted}) AS counted),
  ARRAY(SELECT -key_low FROM leaderboards_leaderboardentry
        WHERE leaderboard_id = %s AND NOT hidden AND key_low IS NOT NULL ORDER BY key_low DESC LIMIT {reach}),
  ARRAY(SELECT -key_high FROM leaderboards_leaderboardentry
        WHERE leaderboard_id = %s AND NOT hidden AND key_high IS NOT NULL ORDER BY key_high DESC LIMIT {reach}),
  (SELECT jsonb_object_agg(key, jsonb_build_object('metric', metric, 'title', title, 'unit', unit,
     'direction', direction)) FROM evaluations_result WHERE run_id = %s),
  (SELECT jsonb_agg(jsonb_build_object('participant', display_name, 'at', at, 'by', by, 'reason', reason)
     ORDER BY at DESC) FROM (
     SELECT p.display_name, e.at, s.withdrawn_reason AS reason,
       CASE WHEN s.withdrawn_by_organiser THEN 'organisers' ELSE 'participant' END AS by
     FROM leaderboards_leaderboardevent e
     JOIN competitions_participation p ON p.id = e.participation_id
     JOIN evaluations_run r ON r.id = e.run_id JOIN submissions_submission s ON s.id = r.submission_id
     WHERE e.leaderboard_id = %s AND e.kind = 'withdrawn' ORDER BY e.at DESC LIMIT 50) AS gone),
  {ranks}
"""
#: How many entries are at each key of the page, and how many between it and the next: one pass.
_RANKS = """
  (SELECT jsonb_object_agg(bucket, jsonb_build_array(n, same)) FROM (
     SELECT width_bucket(sort_key, %s::float8[]) AS bucket, count(*) AS n,
       count(*) FILTER (WHERE sort_key = ANY(%s::float8[])) AS same
     FROM leaderboards_leaderboardentry WHERE leaderboard_id = %s AND NOT hidden AND sort_key >= %s
     GROUP BY bucket) AS buckets)
"""


def facts_get(
    *, leaderboard: Leaderboard, found: QuerySet[LeaderboardEntry] | None, first: LeaderboardEntry | None,
    keys: Sequence[float] = (),
) -> Facts:  # fmt: skip
    """The facts in one query. `found`: the entries to count; `keys`: sort keys whose exact rank is asked for."""
    inner, values = "SELECT 1 WHERE false", ()
    if found is not None:
        inner, values = found.order_by().values("pk")[: COUNTED + 1].query.sql_with_params()
    rising = sorted(set(keys))
    given: list[Any] = [*values, leaderboard.pk, leaderboard.pk, first.run_id if first else None, leaderboard.pk]
    if rising:
        given += [rising, rising, leaderboard.pk, rising[0]]
    statement = _FACTS.format(counted=inner, reach=REACH, ranks=_RANKS if rising else "NULL")
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        total, lows, highs, results, gone, buckets = cursor.fetchone()
    return Facts(total, lows, highs, _json(results), _ranks(rising, _json(buckets)), list(_json(gone)))


def _json(value: Any) -> Any:
    """A raw cursor gives JSON as text."""
    return orjson.loads(value) if isinstance(value, str) else value or {}


def _ranks(rising: Sequence[float], buckets: dict[str, list[int]]) -> dict[float, tuple[int, int]]:
    """Bucket i holds what is at the i-th key (`same` of them) and above it, up to the next."""
    counts = [buckets.get(str(number), [0, 0]) for number in range(len(rising), 0, -1)]
    at_least = accumulate(n for n, _same in counts)
    return {key: (at - same + 1, same) for key, at, (_n, same) in zip(reversed(rising), at_least, counts, strict=True)}
