"""Everything of a competition in one file, made by a job."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from touchstone.competitions.models import Competition
from touchstone.core.jobs import UNDER_WAY, Job


class Export(Job):
    """A zip that an organiser asked for. `done` of `total` bytes are written; its file goes at `expires_at`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="exports")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    artifacts = models.BooleanField(help_text="Whether the files that participants sent are in it.")
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    size = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-wanted_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["competition"], condition=models.Q(state__in=UNDER_WAY), name="export_one_under_way"
            )
        ]
