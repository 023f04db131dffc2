"""Finding a page of a board, and the ranks of its rows, at a price that does not grow with the board's history."""

from __future__ import annotations

import base64
import binascii
import json
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from django.db import connection
from django.db.models import F, FloatField, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast

from touchstone.core.errors import UserError
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry

#: Rank order; the unranked come last.
BEST_FIRST = (F("sort_key").desc(nulls_last=True), "achieved_at", "run_id")
_FIELDS = {"participant": "participation__display_name", "submitted": "achieved_at", "submissions": "n_submissions"}


@dataclass(frozen=True)
class Slice:
    """Entries of one page, and where the next begins (empty: nowhere). `contiguous`: in rank order, none left out."""

    entries: list[LeaderboardEntry]
    after: str
    contiguous: bool


def slice_get(
    *, entries: QuerySet[LeaderboardEntry], sort: str, after: str, limit: int, searched: bool, blunt: bool = False
) -> Slice:
    """One page. By rank it is found by key (any page costs the same), by another column by offset.

    `blunt`: the numbers of this view are rounded. Then by offset too, for a key would tell the exact one.

    Raises `UserError` for a cursor that was not given out for this view.
    """
    by_rank = sort in ("", "rank")
    if by_rank and not blunt:
        found = _by_rank(entries, _cursor(after, keyed=True), limit + 1)
        page = found[:limit]
        last = page[-1] if len(found) > limit else None
        return Slice(
            page, _encode([last.sort_key, last.achieved_at.isoformat(), str(last.run_id)]) if last else "", not searched
        )
    start = _cursor(after, keyed=False)
    offset = int(start[0]) if start else 0
    ordered = entries.order_by(*BEST_FIRST) if by_rank else _ordered(entries, sort)
    found = list(ordered[offset : offset + limit + 1])
    after = _encode([offset + limit]) if len(found) > limit else ""
    return Slice(found[:limit], after, by_rank and not searched)


def _by_rank(entries: QuerySet[LeaderboardEntry], start: list | None, count: int) -> list[LeaderboardEntry]:  # type: ignore[type-arg]
    """Ranked rows from the index, then, where they run out, the unranked: two plain scans instead of one with OR."""
    ranked, unranked = entries.filter(sort_key__isnull=False), entries.filter(sort_key__isnull=True)
    if start is not None:
        key, at, run = start
        later = Q(achieved_at__gt=at) | Q(achieved_at=at, run_id__gt=run)
        if key is None:
            return list(unranked.filter(later).order_by("achieved_at", "run_id")[:count])
        ranked = ranked.filter(Q(sort_key__lt=key) | later, sort_key__lte=key)
    found = list(ranked.order_by(*BEST_FIRST)[:count])
    if len(found) < count:
        found += unranked.order_by("achieved_at", "run_id")[: count - len(found)]
    return found


def _ordered(entries: QuerySet[LeaderboardEntry], sort: str) -> QuerySet[LeaderboardEntry]:
    name = sort.removeprefix("-")
    if name == "rank":
        return entries.order_by(F("sort_key").asc(nulls_last=True), "-achieved_at", "-run_id")
    if name in _FIELDS:
        column = F(_FIELDS[name])
    else:
        value = KeyTextTransform("value", KeyTransform(name, "scores"))
        entries = entries.annotate(sorted_by=Cast(value, FloatField()))
        column = F("sorted_by")
    order = column.desc(nulls_last=True) if sort.startswith("-") else column.asc(nulls_last=True)
    return entries.order_by(order, *BEST_FIRST)


def _encode(parts: list[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _cursor(after: str, *, keyed: bool) -> list | None:  # type: ignore[type-arg]
    if not after:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        if keyed:
            key, at, run = parts
            key = None if key is None else float(key)
            if key is not None and not math.isfinite(key):
                raise ValueError("not a finite key")
            return [key, datetime.fromisoformat(at), uuid.UUID(run)]
        (offset,) = parts
        if not isinstance(offset, int) or not 0 <= offset <= 10**7:
            raise ValueError("not an offset")
        return [offset]
    except (ValueError, TypeError, binascii.Error):
        raise UserError(
            "The cursor `after` does not belong to this view.", "Begin again without it.", "cursor"
        ) from None


def ranks_of(*, leaderboard: Leaderboard, page: Slice) -> dict[float, tuple[int, int]]:
    """{sort_key: (rank, how many share it)} for the ranked rows of a page. Two queries."""
    keys = sorted({e.sort_key for e in page.entries if e.sort_key is not None}, reverse=True)
    if not keys:
        return {}
    entries = LeaderboardEntry.objects.filter(leaderboard=leaderboard, hidden=False)
    ties = _ties(leaderboard, keys)
    if page.contiguous:
        # Nothing lies between two rows of the page, so what is above the first tells the rest.
        above = entries.filter(sort_key__gt=keys[0]).count()
        greater = list(accumulate((ties[key] for key in keys[:-1]), initial=above))
    else:
        greater = _greater(leaderboard, keys, ties)
    return {key: (count + 1, ties[key]) for key, count in zip(keys, greater, strict=True)}


def _ties(leaderboard: Leaderboard, keys: Sequence[float]) -> dict[float, int]:
    sql = """SELECT sort_key, count(*) FROM leaderboards_leaderboardentry
             WHERE leaderboard_id = %s AND NOT hidden AND sort_key = ANY(%s::float8[]) GROUP BY sort_key"""
    with connection.cursor() as cursor:
        cursor.execute(sql, [leaderboard.pk, list(keys)])
        return dict(cursor.fetchall())


def _greater(leaderboard: Leaderboard, keys: Sequence[float], ties: dict[float, int]) -> list[int]:
    """How many entries are above each key, in one pass: every entry falls into the bucket of the next key below it."""
    sql = """SELECT width_bucket(sort_key, %s::float8[]) AS bucket, count(*) FROM leaderboards_leaderboardentry
             WHERE leaderboard_id = %s AND NOT hidden AND sort_key >= %s GROUP BY bucket"""
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(reversed(keys)), leaderboard.pk, keys[-1]])
        buckets = dict(cursor.fetchall())
    # Bucket len(keys) holds what is at or above the largest key; bucket 1 begins at the smallest.
    at_least = list(accumulate(buckets.get(number, 0) for number in range(len(keys), 0, -1)))
    return [count - ties[key] for count, key in zip(at_least, keys, strict=True)]
