"""What the answers about nodes and queues look like."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class QueueOut(serializers.Serializer[Any]):
    """A queue. Prediction files wait in a lane of their own and need no slot."""

    name = serializers.CharField()
    nodes_online = serializers.IntegerField()
    slots = serializers.IntegerField(help_text="Runs at once, prediction files apart.")
    busy = serializers.IntegerField(help_text="Slots in use.")
    waiting = serializers.IntegerField()
    waiting_quick = serializers.IntegerField(help_text="Those of them that are prediction files.")
    oldest = serializers.DateTimeField(allow_null=True, help_text="Since when the one that waits longest waits.")
    usual_wait = serializers.FloatField(allow_null=True, help_text="Median wait of the last runs, seconds.")


class QueuesOut(serializers.Serializer[Any]):
    items = QueueOut(many=True)


class EngineOut(serializers.Serializer[Any]):
    """What an engine's self-test found."""

    name = serializers.CharField()
    ok = serializers.BooleanField()
    version = serializers.CharField(allow_blank=True, required=False)
    isolation = serializers.CharField(allow_blank=True, required=False)
    not_enforced = serializers.ListField(child=serializers.CharField(), required=False)
    problems = serializers.ListField(child=serializers.CharField(), required=False)


class GpuOut(serializers.Serializer[Any]):
    """A device."""

    uuid = serializers.CharField()
    name = serializers.CharField(allow_blank=True, required=False)
    memory = serializers.IntegerField(help_text="Bytes.", required=False)


class NodeFaultOut(serializers.Serializer[Any]):
    """A fault of the node's own since it last did its work."""

    run = serializers.CharField()
    code = serializers.CharField()
    at = serializers.DateTimeField()


class NodeRunOut(serializers.Serializer[Any]):
    """A run that the node has."""

    run = serializers.UUIDField()
    submission = serializers.UUIDField()
    started_at = serializers.DateTimeField(allow_null=True)


class NodeOut(serializers.Serializer[Any]):
    """A node as it described itself, and how it does."""

    name = serializers.CharField()
    state = serializers.CharField(help_text="ready, busy, draining, drained, quarantined, offline or disabled.")
    queues = serializers.ListField(child=serializers.CharField())
    kinds = serializers.ListField(child=serializers.CharField())
    engines = EngineOut(many=True)
    cpus = serializers.FloatField(allow_null=True)
    memory = serializers.IntegerField(allow_null=True, help_text="Bytes.")
    gpus = GpuOut(many=True)
    slots = serializers.IntegerField(help_text="Runs at once, prediction files apart.")
    calibration = serializers.FloatField(allow_null=True, help_text="Multiply-add operations a second.")
    version = serializers.CharField(allow_blank=True)
    seen_at = serializers.DateTimeField(allow_null=True)
    drained_at = serializers.DateTimeField(allow_null=True)
    quarantined_at = serializers.DateTimeField(allow_null=True)
    quarantine_reason = serializers.CharField(allow_blank=True)
    faults = NodeFaultOut(many=True)
    runs = NodeRunOut(many=True)


class NodesOut(serializers.Serializer[Any]):
    items = NodeOut(many=True)
