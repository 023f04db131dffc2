"""Artifacts that participants send, and uploads on their way in."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from touchstone.competitions.models import Participation, Phase


class Upload(models.Model):
    """A resumable upload by parts. `parts` maps a part number to {sha256, size}."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    part_size = models.PositiveIntegerField()
    parts = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)


class SentManager(models.Manager["Submission"]):
    """What participants sent, and no copies of it."""

    def get_queryset(self) -> models.QuerySet[Submission]:
        return super().get_queryset().filter(original=None)


class Submission(models.Model):
    """An immutable artifact of one kind. `files` is [{name, sha256, size}]; `image` an image of the node's engine.

    A row with an `original` is a copy: its run is no score, and only who asked for it knows of it. `objects` and all
    that is reached from participations and phases leave copies out.
    """

    class Kind(models.TextChoices):
        PREDICTIONS = "predictions"
        MODEL = "model"
        CONTAINER = "container"
        CODE = "code"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    participation = models.ForeignKey(Participation, on_delete=models.PROTECT, related_name="submissions")
    phase = models.ForeignKey(Phase, on_delete=models.PROTECT, related_name="submissions")
    kind = models.CharField(max_length=12, choices=Kind)
    files = models.JSONField(default=list)
    image = models.CharField(max_length=300, blank=True)
    message = models.CharField(max_length=500, blank=True)
    source = models.CharField(max_length=10, default="api")  # web, api
    idempotency_key = models.CharField(max_length=100, blank=True)
    original = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SentManager()
    everything: models.Manager[Submission] = models.Manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["phase", "participation", "-created_at"], name="submission_by_team")]
        constraints = [
            models.UniqueConstraint(
                fields=["participation", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="submission_idempotent",
            )
        ]
