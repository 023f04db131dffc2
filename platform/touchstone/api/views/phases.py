"""For organisers: freezing a phase, letting it go on, and its finals."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.base import ApiView, Strict
from touchstone.api.finding import organised_phase
from touchstone.api.outputs import PhaseOut
from touchstone.api.present import phase_dict
from touchstone.api.schema import operation
from touchstone.competitions.freezing import phase_freeze, phase_unfreeze
from touchstone.competitions.models import Phase
from touchstone.submissions.finals import finalists_of, finals_publish, finals_start, source_of


class PhaseFreeze(ApiView):
    """Standing still."""

    tag = "organising"
    scopes = {"PUT": "organise", "DELETE": "organise"}

    class Input(Strict):
        """Why."""

        reason = serializers.CharField(max_length=500, help_text="Everybody reads it.")

    @operation(
        operation_id="phases_freeze",
        summary="Freeze a phase",
        description="It takes nothing and its boards stand still, until it is let go on.",
        request=Input,
        responses=PhaseOut,
    )
    def put(self, request: Request, slug: str, phase: str) -> Response:
        found = organised_phase(request, slug, phase)
        given = self.body(request, self.Input)
        return _phase(phase_freeze(phase=found, by=request.user, **given))

    @operation(
        operation_id="phases_unfreeze",
        summary="Let a frozen phase go on",
        request=None,
        responses={200: PhaseOut},
    )
    def delete(self, request: Request, slug: str, phase: str) -> Response:
        return _phase(phase_unfreeze(phase=organised_phase(request, slug, phase), by=request.user))


def _phase(phase: Phase) -> Response:
    return Response(PhaseOut(phase_dict(phase)).data)


class FinalistOut(serializers.Serializer[Any]):
    """A submission in the finals."""

    participant = serializers.CharField()
    submission = serializers.UUIDField(help_text="Of the phase before.")
    kind = serializers.CharField()
    chosen = serializers.BooleanField(help_text="False for the best of somebody who chose none.")
    can_run = serializers.BooleanField(help_text="A file of predictions holds answers for another split.")
    final = serializers.UUIDField(allow_null=True, help_text="What was made of it in the finals; null: not started.")
    status = serializers.CharField(allow_blank=True, help_text="Of that.")


class FinalsOut(serializers.Serializer[Any]):
    """The finals of a phase."""

    competition = serializers.CharField()
    phase = serializers.CharField()
    source = serializers.CharField(help_text="The phase that the finalists come from.")
    published_at = serializers.DateTimeField(allow_null=True, help_text="Since when everybody sees the ranking.")
    left = serializers.IntegerField(help_text="How many are still being started.")
    items = FinalistOut(many=True)


class Finals(ApiView):
    """Who is in them, and starting them."""

    tag = "organising"
    scopes = {"GET": "organise", "POST": "organise"}
    costly = {"POST"}

    @operation(
        operation_id="finals_get",
        summary="The finals of a phase: who is in them with what, and how far they are",
        responses=FinalsOut,
    )
    def get(self, request: Request, slug: str, phase: str) -> Response:
        return _finals(organised_phase(request, slug, phase))

    @operation(
        operation_id="finals_start",
        summary="Start the finals",
        description="Submits every finalist's work again, at nobody's cost. Again starts only what was not started.",
        request=None,
        responses={202: FinalsOut},
    )
    def post(self, request: Request, slug: str, phase: str) -> Response:
        found = organised_phase(request, slug, phase)
        source_of(phase=found)  # before anything: a phase without finalists has none
        return _finals(found, left=finals_start(phase=found, by=request.user), status=202)


class FinalsPublish(ApiView):
    """Showing the ranking."""

    tag = "organising"
    scopes = {"POST": "organise"}

    @operation(
        operation_id="finals_publish",
        summary="Publish the final ranking",
        description="Every finalist must be through. It cannot be hidden again; publishing again changes nothing.",
        request=None,
        responses=FinalsOut,
    )
    def post(self, request: Request, slug: str, phase: str) -> Response:
        found = organised_phase(request, slug, phase)
        source_of(phase=found)
        return _finals(finals_publish(phase=found, by=request.user))


def _finals(phase: Phase, *, left: int = 0, status: int = 200) -> Response:
    rows = [
        {
            "participant": row.participation.display_name, "submission": row.submission.pk, "kind": row.submission.kind,
            "chosen": row.chosen, "can_run": row.can_run, "final": row.final.pk if row.final else None,
            "status": row.final.run.status if row.final and row.final.run else "",
        }
        for row in finalists_of(phase=phase)
    ]  # fmt: skip
    body = {
        "competition": phase.competition.slug, "phase": phase.slug, "source": source_of(phase=phase).slug,
        "published_at": phase.published_at, "left": left, "items": rows,
    }  # fmt: skip
    return Response(FinalsOut(body).data, status=status)
