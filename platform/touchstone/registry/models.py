"""What participants pushed to the platform's registry."""

from __future__ import annotations

from django.db import models

from touchstone.competitions.models import Participation


class PushedImage(models.Model):
    """A manifest as the registry told of it. `blobs` maps the digests of all its parts to their bytes, as stored.

    Pushing the same again changes `pushed_at` only.
    """

    participation = models.ForeignKey(Participation, on_delete=models.CASCADE, related_name="pushed_images")
    repository = models.CharField(max_length=255)
    digest = models.CharField(max_length=71)
    tag = models.CharField(max_length=128, blank=True)
    media_type = models.CharField(max_length=100)
    blobs = models.JSONField(default=dict)
    pushed_at = models.DateTimeField()

    class Meta:
        ordering = ["-pushed_at"]
        constraints = [models.UniqueConstraint(fields=["repository", "digest"], name="pushed_image_unique")]

    @property
    def size(self) -> int:
        """Bytes of the image as the registry stores it, compressed."""
        return sum(self.blobs.values())
