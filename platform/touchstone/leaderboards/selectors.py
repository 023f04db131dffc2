"""Reading leaderboards: a page, or everything for an export. What a phase hides is hidden here, for every caller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from runners.spec.gates import parse_gate
from runners.spec.models import CompetitionSpec, LeaderboardSpec
from touchstone.competitions.models import Competition, Phase
from touchstone.competitions.selectors import (
    Viewer,
    feedback_of,
    is_organiser,
    participation_of,
    phase_finalists,
    phase_is_over,
)
from touchstone.core.errors import NotFound
from touchstone.leaderboards.columns import BoardColumn, column_keys, columns_available, columns_made, sort_check
from touchstone.leaderboards.filters import Filters, entries_shown
from touchstone.leaderboards.models import Leaderboard
from touchstone.leaderboards.paging import BEST_FIRST, groups_of, slice_get, with_ranks
from touchstone.leaderboards.ranking import columns_offered
from touchstone.leaderboards.rows import RowContext, flat_rows, page_row, tombstone_rows
from touchstone.leaderboards.standing import COUNTED, facts_get

MAX_LIMIT = 200
#: Entries that an export reads from the database at once.
_CHUNK = 500


@dataclass(frozen=True)
class BoardPage:
    """One page of a board.

    `rows`: {rank, best, worst, tied, group, participant, participation, is_baseline, is_you, submission, entry, kind,
    flags, submitted_at, n_submissions, unranked, gates, cells}. `best` to `worst` is the range of the rank (None: not
    known), `tied` how many others it is tied with, `group` its tie group (0: none is known), `submission` is told to
    its own participant alone, `gates` are {gate, passed, value}.
    `cells` are in the order of `columns`: {value, low, high, n, state, reason, verdict, doubts}, raw, and {text,
    low_text, high_text}, formatted ("" where there is no bound).
    `hidden` says why nothing is shown; empty where something is. `next` is the cursor of the next page.
    `total_is_least`: there are more than `total`. `withdrawn`: {participant, at, by, reason}
    of submissions that were taken back.
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
    filters: Filters = field(default_factory=Filters)
    total_is_least: bool = False
    withdrawn: list[dict[str, str]] = field(default_factory=list)


def leaderboards_of(*, competition: Competition) -> QuerySet[Leaderboard]:
    """All boards of a competition, by phase and name."""
    return (
        Leaderboard.objects.filter(competition=competition)
        .select_related("phase__competition")
        .order_by("phase__position", "pk")
    )


def leaderboard_get(*, competition: Competition, phase: str, board: str) -> Leaderboard:
    """A board by the slugs of its phase and its own. Raises `NotFound` that lists those there are."""
    return leaderboard_among(list(leaderboards_of(competition=competition)), competition, phase=phase, board=board)


def leaderboard_among(boards: list[Leaderboard], competition: Competition, *, phase: str, board: str) -> Leaderboard:
    """The same, where the boards of the competition are known."""
    for found in boards:
        if (found.phase.slug, found.slug) == (phase, board):
            found.phase.competition = competition  # who organises it may be known already
            return found
    known = ", ".join(f"{b.phase.slug}/{b.slug}" for b in boards)
    raise NotFound(
        _("%(competition)s has no leaderboard %(phase)s/%(board)s.")
        % {"competition": competition.slug, "phase": phase, "board": board},
        _("Its leaderboards are: %(known)s.") % {"known": known},
    )


