"""For organisers: a competition as a bundle to take along, the check of what it measures, and opening it."""

from __future__ import annotations

from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.base import ApiView, Strict
from touchstone.api.check_outputs import PublishCheckOut, check_dict
from touchstone.api.schema import operation
from touchstone.competitions.exporting import competition_export, export_name
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import competition_get, is_organiser
from touchstone.core.errors import NotFound
from touchstone.drafts.rehearsals import check_report, competition_open
from touchstone.drafts.rehearsing import rehearse


class CompetitionExport(ApiView):
    """The bundle."""

    tag = "competitions"
    scopes = {"GET": "organise"}
    costly = {"GET"}

    @operation(
        operation_id="competitions_export",
        summary="Export a competition as a bundle (a zip)",
        description="Hidden data are in it. The same version gives the same bytes; importing it changes nothing.",
        responses={(200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def get(self, request: Request, slug: str) -> HttpResponseBase:
        competition = competition_get(user=request.user, slug=slug)
        pieces = competition_export(competition=competition, user=request.user)
        answer = StreamingHttpResponse(pieces, content_type="application/zip")
        answer["Content-Disposition"] = f'attachment; filename="{export_name(competition=competition)}"'
        answer["Cache-Control"] = "private, no-store"
        return answer


class CompetitionCheck(ApiView):
    """Made-up submissions of every phase."""

    tag = "competitions"
    scopes = {"GET": "organise", "POST": "organise"}
    costly = {"POST"}

    @operation(
        operation_id="competitions_check",
        summary="How the publish check of the present version stands",
        responses=PublishCheckOut,
    )
    def get(self, request: Request, slug: str) -> Response:
        return _answer(_organised(request, slug))

    @operation(
        operation_id="competitions_check_start",
        summary="Send made-up submissions of every phase through the queue",
        description="One that knows nothing, one that is always the same, the truth, and a malformed one. They are "
        "seen by organisers alone, reach no leaderboard and cost no quota.",
        request=None,
        responses={202: PublishCheckOut},
    )
    def post(self, request: Request, slug: str) -> Response:
        competition = _organised(request, slug)
        rehearse(competition=competition, user=request.user)
        return _answer(competition, status=202)


class CompetitionOpen(ApiView):
    """Letting others see a competition."""

    tag = "competitions"
    scopes = {"POST": "organise"}

    class Input(Strict):
        """Why, where the check did not pass."""

        reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)

    @operation(
        operation_id="competitions_open",
        summary="Open a competition that only its organisers see",
        description="The check of the present version must have passed, or a reason be given, which is kept.",
        request=Input,
        responses=PublishCheckOut,
    )
    def post(self, request: Request, slug: str) -> Response:
        competition = _organised(request, slug)  # first: others are not told what is asked for here
        given = self.body(request, self.Input)
        return _answer(competition_open(competition=competition, user=request.user, reason=given["reason"]))


def _organised(request: Request, slug: str) -> Competition:
    found = competition_get(user=request.user, slug=slug)
    if not is_organiser(user=request.user, competition=found):
        raise NotFound(f"There is nothing of {slug!r} to check for you.", "Its organisers can; ask one of them.")
    return found


def _answer(competition: Competition, *, status: int = 200) -> Response:
    report = check_report(competition=competition)
    return Response(PublishCheckOut(check_dict(competition=competition, report=report)).data, status=status)
