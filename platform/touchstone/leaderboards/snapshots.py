"""Snapshots: a board as everybody saw it at one moment, under an address that always shows the same."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from typing import Any

import orjson
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Participation
from touchstone.competitions.selectors import Viewer
from touchstone.core.errors import NotAllowed, NotFound
from touchstone.leaderboards.comparing import board_readable
from touchstone.leaderboards.filters import Filters
from touchstone.leaderboards.models import Leaderboard, LeaderboardSnapshot
from touchstone.leaderboards.selectors import MAX_LIMIT, BoardPage, board_blunt, board_hidden, leaderboard_page

#: What of a row is kept. Whose it is, is kept by key: names are looked up, for people may leave or take another name.
_ROW = (
    "rank", "best", "worst", "tied", "group", "participation", "entry", "kind", "flags", "n_submissions", "unranked",
    "gates", "cells", "is_baseline",
)  # fmt: skip


def snapshot_take(
    *, leaderboard: Leaderboard, user: User, sort: str = "", cols: str = "", filters: Filters | None = None
) -> LeaderboardSnapshot:
    """Keep the first rows of a view as everybody may see it; the same view of the same board is kept once.

    Raises `NotAllowed` while the board is hidden from the public, `UserError` for a column that there is not.
    """
    with translation.override("en"):  # what is kept is read in every language, and one view has one digest
        page = leaderboard_page(
            leaderboard=leaderboard, user=None, sort=sort, cols=cols, filters=filters, limit=MAX_LIMIT, own=0
        )
    if page.hidden:
        hidden = board_hidden(phase=leaderboard.phase, user=None) or page.hidden
        raise NotAllowed(hidden, _("Only what everybody may see can be kept as a snapshot."), "board_hidden")
    body = _body(page)
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    with transaction.atomic():
        made, created = LeaderboardSnapshot.objects.get_or_create(
            leaderboard=leaderboard, sha256=digest,
            defaults={"version": leaderboard.version, "body": body, "created_by": user},
        )  # fmt: skip
        if created:
            audit_append(
                actor=user, act="leaderboard.snapshot", subject=f"leaderboard:{leaderboard.pk}",
                data={"snapshot": str(made.pk), "sha256": digest},
            )  # fmt: skip
    return made


def snapshot_get(*, leaderboard: Leaderboard, user: Viewer, id: uuid.UUID) -> LeaderboardSnapshot:  # noqa: A002
    """A snapshot of a board. Raises `NotFound`; `NotAllowed` where the phase now shows less than it did then."""
    found = LeaderboardSnapshot.objects.filter(leaderboard=leaderboard, pk=id).first()
    if found is None:
        raise NotFound(
            _("There is no such snapshot of this leaderboard."), _("The leaderboard itself is linked above it.")
        )
    board_readable(leaderboard=leaderboard, user=user)
    if board_blunt(phase=leaderboard.phase, user=user) and not found.body["blunt"]:
        raise NotAllowed(
            _("This snapshot has exact numbers, and the phase now rounds them."),
            _("Come back when the phase is over."),
            "board_hidden",
        )
    return found


def snapshot_names(*, snapshot: LeaderboardSnapshot, more: Iterable[int] = ()) -> dict[int, str]:
    """The present name of each participant of a snapshot, and of `more`, by key."""
    keys = {*(row["participation"] for row in snapshot.body["rows"]), *more}
    return dict(Participation.objects.filter(pk__in=keys).values_list("pk", "display_name"))


def snapshot_changes(*, snapshot: LeaderboardSnapshot, user: Viewer) -> dict[str, list[Any]] | None:
    """What the same view shows now that it did not, and the other way: {new, gone, moved}; None while it is the same.

    `new` and `gone` are keys of participations, `moved` are (key, rank then, rank now).
    """
    board, body = snapshot.leaderboard, snapshot.body
    if board.version == snapshot.version or board_hidden(phase=board.phase, user=user):
        return None
    view = body["view"]
    page = leaderboard_page(
        leaderboard=board, user=None, sort=view["sort"], cols=",".join(c["key"] for c in body["columns"]),
        filters=Filters(**view["filters"]), limit=MAX_LIMIT, own=0,
    )  # fmt: skip
    then = {row["participation"]: row for row in body["rows"]}
    now = {row["participation"]: row for row in page.rows}
    moved = [
        (key, then[key]["rank"], now[key]["rank"])
        for key in then
        if key in now and (then[key]["rank"], then[key]["entry"]) != (now[key]["rank"], now[key]["entry"])
    ]
    found = {"new": [key for key in now if key not in then], "gone": [k for k in then if k not in now], "moved": moved}
    return found if any(found.values()) else None


def _body(page: BoardPage) -> dict[str, Any]:
    filters = page.filters
    return {
        "format": 1,
        "view": {
            "sort": page.sort,
            "filters": {"q": filters.q, "kind": filters.kind, "who": filters.who, "only": filters.only},
        },
        "columns": [
            {"key": c.key, "title": c.title, "unit": c.unit, "direction": c.direction, "decimals": c.decimals,
             "is_ranking": c.is_ranking}
            for c in page.columns
        ],
        "rows": [{name: row[name] for name in _ROW} | {"submitted_at": row["submitted_at"].isoformat()}
                 for row in page.rows],
        "total": page.total,
        "total_is_least": page.total_is_least,
        "cut": bool(page.next),
        "blunt": page.blunt,
    }  # fmt: skip
