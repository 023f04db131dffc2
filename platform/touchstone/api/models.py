"""What the interface remembers: answers to requests that bore an `Idempotency-Key`."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class IdempotentAnswer(models.Model):
    """The answer to the first request with this key. `status` is 0 while that is still being worked on.

    `digest` is of method, address and body: the same key for another request is a mistake of the caller.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    body = models.JSONField(null=True)
    location = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotent_answer_unique")]
        indexes = [models.Index(fields=["created_at"], name="idempotent_answer_age")]
