"""Submitting, and following what became of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.authentication import own_competition, token_provenance, token_reach
from touchstone.api.base import ApiView, MultipartOrJson, PageQuery, Strict, page_of
from touchstone.api.outputs import (
    KINDS,
    EventPageOut,
    ResultsOut,
    SubmissionDetailOut,
    SubmissionPageOut,
)
from touchstone.api.present import submission_dict
from touchstone.api.schema import operation
from touchstone.competitions.selectors import competition_get, phase_get
from touchstone.core.clock import now
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.selectors import queue_position, run_events, run_log, run_view
from touchstone.evaluations.services import run_cancel
from touchstone.evaluations.state import FINAL
from touchstone.submissions.endpoints import EndpointGiven
from touchstone.submissions.models import Submission
from touchstone.submissions.own import finalist_choose, submission_name
from touchstone.submissions.selectors import submission_get, submissions_narrowed, submissions_of
from touchstone.submissions.services import submission_create
from touchstone.submissions.uploads import upload_get


class EndpointIn(Strict):
    """An endpoint, and the name of the credential that it asks for."""

    url = serializers.CharField(max_length=500, help_text="https://HOST or https://HOST/PATH, what stands before /v2.")
    model = serializers.CharField(
        required=False, allow_blank=True, default="model", max_length=100, help_text="What stands in /v2/models/NAME."
    )
    credential = serializers.CharField(required=False, allow_blank=True, default="", max_length=64)


class Submissions(MultipartOrJson):
    """One's submissions, and a new one."""

    tag = "submissions"
    scopes = {"GET": "read", "POST": "submit"}
    competition_in = {"GET": "query or own", "POST": "body"}
    tags = True

    class Query(PageQuery):
        """Of one competition, or of all; what is left out narrows nothing."""

        competition = serializers.SlugField(required=False, default="", allow_blank=True)
        phase = serializers.SlugField(required=False, default="", allow_blank=True)
        kind = serializers.ChoiceField(["", *Submission.Kind.values], required=False, default="")
        status = serializers.ChoiceField(["", *RunStatus.values], required=False, default="")

    class Input(Strict):
        """A submission: exactly one of `upload`, `file` (in a form), for containers `image`, and `endpoint`."""

        competition = serializers.SlugField()
        phase = serializers.SlugField()
        kind = serializers.ChoiceField(KINDS)
        upload = serializers.UUIDField(required=False, allow_null=True, default=None)
        file = serializers.FileField(required=False, allow_null=True, default=None, allow_empty_file=True)
        image = serializers.CharField(required=False, allow_blank=True, default="", max_length=300)
        endpoint = EndpointIn(required=False, allow_null=True, default=None)
        message = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)
        name = serializers.CharField(
            required=False, allow_blank=True, default="", max_length=100,
            help_text="For yourself; seen by your team and by organisers.",
        )  # fmt: skip

    @operation(
        operation_id="submissions_list", summary="One's submissions", parameters=[Query], responses=SubmissionPageOut
    )
    def get(self, request: Request) -> Response:
        query = self.query(request, self.Query)
        slug = query.pop("competition") or own_competition(request, "read")
        competition = competition_get(user=request.user, slug=slug) if slug else None
        wanted = {name: query.pop(name) for name in ("phase", "kind", "status")}
        mine = submissions_of(user=request.user, competition=competition)
        rows, following = page_of(submissions_narrowed(submissions=mine, **wanted), key="pk", **query)
        return Response(SubmissionPageOut({"items": [submission_dict(row) for row in rows], "next": following}).data)

    @operation(
        operation_id="submissions_create",
        summary="Submit",
        description="JSON with the id of a complete upload or the name of an image, or a form with the file. With an "
        "`Idempotency-Key`, the same request sent again answers 200 with the submission made the first time.",
        parameters=[
            OpenApiParameter(
                "Idempotency-Key", str, OpenApiParameter.HEADER, description="1 to 100 visible characters."
            )
        ],
        request={"application/json": Input, "multipart/form-data": Input},
        responses={200: SubmissionDetailOut, 201: SubmissionDetailOut},
    )
    def post(self, request: Request) -> Response:
        given = self.body(request, self.Input)
        competition = competition_get(user=request.user, slug=given.pop("competition"))
        upload, endpoint = given.pop("upload"), given.pop("endpoint")
        began = now()
        submission = submission_create(
            user=request.user,
            phase=phase_get(competition=competition, slug=given.pop("phase")),
            upload=upload_get(user=request.user, id=upload, reach=token_reach(request, "submit")) if upload else None,
            endpoint=EndpointGiven(**endpoint) if endpoint else None,
            source="api",
            provenance=token_provenance(request),
            idempotency_key=request.headers.get("Idempotency-Key", ""),
            **given,
        )
        again = submission.created_at < began
        answer = detail(submission_get(user=request.user, id=submission.pk), request)
        headers = {"Location": request.build_absolute_uri(f"/api/v1/submissions/{submission.pk}")}
        if again:
            headers["Idempotency-Replayed"] = "true"
        return Response(answer, status=200 if again else 201, headers=headers)