def board_hidden(*, phase: Phase, user: Viewer) -> str:
    """Why `user` may not see the boards of a phase; empty where they may. Organisers always may."""
    if (
        feedback_of(phase=phase) in ("full", "rounded")
        or phase_is_over(phase=phase)
        or is_organiser(user=user, competition=phase.competition)
    ):
        return ""
    if phase_finalists(phase=phase):
        return _("These are the finals: their leaderboard appears when the organisers publish the ranking.")
    text = _("This phase gives no feedback while it runs, so its leaderboard is not shown yet.")
    if phase.closes is None:
        return text
    until = _("It appears when the phase closes, %(closes)s UTC.") % {"closes": f"{phase.closes:%Y-%m-%d %H:%M}"}
    return f"{text} {until}"


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
    filters: Filters | None = None,
    own: int | None = None,
) -> BoardPage:
    """One page of a board, in two queries whose cost does not depend on its size.

    Args:
        sort: "" or `rank`, or a column's key, `participant`, `submitted`, `submissions`; a minus before it turns it.
        q: parts of participants' names, with commas between.
        cols: keys of columns, with commas; "" for the board's own.
        after: the `next` of the page before.
        limit: rows, 1 to 200.
        filters: in place of `q`, which entries are shown.
        own: the key of the viewer's participation, where the caller knows it (0: none).

    Raises `UserError` for an unknown column or cursor.
    """
    phase = leaderboard.phase
    spec = LeaderboardSpec.model_validate(leaderboard.spec)
    offer = columns_offered(spec=CompetitionSpec.model_validate(phase.competition.spec))
    limit = max(1, min(limit, MAX_LIMIT))
    filters = filters or Filters(q=q)
    hidden = board_hidden(phase=phase, user=user)
    if hidden:
        return BoardPage(leaderboard, [], [], "", 0, leaderboard.version, sort, filters.q, limit, hidden=hidden)
    available = columns_available(spec, offer)
    sort_check(sort, available, offer)
    keys = column_keys(cols, spec, offer)
    blunt = board_blunt(phase=phase, user=user)
    entries = entries_shown(leaderboard=leaderboard, filters=filters)
    version, searched = leaderboard.version, filters.any
    page = slice_get(
        entries=entries, sort=sort, after=after, limit=limit, searched=searched, version=version, blunt=blunt
    )
    ranks = with_ranks(page)
    asked = [] if ranks is not None else [e.sort_key for e in page.entries if e.sort_key is not None]
    first = page.entries[0] if page.entries else None
    facts = facts_get(leaderboard=leaderboard, found=entries, first=first, keys=asked)
    columns = columns_made(keys=keys, spec=spec, offer=offer, entries=page.entries, told=facts.results, blunt=blunt)
    if own is None:
        own = _own(user, phase.competition)
    shared = RowContext(
        columns=[(column.key, column.decimals) for column in columns], ranks=facts.ranks if ranks is None else ranks,
        facts=facts, gates=[parse_gate(gate) for gate in spec.gates], seer=own, closes=phase.closes, blunt=blunt,
    )  # fmt: skip
    rows = [page_row(e, group=group, shared=shared) for e, group in zip(page.entries, groups_of(page), strict=True)]
    return BoardPage(
        leaderboard=leaderboard, columns=columns, rows=rows, next=page.after, total=min(facts.total, COUNTED),
        version=version, sort=sort, q=filters.q, limit=limit, blunt=blunt, available=available,
        filters=filters, total_is_least=facts.more, withdrawn=facts.withdrawn,
    )  # fmt: skip


def _own(user: Viewer, competition: Competition) -> int | None:
    """The key of the participation that the viewer is a member of."""
    joined = participation_of(user=user, competition=competition)
    return joined.pk if joined is not None else None


def leaderboard_export_rows(*, leaderboard: Leaderboard, user: Viewer) -> Iterator[dict[str, Any]]:
    """Every entry in rank order as flat dicts of raw values, for CSV, JSON and Parquet.

    They are read from the database as they are asked for, so a long board is never in memory as a whole.
    A result has the keys `<key>`, `<key>.low`, `<key>.high`, `<key>.n`, `<key>.state` and `<key>.verdict`. All rows
    have the same keys. What was withdrawn comes last, flagged `withdrawn`, without numbers. Nothing while the phase
    hides its board.
    """
    phase = leaderboard.phase
    if board_hidden(phase=phase, user=user):
        return iter(())
    blunt = board_blunt(phase=phase, user=user)
    shown = entries_shown(leaderboard=leaderboard, filters=Filters())
    facts = None if blunt else facts_get(leaderboard=leaderboard, found=None, first=None)
    spec = LeaderboardSpec.model_validate(leaderboard.spec)
    keys = export_keys(leaderboard)
    gone = leaderboard.events.filter(kind="withdrawn").select_related("participation", "run__submission")
    gone = gone.defer("run__log", "run__sample_log").order_by("-at", "pk")
    ranked = flat_rows(
        shown.order_by(*BEST_FIRST).iterator(chunk_size=_CHUNK), keys=keys,
        gates=[parse_gate(gate) for gate in spec.gates], facts=facts, closes=phase.closes, blunt=blunt,
    )  # fmt: skip
    return chain(ranked, tombstone_rows(gone.iterator(chunk_size=_CHUNK), keys=keys))


def export_keys(leaderboard: Leaderboard) -> list[str]:
    """Every key that any entry has a score of: in the board's own order, then what it does not know of."""
    sql = """SELECT DISTINCT jsonb_object_keys(scores) FROM leaderboards_leaderboardentry
             WHERE leaderboard_id = %s AND NOT hidden"""
    with connection.cursor() as cursor:
        cursor.execute(sql, [leaderboard.pk])
        found = {key for (key,) in cursor.fetchall()}
    offer = columns_offered(spec=CompetitionSpec.model_validate(leaderboard.phase.competition.spec))
    known = [key for key in columns_available(LeaderboardSpec.model_validate(leaderboard.spec), offer) if key in found]
    return [*known, *sorted(found - set(known))]
