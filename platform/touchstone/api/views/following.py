"""Following a run live, over server-sent events."""

from __future__ import annotations

import uuid

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request

from touchstone.api.base import ApiView, Strict
from touchstone.api.schema import operation
from touchstone.core.streams import CONTENT_TYPE, Stream
from touchstone.evaluations.following import Place, follow
from touchstone.submissions.selectors import submission_get

_DESCRIPTION = """Server-sent events. `state`: {status, final, attempt, verdict, queue_position, cancel_requested}, at
the beginning and when it changes. `event`: one line of the history. `log`: {part: sample or run, text, anew}, what was
written since; with `anew` it replaces what came before. `end`: the run has ended, and so does the stream.

A connection lasts a minute at most: connect again with `Last-Event-ID` (or `after`), and nothing is told twice. A
server follows a few runs at once only; then it answers 503 with `Retry-After`."""


class SubmissionStream(ApiView):
    """A run as it happens."""

    tag = "submissions"
    scopes = {"GET": "read"}

    class Query(Strict):
        """Where to go on."""

        after = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=80, help_text="The id of the last message."
        )

    @operation(
        operation_id="submissions_stream",
        summary="The run's state, history and log as they happen",
        description=_DESCRIPTION,
        parameters=[
            Query,
            OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER, description="The id of the last message."),
        ],
        responses={(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, description="Server-sent events")},
    )
    def get(self, request: Request, submission: uuid.UUID) -> StreamingHttpResponse:
        after = self.query(request, self.Query)["after"]
        found = submission_get(user=request.user, id=submission)
        place = Place.read(request.headers.get("Last-Event-ID", "") or after)
        stream = Stream(follow(run=found.run, user=request.user, place=place), owner=str(request.user.pk))
        response = StreamingHttpResponse(stream, content_type=f"{CONTENT_TYPE}; charset=utf-8")
        response["X-Accel-Buffering"] = "no"  # a proxy passes each message on at once
        return response
