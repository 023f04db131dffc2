"""What the answers about the publish check look like, and how they are filled."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from touchstone.competitions.models import Competition
from touchstone.drafts.rehearsal_rules import KINDS
from touchstone.drafts.rehearsals import CheckReport, RehearsalView


class CheckValueOut(serializers.Serializer[Any]):
    """One value of a made-up submission against what it must be."""

    key = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    expected = serializers.CharField(allow_blank=True, help_text="Empty where nothing is known that must come out.")
    verdict = serializers.ChoiceField(["passed", "failed", "told"], help_text="told: shown, and not judged.")
    reason = serializers.CharField(allow_blank=True)


class MadeUpOut(serializers.Serializer[Any]):
    """A made-up submission and what came of it."""

    phase = serializers.CharField()
    sent = serializers.ChoiceField(list(KINDS), help_text="What was sent.")
    status = serializers.CharField(help_text="Of its run.")
    verdict = serializers.CharField(allow_blank=True, help_text="passed or failed; empty while it is under way.")
    expected = serializers.CharField()
    message = serializers.CharField(allow_blank=True)
    values = CheckValueOut(many=True)


class PublishCheckOut(serializers.Serializer[Any]):
    """How the check of a competition's present version stands."""

    version = serializers.IntegerField()
    state = serializers.ChoiceField(["none", "running", "passed", "failed"])
    opened_at = serializers.DateTimeField(allow_null=True, help_text="Null: only its organisers see the competition.")
    unchecked = serializers.ListField(child=serializers.CharField(), help_text="Metrics that need a model to ask.")
    message = serializers.CharField(allow_blank=True, help_text="Why no submissions could be made up; else empty.")
    hint = serializers.CharField(allow_blank=True, help_text="What to do about it.")
    submissions = MadeUpOut(many=True, help_text="None while they are being made up.")


def check_dict(*, competition: Competition, report: CheckReport) -> dict[str, Any]:
    """For `PublishCheckOut`."""
    return {
        "version": competition.version, "state": report.state, "opened_at": competition.opened_at,
        "unchecked": report.unchecked, "message": report.message, "hint": report.hint,
        "submissions": [_made_up(part.phase.slug, item) for part in report.phases for item in part.items],
    }  # fmt: skip


def _made_up(phase: str, item: RehearsalView) -> dict[str, Any]:
    return {
        "phase": phase, "sent": item.kind, "status": item.status, "verdict": item.verdict, "expected": item.expected,
        "message": item.message, "values": item.checks,
    }  # fmt: skip
