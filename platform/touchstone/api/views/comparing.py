"""Submissions beside each other."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.base import ApiView, Strict
from touchstone.api.present import page_url
from touchstone.api.schema import Problem, operation
from touchstone.evaluations.models import Result
from touchstone.leaderboards.differences import Beside, beside_get, difference, keys_in_order


class BesideOut(serializers.Serializer[Any]):
    """A submission that is compared; of other people's, what the leaderboard shows."""

    id = serializers.UUIDField()
    participant = serializers.CharField()
    phase = serializers.CharField()
    kind = serializers.CharField()
    status = serializers.CharField()
    message = serializers.CharField(allow_blank=True, help_text="Of those that are yours.")
    url = serializers.CharField(help_text="Its page.")


class BesideCellOut(serializers.Serializer[Any]):
    """A value, and how far it is from the first submission's.

    `difference` is this one less the first; `overlap` says whether the 95 % intervals of the two overlap. Null where it
    is the first's own, or where one of them has no value or no interval.
    """

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(allow_null=True)
    state = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    difference = serializers.FloatField(allow_null=True)
    relation = serializers.ChoiceField(
        ["better", "worse", "same", "none"], allow_null=True, help_text="none: the metric has no direction."
    )
    overlap = serializers.BooleanField(allow_null=True)


class BesideRowOut(serializers.Serializer[Any]):
    """A result of each of them, in the order in which they were named."""

    key = serializers.CharField()
    title = serializers.CharField()
    metric = serializers.CharField()
    pillar = serializers.CharField()
    unit = serializers.CharField(allow_blank=True)
    direction = serializers.CharField()
    cells = BesideCellOut(many=True)


class CompareOut(serializers.Serializer[Any]):
    """Two to four submissions in every result that any of them has."""

    competition = serializers.CharField()
    items = BesideOut(many=True)
    rows = BesideRowOut(many=True)


class SubmissionsCompare(ApiView):
    """Two to four submissions."""

    tag = "submissions"
    scopes = {"GET": "read"}

    class Query(Strict):
        """Which ones."""

        of = serializers.RegexField(
            r"^[0-9a-fA-F-]{32,36}(,[0-9a-fA-F-]{32,36})*$", max_length=400,
            help_text="Two to four ids with commas between: submissions of yours, or entries of a leaderboard.",
        )  # fmt: skip

        def validate_of(self, value: str) -> list[uuid.UUID]:
            try:
                return [uuid.UUID(part) for part in value.split(",")]
            except ValueError:
                raise serializers.ValidationError("Ids of submissions, with commas between.") from None

    @operation(
        operation_id="submissions_compare",
        summary="Compare two to four submissions",
        description="Values with intervals, and how far each is from the first that is named. Of submissions that "
        "are not yours, and that you do not organise, entries of a leaderboard can be compared, as far as it shows "
        "them.",
        parameters=[Query],
        responses={200: CompareOut, (404, "application/problem+json"): Problem},
    )
    def get(self, request: Request) -> Response:
        found = beside_get(user=request.user, ids=self.query(request, self.Query)["of"])
        return Response(CompareOut(_compared(found)).data)


def _compared(found: Beside) -> dict[str, Any]:
    slug = found.competition.slug
    items = [
        {
            "id": each.pk,
            "participant": each.participation.display_name,
            "phase": each.phase.slug,
            "kind": each.kind,
            "status": each.run.status if each.run else "",
            "message": each.message if own else "",
            "url": page_url(f"/s/{each.pk}/" if own else f"/c/{slug}/entry/{each.pk}/"),
        }
        for each, own in zip(found.submissions, found.own, strict=True)
    ]
    rows = [_row(key, first, found) for key, first in keys_in_order(found.results).items()]
    return {"competition": slug, "items": items, "rows": rows}


def _row(key: str, example: Result, found: Beside) -> dict[str, Any]:
    results = [each.get(key) for each in found.results]
    names = ("title", "metric", "pillar", "unit", "direction")
    return {
        "key": key,
        **{name: getattr(example, name) for name in names},
        "cells": [_cell(result, results[0] if place else None) for place, result in enumerate(results)],
    }


def _cell(result: Result | None, base: Result | None) -> dict[str, Any]:
    against = difference(result, base)
    names = ("value", "low", "high", "n", "state", "reason")
    told: dict[str, Any] = dict.fromkeys(names)
    told |= {"state": "absent", "reason": "Not measured for this one."}
    if result is not None:
        told |= {name: getattr(result, name) for name in names}
    return told | {
        "difference": against.difference if against else None,
        "relation": against.relation if against else None,
        "overlap": against.overlap if against else None,
    }
