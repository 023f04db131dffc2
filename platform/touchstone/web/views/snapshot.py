"""Permalinks: keeping a view of a leaderboard, and showing it as it was."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from touchstone.core.names import named
from touchstone.core.rates import SNAPSHOTS, rate_take
from touchstone.leaderboards.columns import BoardColumn
from touchstone.leaderboards.filters import Filters
from touchstone.leaderboards.models import LeaderboardSnapshot
from touchstone.leaderboards.selectors import BoardPage, leaderboard_among, leaderboard_get, leaderboards_of
from touchstone.leaderboards.snapshots import snapshot_changes, snapshot_get, snapshot_names, snapshot_take
from touchstone.web import board_query, boards
from touchstone.web.views.board import query_of, tagged_page
from touchstone.web.views.frame import context, frame
from touchstone.web.views.support import page


@login_required
@page
@require_POST
def share(request: HttpRequest, slug: str, phase: str, board: str) -> HttpResponse:
    """Keep the view of the query string, and go to where it is kept."""
    shown = frame(request, slug)
    found = leaderboard_get(competition=shown.competition, phase=phase, board=board)
    query = query_of(request)
    rate_take(rate=SNAPSHOTS, subjects={"name": request.user.get_username()})
    made = snapshot_take(leaderboard=found, user=request.user, sort=query.sort, cols=query.cols, filters=query.filters)
    return redirect("web:board-snapshot", slug, phase, board, made.pk)


@page
@require_safe
def snapshot(request: HttpRequest, slug: str, phase: str, board: str, pk: uuid.UUID) -> HttpResponseBase:
    """The view as it was, and what has changed since."""
    shown = frame(request, slug)
    every = list(leaderboards_of(competition=shown.competition))
    found = leaderboard_among(every, shown.competition, phase=phase, board=board)

    def answer() -> HttpResponseBase:
        kept = snapshot_get(leaderboard=found, user=request.user, id=pk)
        kept.leaderboard = found
        changes = snapshot_changes(snapshot=kept, user=request.user)
        names = snapshot_names(snapshot=kept, more=changes["new"] if changes else ())
        result = _page(kept, names)
        query = board_query.Query(sort=kept.body["view"]["sort"], **kept.body["view"]["filters"])
        heads = boards.headers(result, query)
        return render(
            request, "web/competition/board_snapshot.html",
            context(
                shown, "leaderboard", board=found, snapshot=kept, page=result, query=query, headers=heads,
                spans=boards.spans(heads), rows=boards.rows(result, query), frozen=True, cut=kept.body["cut"],
                total=boards.total_text(result), live_url=query.url(),
                changes=_changes(changes, names) if changes else [],
            ),
        )  # fmt: skip

    return tagged_page(request, shown, found, answer)


def _page(kept: LeaderboardSnapshot, names: dict[int, str]) -> BoardPage:
    body = kept.body
    rows: list[dict[str, Any]] = [
        {
            **row,
            "participant": names.get(row["participation"], "–"),
            "is_you": False,
            "submission": "",
            "submitted_at": datetime.fromisoformat(row["submitted_at"]),
        }
        for row in body["rows"]
    ]
    columns = [
        BoardColumn(**{**column, "title": named(column["title"]), "unit": named(column["unit"])})
        for column in body["columns"]
    ]
    return BoardPage(
        leaderboard=kept.leaderboard,
        columns=columns,
        rows=rows,
        next="",
        total=body["total"],
        version=kept.version,
        sort=body["view"]["sort"],
        q=body["view"]["filters"]["q"],
        limit=len(rows),
        blunt=body["blunt"],
        available=[column["key"] for column in body["columns"]],
        filters=Filters(**body["view"]["filters"]),
        total_is_least=body["total_is_least"],
    )


def _changes(changes: dict[str, list[Any]], names: dict[int, str]) -> list[str]:
    told = [_("New: %s") % names.get(key, "–") for key in changes["new"]]
    told += [_("No longer shown: %s") % names.get(key, "–") for key in changes["gone"]]
    told += [
        _("%(name)s: place %(then)s then, %(now)s now") % {"name": names.get(key, "–"), "then": then, "now": now}
        for key, then, now in changes["moved"]
    ]
    return told
