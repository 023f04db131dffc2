"""What the answers around a leaderboard look like: comparisons, history, snapshots, entries."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from touchstone.api.board_outputs import BoardColumnOut, GateOut, ScoreOut
from touchstone.api.outputs import MetricOut
from touchstone.leaderboards.models import LeaderboardEntry
from touchstone.leaderboards.timeline import Step


class PointOut(serializers.Serializer[Any]):
    """A bare number."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class EntryNameOut(serializers.Serializer[Any]):
    """Which entry."""

    entry = serializers.UUIDField(help_text="What its public page is found by.")
    participant = serializers.CharField()


class PlanePointOut(EntryNameOut):
    """An entry by two results."""

    x = PointOut()
    y = PointOut()
    front = serializers.BooleanField(help_text="No other is as good in both and better in one.")


class PlaneOut(serializers.Serializer[Any]):
    """Entries by two results."""

    x = serializers.CharField(help_text="Key of the column.")
    y = serializers.CharField()
    blunt = serializers.BooleanField(help_text="Rounded.")
    cut = serializers.BooleanField(help_text="There are more entries than were looked at.")
    available = serializers.ListField(child=serializers.CharField(), help_text="Every key that may be asked for.")
    items = PlanePointOut(many=True)
    missing = EntryNameOut(many=True, help_text="Those without a value in one of them.")


class ComparedEntryOut(EntryNameOut):
    """An entry in every result."""

    results = MetricOut(many=True)


class ComparedOut(serializers.Serializer[Any]):
    """Entries beside each other, in the order asked for."""

    blunt = serializers.BooleanField(help_text="Rounded and without intervals.")
    items = ComparedEntryOut(many=True)


class StepOut(EntryNameOut):
    """A scored run in the history of a board."""

    at = serializers.DateTimeField()
    value = serializers.FloatField(allow_null=True, help_text="The ranking number.")


class HistoryOut(serializers.Serializer[Any]):
    """Who led the board, oldest first: the latest 200."""

    items = StepOut(many=True)


class SnapshotRowOut(serializers.Serializer[Any]):
    """A row as it was."""

    rank = serializers.CharField(allow_blank=True)
    rank_best = serializers.IntegerField(allow_null=True)
    rank_worst = serializers.IntegerField(allow_null=True)
    participant = serializers.CharField(help_text="Its present name.")
    entry = serializers.CharField()
    kind = serializers.CharField()
    is_baseline = serializers.BooleanField()
    flags = serializers.ListField(child=serializers.CharField())
    n_submissions = serializers.IntegerField()
    unranked = serializers.CharField(allow_blank=True)
    submitted_at = serializers.DateTimeField()
    gates = GateOut(many=True)
    scores = serializers.DictField(child=ScoreOut())


class SnapshotOut(serializers.Serializer[Any]):
    """A view of a board that stays as it was. `changed` says whether the board shows something else now."""

    id = serializers.UUIDField()
    url = serializers.CharField(help_text="Its page.")
    sha256 = serializers.CharField()
    created_at = serializers.DateTimeField()
    version = serializers.IntegerField(help_text="Of the board.")
    blunt = serializers.BooleanField()
    total = serializers.IntegerField()
    cut = serializers.BooleanField(help_text="The board had more rows.")
    changed = serializers.BooleanField()
    columns = BoardColumnOut(many=True)
    rows = SnapshotRowOut(many=True)


class PlaceOut(serializers.Serializer[Any]):
    """Where an entry stands on one board."""

    leaderboard = serializers.CharField()
    rank_best = serializers.IntegerField(allow_null=True)
    rank_worst = serializers.IntegerField(allow_null=True)
    flags = serializers.ListField(child=serializers.CharField())


class EntryOut(serializers.Serializer[Any]):
    """The public part of a submission. Without places it was replaced by a later one."""

    entry = serializers.UUIDField()
    competition = serializers.CharField()
    phase = serializers.CharField()
    participant = serializers.CharField()
    kind = serializers.CharField()
    submitted_at = serializers.DateTimeField()
    withdrawn = serializers.BooleanField(help_text="Then there is nothing else.")
    url = serializers.CharField()
    badge = serializers.CharField(help_text="Address of a small picture for a README.")
    places = PlaceOut(many=True)
    results = MetricOut(many=True)


def entry_name(row: LeaderboardEntry) -> dict[str, Any]:
    """For `EntryNameOut`."""
    return {"entry": row.run.submission_id, "participant": row.participation.display_name}


def step_dict(step: Step) -> dict[str, Any]:
    """For `StepOut`."""
    event = step.event
    return {
        "entry": event.run.submission_id, "participant": event.participation.display_name, "at": event.at,
        "value": step.value,
    }  # fmt: skip
