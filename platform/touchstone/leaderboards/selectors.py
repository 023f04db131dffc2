"""Reading leaderboards: a page, or everything for an export. What a phase hides is hidden here, for every caller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from runners.spec import catalogue
from runners.spec.catalogue_file import Offer
from runners.spec.gates import parse_gate
from runners.spec.models import CompetitionSpec, LeaderboardSpec
from touchstone.competitions.models import Competition, Phase
from touchstone.competitions.selectors import Viewer, is_organiser, phase_is_over
from touchstone.core.errors import NotFound, UserError
from touchstone.evaluations.models import Result
from touchstone.leaderboards.formatting import decimals_for
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry
from touchstone.leaderboards.paging import BEST_FIRST, Slice, ranks_of, slice_get
from touchstone.leaderboards.ranking import TRUST, columns_offered
from touchstone.leaderboards.rows import ROUNDED, flat_rows, page_row

MAX_LIMIT = 200
#: Entries that an export reads from the database at once.
_CHUNK = 500
_SORTABLE = ("rank", "participant", "submitted", "submissions")


@dataclass(frozen=True)
class BoardColumn:
    """A column of results. `decimals` holds for all its cells; `is_ranking` marks the one the board is ranked by."""

    key: str
    title: str
    unit: str
    direction: str
    decimals: int = 3
    is_ranking: bool = False


@dataclass(frozen=True)
class BoardPage:
    """One page of a board.

    `rows`: {rank, participant, is_baseline, is_you, submission, submitted_at, n_submissions, unranked, cells}, where
    `cells` are in the order of `columns`: {value, low, high, n, state, reason, verdict, doubts}, raw, and {text,
    low_text, high_text}, formatted ("" where there is no bound).
    `hidden` says why nothing is shown; empty where something is. `next` is the cursor of the next page.
    `available`: every key that `cols` may name. `blunt`: two decimals and no intervals, as the phase says.
    """

    leaderboard: Leaderboard
    columns: list[BoardColumn]
    rows: list[dict[str, Any]]
    next: str
    total: int
    version: int
    sort: str
    q: str
    limit: int
    hidden: str = ""
    blunt: bool = False
    available: list[str] = field(default_factory=list)


def leaderboards_of(*, competition: Competition) -> QuerySet[Leaderboard]:
    """All boards of a competition, by phase and name."""
    return (
        Leaderboard.objects.filter(competition=competition)
        .select_related("phase__competition")
        .order_by("phase__position", "pk")
    )


def leaderboard_get(*, competition: Competition, phase: str, board: str) -> Leaderboard:
    """A board by the slugs of its phase and its own. Raises `NotFound` that lists those there are."""
    boards = list(leaderboards_of(competition=competition))
    for found in boards:
        if (found.phase.slug, found.slug) == (phase, board):
            return found
    known = ", ".join(f"{b.phase.slug}/{b.slug}" for b in boards)
    raise NotFound(f"{competition.slug} has no leaderboard {phase}/{board}.", f"Its leaderboards are: {known}.")


def board_hidden(*, phase: Phase, user: Viewer) -> str:
    """Why `user` may not see the boards of a phase; empty where they may. Organisers always may."""
    if (
        phase.feedback in ("full", "rounded")
        or phase_is_over(phase=phase)
        or is_organiser(user=user, competition=phase.competition)
    ):
        return ""
    until = f" It appears when the phase closes, {phase.closes:%Y-%m-%d %H:%M} UTC." if phase.closes else ""
    return f"This phase gives no feedback while it runs, so its leaderboard is not shown yet.{until}"


def board_blunt(*, phase: Phase, user: Viewer) -> bool:
    """Whether `user` gets rounded numbers without intervals: while a phase with rounded feedback runs."""
    blunt = phase.feedback == "rounded" and not phase_is_over(phase=phase)
    return blunt and not is_organiser(user=user, competition=phase.competition)


def leaderboard_page(
    *,
    leaderboard: Leaderboard,
    user: Viewer,
    sort: str = "",
    q: str = "",
    cols: str = "",
    after: str = "",
    limit: int = 50,
) -> BoardPage:
    """One page of a board, in a number of queries that does not depend on its size.

    Args:
        sort: "" or `rank`, or a column's key, `participant`, `submitted`, `submissions`; a minus before it turns it.
        q: part of a participant's name.
        cols: keys of columns, with commas; "" for the board's own.
        after: the `next` of the page before.
        limit: rows, 1 to 200.

    Raises `UserError` for an unknown column or cursor.
    """
    phase = leaderboard.phase
    spec = LeaderboardSpec.model_validate(leaderboard.spec)
    offer = columns_offered(spec=CompetitionSpec.model_validate(phase.competition.spec))
    limit = max(1, min(limit, MAX_LIMIT))
    hidden = board_hidden(phase=phase, user=user)
    if hidden:
        return BoardPage(leaderboard, [], [], "", 0, leaderboard.version, sort, q, limit, hidden=hidden)
    entries = _entries(leaderboard)
    if q.strip():
        entries = entries.filter(participation__display_name__icontains=q.strip())
    available = _available(spec, offer)
    _check_sort(sort, available, offer)
    blunt = board_blunt(phase=phase, user=user)
    page = slice_get(entries=entries, sort=sort, after=after, limit=limit, searched=bool(q.strip()), blunt=blunt)
    columns = _columns(spec, offer, cols, page, blunt)
    ranks = ranks_of(leaderboard=leaderboard, page=page)
    seer = user.pk if user is not None and user.is_authenticated else None
    shown = [(column.key, column.decimals) for column in columns]
    return BoardPage(
        leaderboard=leaderboard, columns=columns,
        rows=[page_row(entry, columns=shown, ranks=ranks, seer=seer, blunt=blunt) for entry in page.entries],
        next=page.after, total=entries.count(), version=leaderboard.version, sort=sort, q=q, limit=limit, blunt=blunt,
        available=available,
    )  # fmt: skip


def leaderboard_export_rows(*, leaderboard: Leaderboard, user: Viewer) -> Iterator[dict[str, Any]]:
    """Every entry in rank order as flat dicts of raw values, for CSV and JSON.

    They are read from the database as they are asked for, so a long board is never in memory as a whole.
    A result has the keys `<key>`, `<key>.low`, `<key>.high`, `<key>.n` and `<key>.state`. All rows have the
    same keys. Nothing while the phase hides its board.
    """
    phase = leaderboard.phase
    if board_hidden(phase=phase, user=user):
        return iter(())
    entries = _entries(leaderboard).order_by(*BEST_FIRST).iterator(chunk_size=_CHUNK)
    return flat_rows(entries, keys=_export_keys(leaderboard), blunt=board_blunt(phase=phase, user=user))


def _export_keys(leaderboard: Leaderboard) -> list[str]:
    """Every key that any entry has a score of: in the board's own order, then what it does not know of."""
    sql = """SELECT DISTINCT jsonb_object_keys(scores) FROM leaderboards_leaderboardentry
             WHERE leaderboard_id = %s AND NOT hidden"""
    with connection.cursor() as cursor:
        cursor.execute(sql, [leaderboard.pk])
        found = {key for (key,) in cursor.fetchall()}
    offer = columns_offered(spec=CompetitionSpec.model_validate(leaderboard.phase.competition.spec))
    known = [key for key in _available(LeaderboardSpec.model_validate(leaderboard.spec), offer) if key in found]
    return [*known, *sorted(found - set(known))]


