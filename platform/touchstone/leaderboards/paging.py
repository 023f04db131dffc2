"""Finding a page of a board at a price that does not grow with the board's history."""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.core import signing
from django.db.models import F, FloatField, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from touchstone.core.errors import UserError
from touchstone.leaderboards.models import LeaderboardEntry

#: Rank order; the unranked come last.
BEST_FIRST = (F("sort_key").desc(nulls_last=True), "achieved_at", "run_id")
_FIELDS = {"participant": "participation__display_name", "submitted": "achieved_at", "submissions": "n_submissions"}
#: Cursors are signed: they say which rank comes next, and nobody shall make that up.
_SIGNER = signing.Signer(salt="touchstone.board.cursor")


@dataclass(frozen=True)
class Place:
    """How far ranks are at some row: `count` ranked rows so far, the last of `rank` and `group`, led by `lead`."""

    count: int = 0
    rank: int = 0
    group: int = 0
    key: float | None = None
    lead: float = math.inf

    def step(self, entry: LeaderboardEntry) -> Place:
        """The place after one more ranked row."""
        assert entry.sort_key is not None
        count = self.count + 1
        rank = self.rank if entry.sort_key == self.key else count
        high = entry.sort_key if entry.key_high is None else entry.key_high
        if high >= self.lead:
            return Place(count, rank, self.group, entry.sort_key, self.lead)
        low = entry.sort_key if entry.key_low is None else entry.key_low
        return Place(count, rank, self.group + 1, entry.sort_key, low)


@dataclass(frozen=True)
class Slice:
    """Entries of one page, and where the next begins (empty: nowhere).

    `before`: the place of the row before the first; None where rows are left out or in another order. `shared`: the
    row after the last has its rank too.
    """

    entries: list[LeaderboardEntry]
    after: str
    before: Place | None
    shared: bool = False


def slice_get(
    *, entries: QuerySet[LeaderboardEntry], sort: str, after: str, limit: int, searched: bool, version: int,
    blunt: bool = False,
) -> Slice:  # fmt: skip
    """One page. By rank it is found by key (any page costs the same), by another column by offset.

    `searched`: rows are left out. `blunt`: the numbers of this view are rounded. Then by offset too, for a key would
    tell the exact one.

    Raises `UserError` for a cursor that was not given out for this view.
    """
    by_rank = sort in ("", "rank")
    if by_rank and not blunt:
        return _keyed(entries, after, limit, searched, version)
    start = _cursor(after, keyed=False)
    offset = int(start[0]) if start else 0
    ordered = entries.order_by(*BEST_FIRST) if by_rank else _ordered(entries, sort)
    found = list(ordered[offset : offset + limit + 1])
    after = _encode([offset + limit]) if len(found) > limit else ""
    return Slice(
        found[:limit], after, Place() if by_rank and not searched and not offset else None, _shared(found, limit)
    )


def _keyed(entries: QuerySet[LeaderboardEntry], after: str, limit: int, searched: bool, version: int) -> Slice:
    start = _cursor(after, keyed=True)
    found = _by_rank(entries, start, limit + 1)
    page = found[:limit]
    before: Place | None = Place()
    if start is not None:
        # The board may have changed since: then the place is no longer known.
        place = start[3] if start[4] == version else None
        before = None if place is None else Place(*place[:3], start[0], -math.inf if place[3] is None else place[3])
    if searched:
        before = None
    at = before
    if at is not None:
        for entry in page:
            at = at.step(entry) if entry.sort_key is not None else at
    told = None
    if len(found) > limit:
        last = page[-1]
        ended = None if at is None else [at.count, at.rank, at.group, at.lead if math.isfinite(at.lead) else None]
        told = [last.sort_key, last.achieved_at.isoformat(), str(last.run_id), ended, version]
    return Slice(page, _encode(told) if told else "", before, _shared(found, limit))


def _shared(found: list[LeaderboardEntry], limit: int) -> bool:
    return len(found) > limit and found[limit].sort_key == found[limit - 1].sort_key


def _by_rank(entries: QuerySet[LeaderboardEntry], start: list[Any] | None, count: int) -> list[LeaderboardEntry]:
    """Ranked rows from the index, then, where they run out, the unranked: two plain scans instead of one with OR."""
    if start is not None:
        ranked, unranked = entries.filter(sort_key__isnull=False), entries.filter(sort_key__isnull=True)
        key, at, run = start[:3]
        later = Q(achieved_at__gt=at) | Q(achieved_at=at, run_id__gt=run)
        if key is None:
            return list(unranked.filter(later).order_by("achieved_at", "run_id")[:count])
        ranked = ranked.filter(Q(sort_key__lt=key) | later, sort_key__lte=key)
        some = ranked.order_by(*BEST_FIRST).values("pk")[:count]
        rest = unranked.order_by("achieved_at", "run_id").values("pk")[:count]
        entries = entries.filter(pk__in=some.union(rest, all=True))
    return list(entries.order_by(*BEST_FIRST)[:count])


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


def _encode(parts: list[Any]) -> str:
    return _SIGNER.sign_object(parts, serializer=_Compact).replace(":", "~")


class _Compact:
    """JSON in as few characters as can be."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


def _cursor(after: str, *, keyed: bool) -> list[Any] | None:
    if not after:
        return None
    try:
        parts = _SIGNER.unsign_object(after.replace("~", ":"), serializer=_Compact)
        if keyed:
            key, at, run, place, version = parts
            return [key, datetime.fromisoformat(at), uuid.UUID(run), place, version]
        (offset,) = parts
        return [int(offset)]
    except (ValueError, TypeError, signing.BadSignature):
        raise UserError(
            _("The cursor `after` does not belong to this view."), _("Begin again without it."), "cursor"
        ) from None


def with_ranks(page: Slice) -> dict[float, tuple[int, int]] | None:
    """{sort_key: (rank, how many rows of the page share it)} where the place is known; None where it must be asked."""
    if page.before is None:
        return None
    ranks: dict[float, tuple[int, int]] = {}
    at = page.before
    for entry in page.entries:
        if entry.sort_key is None:
            break
        before, at = at, at.step(entry)
        known = ranks.get(entry.sort_key)
        # The row before the page may share the rank of its first.
        count = 2 if known or before.key == entry.sort_key else 1
        ranks[entry.sort_key] = (at.rank, count)
    last = page.entries[-1].sort_key if page.entries else None
    if page.shared and last is not None:
        ranks[last] = (ranks[last][0], 2)
    return ranks


def groups_of(page: Slice) -> list[int]:
    """The tie group of each row: counted from the top, a new one where an interval lies below that of the group's
    first. 0 where that is not known, and for what has no rank."""
    if page.before is None:
        return [0] * len(page.entries)
    at, groups = replace(page.before), []
    for entry in page.entries:
        if entry.sort_key is None:
            groups.append(0)
            continue
        at = at.step(entry)
        groups.append(at.group)
    return groups
