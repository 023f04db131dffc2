"""What stands around a leaderboard: planes, comparisons, history, snapshots, entries, Parquet."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.authentication import PUBLIC
from touchstone.api.base import ApiView, Strict
from touchstone.api.board_more_outputs import (
    ComparedOut,
    EntryOut,
    HistoryOut,
    PlaneOut,
    SnapshotOut,
    entry_name,
    step_dict,
)
from touchstone.api.present import page_url
from touchstone.api.schema import operation
from touchstone.competitions.selectors import competition_get
from touchstone.core.errors import NotAllowed
from touchstone.core.rates import SNAPSHOTS, rate_take
from touchstone.leaderboards.comparing import compared_get, plane_get
from touchstone.leaderboards.entries import EntryView, entry_get
from touchstone.leaderboards.exports import parquet_file
from touchstone.leaderboards.filters import Filters
from touchstone.leaderboards.models import Leaderboard, LeaderboardSnapshot
from touchstone.leaderboards.selectors import board_hidden, leaderboard_export_rows, leaderboard_get
from touchstone.leaderboards.snapshots import snapshot_changes, snapshot_get, snapshot_names, snapshot_take
from touchstone.leaderboards.timeline import frontier_get


def _board(request: Request, slug: str, phase: str, board: str) -> Leaderboard:
    return leaderboard_get(competition=competition_get(user=request.user, slug=slug), phase=phase, board=board)


class BoardPlane(ApiView):
    """Two results of all entries."""

    tag = "leaderboards"
    scopes = {"GET": PUBLIC}
    tags = True

    class Query(Strict):
        """Which two; left out, the ranking one and another."""

        x = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
        y = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)

    @operation(
        operation_id="leaderboards_plane",
        summary="All entries by two results, and which no other beats in both",
        parameters=[Query],
        responses=PlaneOut,
    )
    def get(self, request: Request, slug: str, phase: str, board: str) -> Response:
        query = self.query(request, self.Query)
        plane = plane_get(leaderboard=_board(request, slug, phase, board), user=request.user, **query)
        body = {
            "x": plane.x.key, "y": plane.y.key, "blunt": plane.blunt, "cut": plane.cut, "available": plane.available,
            "items": [
                {**entry_name(each.entry), "x": each.x, "y": each.y, "front": each.front} for each in plane.points
            ],
            "missing": [entry_name(entry) for entry, _lacking in plane.missing],
        }  # fmt: skip
        return Response(PlaneOut(body).data)


class BoardCompare(ApiView):
    """Entries beside each other."""

    tag = "leaderboards"
    scopes = {"GET": PUBLIC}
    tags = True

    class Query(Strict):
        """Which."""

        entries = serializers.CharField(max_length=400, help_text="Two to four ids of entries, with commas between.")

    @operation(
        operation_id="leaderboards_compare",
        summary="Two to four entries in every result",
        parameters=[Query],
        responses=ComparedOut,
    )
    def get(self, request: Request, slug: str, phase: str, board: str) -> Response:
        picked = [word.strip() for word in self.query(request, self.Query)["entries"].split(",")]
        found = compared_get(leaderboard=_board(request, slug, phase, board), user=request.user, submissions=picked)
        items = [
            {**entry_name(entry), "results": list(results.values())}
            for entry, results in zip(found.entries, found.results, strict=True)
        ]
        return Response(ComparedOut({"blunt": found.blunt, "items": items}).data)


class BoardHistory(ApiView):
    """How it came about."""

    tag = "leaderboards"
    scopes = {"GET": PUBLIC}
    tags = True

    @operation(operation_id="leaderboards_history", summary="Who led the board, and since when", responses=HistoryOut)
    def get(self, request: Request, slug: str, phase: str, board: str) -> Response:
        steps = frontier_get(leaderboard=_board(request, slug, phase, board), user=request.user)
        return Response(HistoryOut({"items": [step_dict(step) for step in steps]}).data)


class BoardParquet(ApiView):
    """Everything, typed."""

    tag = "leaderboards"
    scopes = {"GET": PUBLIC}
    costly = {"GET"}

    @operation(
        operation_id="leaderboards_parquet",
        summary="All entries with raw numbers, as a Parquet file",
        responses={(200, "application/vnd.apache.parquet"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def get(self, request: Request, slug: str, phase: str, board: str) -> FileResponse:
        found = _board(request, slug, phase, board)
        hidden = board_hidden(phase=found.phase, user=request.user)
        if hidden:
            raise NotAllowed(hidden, "Ask again when the phase has closed.", "board_hidden")
        told = {"competition": slug, "phase": phase, "leaderboard": board, "version": str(found.version)}
        rows = leaderboard_export_rows(leaderboard=found, user=request.user)
        return FileResponse(
            parquet_file(rows, told=told), as_attachment=True, filename=f"{slug}-{phase}-{board}.parquet",
            content_type="application/vnd.apache.parquet",
        )  # fmt: skip


class Snapshots(ApiView):
    """Keeping a view."""

    tag = "leaderboards"
    scopes = {"POST": "read"}

    class Input(Strict):
        """The view."""

        sort = serializers.CharField(required=False, default="", allow_blank=True, max_length=250)
        cols = serializers.CharField(required=False, default="", allow_blank=True, max_length=4000)
        q = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)

    @operation(
        operation_id="snapshots_create",
        summary="Keep a view of a board as everybody sees it now",
        description="Its address always shows the same. The same view of the same board is kept once.",
        request=Input,
        responses={201: SnapshotOut},
    )
    def post(self, request: Request, slug: str, phase: str, board: str) -> Response:
        found = _board(request, slug, phase, board)
        given = self.body(request, self.Input)
        rate_take(rate=SNAPSHOTS, subjects={"name": request.user.get_username()})
        filters = Filters(q=given.pop("q"))
        made = snapshot_take(leaderboard=found, user=request.user, filters=filters, **given)
        made.leaderboard = found
        place = f"/api/v1/competitions/{slug}/leaderboards/{phase}/{board}/snapshots/{made.pk}"
        headers = {"Location": request.build_absolute_uri(place)}
        return Response(_snapshot(made, request), status=201, headers=headers)


class SnapshotDetail(ApiView):
    """A view as it was."""

    tag = "leaderboards"
    scopes = {"GET": PUBLIC}
    tags = True

    @operation(operation_id="snapshots_get", summary="A view of a board as it was", responses=SnapshotOut)
    def get(self, request: Request, slug: str, phase: str, board: str, snapshot: uuid.UUID) -> Response:
        found = _board(request, slug, phase, board)
        kept = snapshot_get(leaderboard=found, user=request.user, id=snapshot)
        kept.leaderboard = found
        return Response(_snapshot(kept, request))


def _snapshot(kept: LeaderboardSnapshot, request: Request) -> Any:
    board, body, names = kept.leaderboard, kept.body, snapshot_names(snapshot=kept)
    keys = [column["key"] for column in body["columns"]]
    place = f"/c/{board.phase.competition.slug}/leaderboard/{board.phase.slug}/{board.slug}/at/{kept.pk}/"
    rows = [
        {
            **row, "rank_best": row["best"], "rank_worst": row["worst"],
            "participant": names.get(row["participation"], "–"),
            "scores": dict(zip(keys, row["cells"], strict=True)),
        }
        for row in body["rows"]
    ]  # fmt: skip
    return SnapshotOut(
        {
            "id": kept.pk, "url": page_url(place), "sha256": kept.sha256, "created_at": kept.created_at,
            "version": kept.version, "blunt": body["blunt"], "total": body["total"], "cut": body["cut"],
            "changed": snapshot_changes(snapshot=kept, user=request.user) is not None, "columns": body["columns"],
            "rows": rows,
        }
    ).data  # fmt: skip


class EntryDetail(ApiView):
    """An entry as everybody may see it."""

    tag = "leaderboards"
    scopes = {"GET": PUBLIC}
    tags = True

    @operation(
        operation_id="entries_get",
        summary="The public part of a submission that is or was an entry",
        parameters=[OpenApiParameter("entry", uuid.UUID, OpenApiParameter.PATH, description="As on the board.")],
        responses=EntryOut,
    )
    def get(self, request: Request, slug: str, entry: uuid.UUID) -> Response:
        competition = competition_get(user=request.user, slug=slug)
        return Response(EntryOut(_entry(entry_get(competition=competition, user=request.user, id=entry))).data)


def _entry(found: EntryView) -> dict[str, Any]:
    submission = found.submission
    slug = submission.phase.competition.slug
    places = [
        {
            "leaderboard": place.board.slug, "flags": place.flags,
            "rank_best": place.standing.best if place.standing else None,
            "rank_worst": place.standing.worst if place.standing else None,
        }
        for place in found.places
    ]  # fmt: skip
    return {
        "entry": submission.pk, "competition": slug, "phase": submission.phase.slug,
        "participant": submission.participation.display_name, "kind": submission.kind,
        "submitted_at": submission.created_at, "withdrawn": found.withdrawn,
        "url": page_url(f"/c/{slug}/entry/{submission.pk}/"), "badge": page_url(f"/c/{slug}/badge/{submission.pk}.svg"),
        "places": places, "results": found.results,
    }  # fmt: skip
