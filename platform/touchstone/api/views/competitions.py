"""Competitions: what is on offer, publishing, joining, data."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.authentication import PUBLIC, token_reach
from touchstone.api.base import ApiView, MultipartOrJson, PageQuery, Strict, page_of
from touchstone.api.files import file_answer
from touchstone.api.outputs import (
    CompetitionOut,
    CompetitionPageOut,
    ImportOut,
    ParticipationOut,
    QuotaOut,
    SubmissionPageOut,
)
from touchstone.api.present import competition_detail, competition_summary, page_url, quota_dict, submission_dict
from touchstone.api.schema import Problem, operation
from touchstone.competitions.models import Competition, Phase
from touchstone.competitions.selectors import (
    competition_get,
    competition_visible,
    competitions_search,
    joined_keys,
    organised_keys,
    participation_need,
    phase_current,
    phase_get,
    split_file,
    split_get,
    starting_kit,
)
from touchstone.competitions.services import competition_import, participation_join
from touchstone.core.errors import Conflict, NotFound, UserError
from touchstone.core.storage import blob_open
from touchstone.submissions.selectors import quota, submissions_all
from touchstone.submissions.uploads import upload_get

_BYTES = {(200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY), 304: OpenApiResponse(None)}


class Competitions(MultipartOrJson):
    """The list, and publishing a bundle."""

    tag = "competitions"
    scopes = {"GET": PUBLIC, "POST": "organise"}
    competition_in = {"POST": "inside"}
    tags = True
    costly = {"POST"}

    class Query(PageQuery):
        """Words to look for."""

        q = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)

    class Input(Strict):
        """A bundle (a zip with competition.yml at its root): the id of a complete upload, or a file in a form."""

        upload = serializers.UUIDField(required=False)
        bundle = serializers.FileField(required=False, allow_empty_file=True)
        replace = serializers.BooleanField(
            required=False,
            default=False,
            help_text="Drop phases and splits that the bundle no longer has, if nothing was submitted to them.",
        )

    @operation(
        operation_id="competitions_list",
        summary="Competitions the caller may see",
        parameters=[Query],
        responses=CompetitionPageOut,
    )
    def get(self, request: Request) -> Response:
        query = self.query(request, self.Query)
        visible = competitions_search(queryset=competition_visible(user=request.user), q=query.pop("q"))
        rows, following = page_of(visible.prefetch_related("phases__split"), key="slug", **query)
        joined = joined_keys(user=request.user, competitions=rows)
        organised = organised_keys(user=request.user, competitions=rows)
        items = [competition_summary(row, joined=joined, organised=organised) for row in rows]
        return Response(CompetitionPageOut({"items": items, "next": following}).data)

    @operation(
        operation_id="competitions_import",
        summary="Publish a competition, or bring it up to date",
        description="Creates the competition, or changes one that the caller organises. A bundle with defects changes "
        "nothing and answers 422 with all of them.",
        request={"application/json": Input, "multipart/form-data": Input},
        responses={200: ImportOut, 201: ImportOut, (422, "application/problem+json"): Problem},
    )
    def post(self, request: Request) -> Response:
        given = self.body(request, self.Input)
        replace = given.pop("replace")
        with self._bundle(request, given) as archive:
            outcome = competition_import(
                user=request.user, archive=archive, replace=replace, reach=token_reach(request, "organise")
            )
        slug = outcome.competition.slug
        answer = ImportOut(
            {
                "competition": slug,
                "created": outcome.created,
                "changed": outcome.changed,
                "version": outcome.competition.version,
                "url": page_url(f"/c/{slug}/"),
            }
        ).data
        headers = {"Location": request.build_absolute_uri(f"/api/v1/competitions/{slug}")}
        return Response(answer, status=201 if outcome.created else 200, headers=headers)

    def _bundle(self, request: Request, given: dict[str, Any]) -> BinaryIO:
        if len(given) != 1:
            raise UserError(
                "Send the bundle once: as `upload` or as `bundle`.",
                "JSON {upload: ID} after an upload by parts, or a form with the file `bundle`.",
                "artifact",
            )
        if "bundle" in given:
            return cast(BinaryIO, given["bundle"].open("rb"))
        upload = upload_get(user=request.user, id=given["upload"], reach=token_reach(request, "organise"))
        if upload.completed_at is None:
            raise Conflict(
                "The upload is not complete.", "Send the missing parts and complete it.", "upload_incomplete"
            )
        return cast(BinaryIO, blob_open(sha256=upload.sha256))


class CompetitionDetail(ApiView):
    """One competition."""

    tag = "competitions"
    scopes = {"GET": PUBLIC}
    tags = True

    @operation(operation_id="competitions_get", summary="A competition in full", responses=CompetitionOut)
    def get(self, request: Request, slug: str) -> Response:
        found = competition_get(user=request.user, slug=slug)
        joined = joined_keys(user=request.user, competitions=[found])
        organised = organised_keys(user=request.user, competitions=[found])
        return Response(
            CompetitionOut(competition_detail(found, user=request.user, joined=joined, organised=organised)).data
        )


class CompetitionJoin(ApiView):
    """Taking part."""

    tag = "competitions"
    scopes = {"POST": "submit"}

    class Input(Strict):
        """`accept_terms` must be true; the terms are in the competition."""

        accept_terms = serializers.BooleanField()
        display_name = serializers.CharField(required=False, allow_blank=True, default="", max_length=100)

    @operation(
        operation_id="competitions_join",
        summary="Take part",
        description="Joining again changes nothing.",
        request=Input,
        responses=ParticipationOut,
    )
    def post(self, request: Request, slug: str) -> Response:
        given = self.body(request, self.Input)
        joined = participation_join(
            competition=competition_get(user=request.user, slug=slug), user=request.user, **given
        )
        return Response(
            ParticipationOut(
                {
                    "competition": slug,
                    "display_name": joined.display_name,
                    "joined_at": joined.joined_at,
                    "status": joined.status,
                }
            ).data
        )


class CompetitionFile(ApiView):
    """A file of a data split."""

    tag = "competitions"
    scopes = {"GET": PUBLIC}

    @operation(
        operation_id="competitions_data",
        summary="Download a file of a data split",
        description="Files that the caller may not have answer like files that do not exist.",
        parameters=[OpenApiParameter("file", str, OpenApiParameter.PATH, description="As in `splits[].files[].name`.")],
        responses=_BYTES,
    )
    def get(self, request: Request, slug: str, split: str, file: str) -> HttpResponseBase:
        competition = competition_get(user=request.user, slug=slug)
        found = split_file(user=request.user, split=split_get(competition=competition, name=split), name=file)
        return file_answer(request, sha256=found["sha256"], name=found["name"], size=found["size"])


class CompetitionStartingKit(ApiView):
    """The starting kit."""

    tag = "competitions"
    scopes = {"GET": PUBLIC}

    @operation(operation_id="competitions_starting_kit", summary="Download the starting kit (a zip)", responses=_BYTES)
    def get(self, request: Request, slug: str) -> HttpResponseBase:
        competition = competition_get(user=request.user, slug=slug)
        sha256 = starting_kit(user=request.user, competition=competition)
        if sha256 is None:
            raise NotFound(f"{slug} has no starting kit.", "Its pages and data are all there is.")
        return file_answer(request, sha256=sha256, name=f"{slug}-starting-kit.zip")


class CompetitionQuota(ApiView):
    """Submissions left."""

    tag = "submissions"
    scopes = {"GET": "read"}

    class Query(Strict):
        """Which phase."""

        phase = serializers.SlugField(
            required=False, default="", allow_blank=True, help_text="Default: the one that is open."
        )

    @operation(operation_id="competitions_quota", summary="Submissions left", parameters=[Query], responses=QuotaOut)
    def get(self, request: Request, slug: str) -> Response:
        competition = competition_get(user=request.user, slug=slug)
        phase = self._phase(competition, self.query(request, self.Query)["phase"])
        participation = participation_need(user=request.user, competition=competition)
        return Response(QuotaOut(quota_dict(quota(participation=participation, phase=phase), phase=phase)).data)

    def _phase(self, competition: Competition, slug: str) -> Phase:
        if slug:
            return phase_get(competition=competition, slug=slug)
        phase = phase_current(competition=competition)
        if phase is None:
            raise Conflict(f"No phase of {competition.slug} is open.", "Name one with `phase`.", "no_open_phase")
        return phase


class CompetitionSubmissions(ApiView):
    """Submissions to one competition."""

    tag = "submissions"
    scopes = {"GET": "read"}
    tags = True

    @operation(
        operation_id="competitions_submissions",
        summary="Submissions to a competition",
        description="Organisers see all, others their own.",
        parameters=[PageQuery],
        responses=SubmissionPageOut,
    )
    def get(self, request: Request, slug: str) -> Response:
        competition = competition_get(user=request.user, slug=slug)
        submissions = submissions_all(user=request.user, competition=competition).select_related("participation")
        rows, following = page_of(submissions, key="pk", **self.query(request, PageQuery))
        return Response(SubmissionPageOut({"items": [submission_dict(row) for row in rows], "next": following}).data)
