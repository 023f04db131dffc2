"""Leaderboards as JSON pages and as CSV."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.authentication import PUBLIC
from touchstone.api.base import ApiView, Strict
from touchstone.api.board_outputs import BoardOut
from touchstone.api.present import page_url
from touchstone.api.schema import operation
from touchstone.competitions.selectors import competition_get
from touchstone.core.errors import NotAllowed
from touchstone.leaderboards.exports import csv_lines
from touchstone.leaderboards.filters import ONLY, WHO, Filters
from touchstone.leaderboards.models import Leaderboard
from touchstone.leaderboards.selectors import (
    MAX_LIMIT,
    BoardPage,
    board_blunt,
    board_hidden,
    leaderboard_export_rows,
    leaderboard_get,
    leaderboard_page,
)
from touchstone.submissions.models import Submission

#: What is told of a cell: the numbers raw, and the value as the page shows it.
_CELL = ("text", "value", "low", "high", "n", "state", "reason", "verdict", "doubts")

_ROW = (
    "participant", "is_baseline", "is_you", "submission", "entry", "kind", "flags", "submitted_at", "n_submissions",
    "unranked", "gates",
)  # fmt: skip


class BoardView(ApiView):
    """One leaderboard."""

    tag = "leaderboards"
    scopes = {"GET": PUBLIC}

    class Query(Strict):
        """What to show."""

        sort = serializers.CharField(
            required=False,
            default="",
            allow_blank=True,
            max_length=250,
            help_text="`rank`, `participant`, `submitted`, `submissions` or a column's key; a minus before turns it.",
        )
        q = serializers.CharField(
            required=False,
            default="",
            allow_blank=True,
            max_length=100,
            help_text="Parts of participants' names, with commas between.",
        )
        cols = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=4000, help_text="Keys of columns, with commas."
        )
        kind = serializers.ChoiceField(
            ["", *Submission.Kind.values], required=False, default="", help_text="Only those."
        )
        who = serializers.ChoiceField(WHO, required=False, default="", help_text="Whose entries; empty: everybody's.")
        only = serializers.ChoiceField(
            ONLY, required=False, default="", help_text="ranked; or sound: no check speaks against their robustness."
        )
        after = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=500, help_text="`next` of the page before."
        )
        limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=MAX_LIMIT)
        format = serializers.ChoiceField(["json", "csv"], required=False, default="json", help_text="csv: all, raw.")

    @operation(
        operation_id="leaderboards_get",
        summary="A leaderboard",
        description="With `If-None-Match`, an unchanged leaderboard answers 304 at the price of a row.",
        parameters=[
            Query,
            OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="`ETag` of the answer before."),
        ],
        responses={
            (200, "application/json"): BoardOut,
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR),
            304: OpenApiResponse(None, description="Not changed"),
        },
    )
    def get(self, request: Request, slug: str, phase: str, board: str) -> HttpResponseBase:
        query = self.query(request, self.Query)
        found = leaderboard_get(competition=competition_get(user=request.user, slug=slug), phase=phase, board=board)
        etag = _etag(found, request, query)
        unchanged = get_conditional_response(request._request, etag=etag)
        answer = unchanged or self._answer(request, found, query)
        answer["ETag"] = etag
        answer["Cache-Control"] = "private, no-cache"
        return answer

    def _answer(self, request: Request, board: Leaderboard, query: dict[str, Any]) -> HttpResponseBase:
        if query.pop("format") == "csv":
            return _csv(board, request)
        filters = Filters(**{name: query.pop(name) for name in ("q", "kind", "who", "only")})
        page = leaderboard_page(leaderboard=board, user=request.user, filters=filters, **query)
        return Response(_page(page))


def _etag(board: Leaderboard, request: Request, query: dict[str, Any]) -> str:
    """Changes with whatever changes the answer: entries, bundle, query, who asks, and what the phase hides now."""
    phase = board.phase
    parts = [
        board.pk,
        board.version,
        phase.competition.version,
        request.user.pk,
        sorted(query.items()),
        board_hidden(phase=phase, user=request.user),
        board_blunt(phase=phase, user=request.user),
    ]
    return f'W/"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


def _page(page: BoardPage) -> dict[str, Any]:
    """Plain values: a page has thousands of numbers, and a serializer would cost four times as much."""
    board = page.leaderboard
    competition = board.phase.competition.slug
    return {
        "competition": competition,
        "phase": board.phase.slug,
        "slug": board.slug,
        "title": board.title or board.slug,
        "url": page_url(f"/c/{competition}/leaderboard/{board.phase.slug}/{board.slug}/"),
        "version": page.version,
        "total": page.total,
        "total_is_least": page.total_is_least,
        "hidden": page.hidden,
        "blunt": page.blunt,
        "available": page.available,
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "unit": column.unit,
                "direction": column.direction,
                "decimals": column.decimals,
                "is_ranking": column.is_ranking,
            }
            for column in page.columns
        ],
        "rows": [_row(row, [column.key for column in page.columns]) for row in page.rows],
        "next": page.next,
    }


def _row(row: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    rank = row["rank"].removeprefix("=")
    return {
        **{name: row[name] for name in _ROW},
        "rank": int(rank) if rank.isdecimal() else None,
        "rank_best": row["best"],
        "rank_worst": row["worst"],
        "tied_with": row["tied"],
        "tie_group": row["group"],
        "tied": row["rank"].startswith("="),
        "scores": {key: {name: cell[name] for name in _CELL} for key, cell in zip(keys, row["cells"], strict=True)},
    }


def _csv(board: Leaderboard, request: Request) -> StreamingHttpResponse:
    hidden = board_hidden(phase=board.phase, user=request.user)
    if hidden:
        raise NotAllowed(hidden, "Ask again when the phase has closed.", "board_hidden")
    rows = leaderboard_export_rows(leaderboard=board, user=request.user)
    answer = StreamingHttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8")
    name = f"{board.phase.competition.slug}-{board.phase.slug}-{board.slug}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