class SubmissionDetail(ApiView):
    """One submission."""

    tag = "submissions"
    scopes = {"GET": "read", "PATCH": "submit"}
    tags = True

    class Names(Strict):
        """The name that its participant gives it, and their note."""

        name = serializers.CharField(allow_blank=True, max_length=100)
        message = serializers.CharField(required=False, allow_blank=True, allow_null=True, default=None, max_length=500)

    @operation(
        operation_id="submissions_get", summary="A submission and the state of its run", responses=SubmissionDetailOut
    )
    def get(self, request: Request, submission: uuid.UUID) -> Response:
        found = submission_get(user=request.user, id=submission)
        return Response(detail(found, request), headers=again_in(found.run.status))

    @operation(operation_id="submissions_name", summary="Name it", request=Names, responses=SubmissionDetailOut)
    def patch(self, request: Request, submission: uuid.UUID) -> Response:
        found = submission_get(user=request.user, id=submission)
        submission_name(submission=found, user=request.user, **self.body(request, self.Names))
        return Response(detail(found, request))


class SubmissionFinalist(ApiView):
    """Whether a submission is one of its participant's finalists."""

    tag = "submissions"
    scopes = {"PUT": "submit", "DELETE": "submit"}

    @operation(
        operation_id="submissions_choose", summary="Choose it as a finalist", request=None,
        responses=SubmissionDetailOut,
    )  # fmt: skip
    def put(self, request: Request, submission: uuid.UUID) -> Response:
        return self._choose(request, submission, chosen=True)

    @operation(operation_id="submissions_unchoose", summary="Undo the choice", responses={200: SubmissionDetailOut})
    def delete(self, request: Request, submission: uuid.UUID) -> Response:
        return self._choose(request, submission, chosen=False)

    def _choose(self, request: Request, submission: uuid.UUID, *, chosen: bool) -> Response:
        found = submission_get(user=request.user, id=submission)
        finalist_choose(submission=found, user=request.user, chosen=chosen)
        return Response(detail(found, request))


class SubmissionEvents(ApiView):
    """A run's history."""

    tag = "submissions"
    scopes = {"GET": "read"}

    class Query(Strict):
        """Where to go on."""

        after = serializers.IntegerField(
            required=False, default=0, min_value=0, max_value=2**31 - 1, help_text="`next_after` of the answer before."
        )

    @operation(
        operation_id="submissions_events", summary="The run's history", parameters=[Query], responses=EventPageOut
    )
    def get(self, request: Request, submission: uuid.UUID) -> Response:
        run: Run = submission_get(user=request.user, id=submission).run
        after = self.query(request, self.Query)["after"]
        # The state is read first: an end that is told here has all its events in the list or in the next answer.
        events = run_events(run=run, user=request.user, after=after)
        return Response(
            EventPageOut(
                {
                    "items": events,
                    "next_after": events[-1].sequence if events else after,
                    "status": run.status,
                    "final": run.status in FINAL,
                    "queue_position": queue_position(run=run) if run.status == RunStatus.QUEUED else None,
                }
            ).data,
            headers=again_in(run.status),
        )


class SubmissionLog(ApiView):
    """A run's log."""

    tag = "submissions"
    scopes = {"GET": "read"}

    class Query(Strict):
        """Which part of it."""

        part = serializers.ChoiceField(
            ["all", "sample", "run"], required=False, default="all",
            help_text="What was written about the public sample, what was written then, or both.",
        )  # fmt: skip

    @operation(
        operation_id="submissions_log",
        summary="The run's log, as far as the phase shows it",
        parameters=[Query],
        responses={(200, "text/plain"): OpenApiResponse(OpenApiTypes.STR, description="UTF-8 text")},
    )
    def get(self, request: Request, submission: uuid.UUID) -> HttpResponse:
        part = self.query(request, self.Query)["part"]
        found = submission_get(user=request.user, id=submission)
        text = run_log(run=found.run, user=request.user, part=part)
        return HttpResponse(text, content_type="text/plain; charset=utf-8")


class SubmissionResults(ApiView):
    """A run's results."""

    tag = "submissions"
    scopes = {"GET": "read"}
    tags = True

    @operation(
        operation_id="submissions_results",
        summary="Results, as far as the phase's feedback shows them",
        responses=ResultsOut,
    )
    def get(self, request: Request, submission: uuid.UUID) -> Response:
        found = submission_get(user=request.user, id=submission)
        view = run_view(run=found.run, user=request.user)
        return Response(
            ResultsOut(
                {
                    "submission": found.pk,
                    "status": view.status,
                    "final": view.is_final,
                    "feedback": found.phase.feedback,
                    "note": view.results_hidden,
                    "items": view.results,
                }
            ).data
        )


class SubmissionCancel(ApiView):
    """Stopping a run."""

    tag = "submissions"
    scopes = {"POST": "submit"}

    @operation(
        operation_id="submissions_cancel",
        summary="Cancel",
        description="A run that waits ends at once, one that runs when its node hears of it. Cancelling again, "
        "or a run that has ended, changes nothing.",
        request=None,
        responses=SubmissionDetailOut,
    )
    def post(self, request: Request, submission: uuid.UUID) -> Response:
        found = submission_get(user=request.user, id=submission)
        run_cancel(run=found.run, user=request.user)
        return Response(detail(submission_get(user=request.user, id=submission), request))


def again_in(status: str) -> dict[str, str]:
    """When it is worth asking again about a run; nothing for one that has ended."""
    return {} if status in FINAL else {"Retry-After": "5" if status == RunStatus.QUEUED else "2"}


def detail(submission: Submission, request: Request) -> Any:
    """The full answer for one submission."""
    view = run_view(run=submission.run, user=request.user)
    return SubmissionDetailOut(
        {
            **submission_dict(submission),
            "queue_position": view.position,
            "estimated_start": view.estimated_start,
            "estimated_seconds": view.run.estimated_seconds,
            "nodes_online": view.nodes_online,
            "explanation": view.explanation,
            "stages": view.run.stages,
            "not_enforced": view.not_enforced,
        }
    ).data