def _entries(leaderboard: Leaderboard) -> QuerySet[LeaderboardEntry]:
    found = LeaderboardEntry.objects.filter(leaderboard=leaderboard, hidden=False)
    return found.select_related("participation", "run").only(
        "sort_key", "unranked", "achieved_at", "scores", "n_submissions", "run_id", "leaderboard_id",
        "participation__display_name", "participation__is_baseline", "participation__user_id",
        "run__submission_id",
    )  # fmt: skip


def _available(spec: LeaderboardSpec, offer: Offer) -> list[str]:
    """The board's columns first in the order that explains the ranking, then all other results."""
    keys = [spec.rank_by, *spec.columns, *spec.utility, *(parse_gate(gate).key for gate in spec.gates), *offer.exact]
    if spec.utility:
        keys.append(TRUST)
    return list(dict.fromkeys(keys))


def _check_sort(sort: str, available: Sequence[str], offer: Offer) -> None:
    name = sort.removeprefix("-")
    if name and name not in (*_SORTABLE, *available) and offer.find(name) is None:
        raise UserError(
            f"There is no column {name[:80]!r} to sort by.", f"Sort by {', '.join([*_SORTABLE, *available])}.", "sort"
        )


def _columns(spec: LeaderboardSpec, offer: Offer, cols: str, page: Slice, blunt: bool) -> list[BoardColumn]:
    available = _available(spec, offer)
    asked = [key for key in cols.split(",") if key]
    unknown = [key for key in asked if key not in available and offer.find(key) is None]
    if unknown:
        raise UserError(f"There is no column {unknown[0][:80]!r}.", f"Columns are {', '.join(available)}.", "cols")
    keys = asked or (list(dict.fromkeys([spec.rank_by, *spec.columns])) if spec.columns else available)
    described = _described(page)
    return [_column(key, spec, offer, page, described.get(key), blunt) for key in keys]


def _described(page: Slice) -> dict[str, Result]:
    """Title and unit of each key, as the first run of the page reported them."""
    if not page.entries:
        return {}
    rows = Result.objects.filter(run_id=page.entries[0].run_id).only("key", "metric", "title", "unit", "direction")
    return {row.key: row for row in rows}


def _column(
    key: str, spec: LeaderboardSpec, offer: Offer, page: Slice, told: Result | None, blunt: bool
) -> BoardColumn:
    known = offer.find(key)
    span = (0.0, 1.0) if key == TRUST else known.range if known else (None, None)
    values = (entry.scores.get(key, {}).get("value") for entry in page.entries)
    decimals = ROUNDED if blunt else decimals_for(values, span=span)
    ranking = key == spec.rank_by
    if key == TRUST:
        return BoardColumn(key, "Trust", "", "maximise", decimals, ranking)
    if told is not None:
        title = _title(key, told.metric, told.title)
        return BoardColumn(key, title, told.unit, told.direction, decimals, ranking)
    entry = catalogue()["metrics"].get(known.metric, {}) if known else {}
    title = _title(key, known.metric if known else "", entry.get("title", ""))
    direction = known.direction if known else "none"
    return BoardColumn(key, title, entry.get("unit", ""), direction, decimals, ranking)


def _title(key: str, metric: str, title: str) -> str:
    """A title that tells one use of a metric from another: `Robust accuracy (hsj)`, `Disparate impact (race)`."""
    if not title:
        return key
    head, bracket, group = key.partition("[")
    alias = head.partition(".")[0] if metric and not head.startswith(metric) else ""
    which = [part for part in (alias, group.removesuffix("]")) if bracket or part]
    missing = ", ".join(part for part in which if part and part not in title)
    return f"{title} ({missing})" if missing else title
