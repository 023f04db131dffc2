"""Matrices of transferred examples: asking for one, following it, taking it home. For organisers."""

from __future__ import annotations

import uuid

from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.base import ApiView, PageQuery, Strict, page_of
from touchstone.api.idempotency import KEY, idempotent
from touchstone.api.matrix_outputs import MatricesOut, MatrixOut, matrix_dict
from touchstone.api.schema import operation
from touchstone.competitions.models import Phase
from touchstone.competitions.selectors import competition_get, phase_get
from touchstone.leaderboards.exports import csv_lines
from touchstone.transfers.models import Matrix
from touchstone.transfers.selectors import matrices_of, matrix_export_rows, matrix_get, matrix_view
from touchstone.transfers.services import DEFAULT_SIZE, MAX_SIZE, matrix_cancel, matrix_create

_SHOWN = 20


def _answer(matrix: Matrix) -> dict[str, object]:
    return dict(MatrixOut(matrix_dict(matrix_view(matrix=matrix))).data)


class Matrices(ApiView):
    """The matrices of a phase."""

    tag = "leaderboards"
    scopes = {"GET": "organise", "POST": "organise"}
    costly = {"POST"}

    class Input(Strict):
        """Which submissions, and the attack."""

        submissions = serializers.ListField(
            child=serializers.UUIDField(), required=False, default=list, max_length=MAX_SIZE,
            help_text=f"Scored ones that can be asked. Default: the best of each participant, at most {DEFAULT_SIZE}.",
        )  # fmt: skip
        parameters = serializers.DictField(
            help_text="Of the metric robustness.transfer, without surrogates: attack, eps, norm, items, draw, onward, "
            "and the attack's own."
        )

    class Query(PageQuery):
        """Matrices are large: fewer a page."""

        limit = serializers.IntegerField(required=False, default=_SHOWN, min_value=1, max_value=_SHOWN)

    @operation(
        operation_id="matrices_list",
        summary="The matrices of a phase",
        description="Newest first.",
        parameters=[Query],
        responses=MatricesOut,
    )
    def get(self, request: Request, slug: str, phase: str) -> Response:
        found = matrices_of(user=request.user, phase=_phase(request, slug, phase))
        rows, following = page_of(found, key="pk", **self.query(request, self.Query))
        items = [matrix_dict(matrix_view(matrix=matrix)) for matrix in rows]
        return Response(MatricesOut({"items": items, "next": following}).data)

    @operation(
        operation_id="matrices_create",
        summary="Ask for a matrix of transferred examples",
        description="Every submission is shown the examples that are made against every model among them. One run for "
        "each; they reach no leaderboard and no quota, and take the turn of who asks.",
        parameters=[KEY],
        request=Input,
        responses={201: MatrixOut},
    )
    @idempotent
    def post(self, request: Request, slug: str, phase: str) -> Response:
        given = self.body(request, self.Input)
        made = matrix_create(user=request.user, phase=_phase(request, slug, phase), **given)
        headers = {"Location": request.build_absolute_uri(f"/api/v1/transfer-matrices/{made.pk}")}
        return Response(_answer(matrix_get(user=request.user, id=made.pk)), status=201, headers=headers)


def _phase(request: Request, slug: str, phase: str) -> Phase:
    return phase_get(competition=competition_get(user=request.user, slug=slug), slug=phase)


class MatrixDetail(ApiView):
    """One matrix."""

    tag = "leaderboards"
    scopes = {"GET": "organise"}

    class Query(Strict):
        """In which form."""

        format = serializers.ChoiceField(
            ["json", "csv"], required=False, default="json", help_text="csv: a line for each pair, raw."
        )

    @operation(
        operation_id="matrices_get",
        summary="A matrix of transferred examples",
        parameters=[Query],
        responses={(200, "application/json"): MatrixOut, (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR)},
    )
    def get(self, request: Request, matrix: uuid.UUID) -> HttpResponseBase:
        wanted = self.query(request, self.Query)["format"]
        found = matrix_get(user=request.user, id=matrix)
        if wanted == "json":
            return Response(_answer(found))
        lines = csv_lines(matrix_export_rows(view=matrix_view(matrix=found)))
        answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="transfer-{found.pk}.csv"'
        return answer


class MatrixCancel(ApiView):
    """Stopping one."""

    tag = "leaderboards"
    scopes = {"POST": "organise"}

    @operation(
        operation_id="matrices_cancel",
        summary="Cancel a matrix",
        description="What has ended stays. Cancelling again changes nothing.",
        request=None,
        responses=MatrixOut,
    )
    def post(self, request: Request, matrix: uuid.UUID) -> Response:
        matrix_cancel(user=request.user, matrix=matrix_get(user=request.user, id=matrix))
        return Response(_answer(matrix_get(user=request.user, id=matrix)))
