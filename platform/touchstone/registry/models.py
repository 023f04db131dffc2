"""What participants pushed to the platform's registry."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from touchstone.competitions.models import Participation


class Namespace(models.Model):
    """Whose images a name stands before, for good: it outlives the user's renaming and their account."""

    name = models.CharField(max_length=60, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")


class PushedImage(models.Model):
    """A manifest as the registry told of it. `blobs` maps the digests of all its parts to their bytes, as stored.

    Pushing the same again changes `pushed_at` only. `checked` is what the check before a run found, and by which rules.
    """

    participation = models.ForeignKey(Participation, on_delete=models.CASCADE, related_name="pushed_images")
    repository = models.CharField(max_length=255)
    digest = models.CharField(max_length=71)
    tag = models.CharField(max_length=128, blank=True)
    media_type = models.CharField(max_length=100)
    blobs = models.JSONField(default=dict)
    pushed_at = models.DateTimeField()
    checked = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-pushed_at"]
        constraints = [models.UniqueConstraint(fields=["repository", "digest"], name="pushed_image_unique")]

    @property
    def size(self) -> int:
        """Bytes of the image as the registry stores it, compressed."""
        return sum(self.blobs.values())


class PushedBlob(models.Model):
    """Bytes that the registry stores for a participant, counted once however many images hold them.

    `charged_until`: None while an image of theirs holds it; else it counts until then, for the registry keeps it until
    a garbage collection.
    """

    participation = models.ForeignKey(Participation, on_delete=models.CASCADE, related_name="pushed_blobs")
    digest = models.CharField(max_length=71)
    size = models.BigIntegerField()
    charged_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["participation", "digest"], name="pushed_blob_unique"),
            models.CheckConstraint(condition=models.Q(size__gte=0), name="pushed_blob_size"),
        ]
