"""Addresses that want to hear of events, and what was, or is still to be, sent to them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from touchstone.competitions.models import Competition


class Webhook(models.Model):
    """An address of a person's: with a `competition`, for its organisers; without, for their own submissions.

    Secrets are sealed. For a while after a rotation what is sent is signed with the one before, too.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhooks")
    competition = models.ForeignKey(Competition, null=True, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=500)
    events = models.JSONField(default=list)
    secret = models.TextField()
    old_secret = models.TextField(blank=True)
    old_until = models.DateTimeField(null=True)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=300, blank=True)
    failing_since = models.DateTimeField(null=True)
    rests_until = models.DateTimeField(null=True, help_text="After a failure nothing is sent for a while.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]


class Delivery(models.Model):
    """One message to one address, written with the event itself. `body` is sent as it is, each time the same.

    `key` names what must not be told twice. What it says of the answer is of the last attempt.
    """

    class Status(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        GIVEN_UP = "given_up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=40)
    key = models.CharField(max_length=200, blank=True)
    body = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    tried_at = models.DateTimeField(null=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    milliseconds = models.PositiveIntegerField(null=True)
    answer = models.CharField(max_length=500, blank=True)
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["webhook", "-created_at"], name="delivery_by_hook"),
            models.Index(fields=["next_at"], condition=models.Q(status="waiting"), name="delivery_waiting"),
            models.Index(fields=["webhook", "key"], condition=~models.Q(key=""), name="delivery_key"),
        ]
