"""Artifacts that participants send, and uploads on their way in."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from touchstone.competitions.models import Competition, Participation, Phase


class Upload(models.Model):
    """A resumable upload by parts. `parts` maps a part number to {sha256, size}.

    `multipart` is the store's name for one whose parts it holds itself; then it knows them, and `parts` is empty.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    part_size = models.PositiveIntegerField()
    parts = models.JSONField(default=dict)
    # Where a token that is limited to it began the upload, which is then good for nothing else.
    competition = models.ForeignKey(Competition, null=True, on_delete=models.CASCADE, related_name="+")
    multipart = models.TextField(blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)


class Credential(models.Model):
    """What a participant's endpoint wants to see of who asks it. `sealed` is the secret, encrypted (core/sealing.py).

    `host`: the one that it is sent to, and nobody else; the first submission that uses it says which.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="credentials")
    name = models.SlugField(max_length=64)
    header = models.CharField(max_length=64)
    host = models.CharField(max_length=260, blank=True)
    sealed = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="credential_name")]

    def __str__(self) -> str:
        return self.name


def sent(path: str = "") -> models.Q:
    """What participants sent: no copies of it, and nothing made up to check a competition.

    `path` leads to the submission, as in `submission__`.
    """
    return models.Q(**{f"{path}original": None, f"{path}is_check": False})


class SentManager(models.Manager["Submission"]):
    """What participants sent."""

    def get_queryset(self) -> models.QuerySet[Submission]:
        return super().get_queryset().filter(sent())


class Submission(models.Model):
    """An immutable artifact of one kind. `files` is [{name, sha256, size}]; `image` an image of the node's engine.

    `run` is the one that counts; it is null only inside the transaction that takes the submission in.
    A row with an `original` is a copy, and one that `is_check` was made up to see whether a competition measures what
    it should: their runs are no scores, and only who asked for them knows of them. `objects` and all that is reached
    from participations and phases leave both out.
    """

    class Kind(models.TextChoices):
        PREDICTIONS = "predictions"
        MODEL = "model"
        CONTAINER = "container"
        CODE = "code"
        ENDPOINT = "endpoint"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    participation = models.ForeignKey(Participation, on_delete=models.PROTECT, related_name="submissions")
    phase = models.ForeignKey(Phase, on_delete=models.PROTECT, related_name="submissions")
    sent_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    run = models.OneToOneField("evaluations.Run", null=True, on_delete=models.SET_NULL, related_name="current_of")
    kind = models.CharField(max_length=12, choices=Kind)
    files = models.JSONField(default=list)
    image = models.CharField(max_length=300, blank=True)
    endpoint = models.JSONField(default=dict, db_default={}, help_text="{url, model, credential} of an endpoint.")
    credential = models.ForeignKey("Credential", null=True, on_delete=models.SET_NULL, related_name="+")
    message = models.CharField(max_length=500, blank=True)
    source = models.CharField(max_length=10, default="api")  # web, api
    name = models.CharField(max_length=100, blank=True, default="", db_default="")
    chosen_at = models.DateTimeField(null=True, help_text="Since when it is one of its participant's finalists.")
    withdrawn_at = models.DateTimeField(null=True, help_text="A tombstone stays: what was shown is never unsaid.")
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    withdrawn_by_organiser = models.BooleanField(default=False, db_default=False)
    withdrawn_reason = models.CharField(max_length=500, blank=True, default="", db_default="")
    idempotency_key = models.CharField(max_length=100, blank=True)
    original = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="+")
    is_check = models.BooleanField(default=False, db_default=False)
    provenance = models.JSONField(default=dict, db_default={}, help_text="Which job of a CI service sent it.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SentManager()
    everything: models.Manager[Submission] = models.Manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["phase", "participation", "-created_at"], name="submission_by_team"),
            # Only such that a server of the version before took in: the sweeper points them at their run.
            models.Index(fields=["created_at"], condition=models.Q(run=None), name="submission_no_run"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["participation", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="submission_idempotent",
            )
        ]

    @property
    def withdrawn_text(self) -> str:
        """Who withdrew it and why, as everybody may read it; empty for one that stands."""
        if self.withdrawn_at is None:
            return ""
        who = "the organisers" if self.withdrawn_by_organiser else "its participant"
        text = f"withdrawn on {self.withdrawn_at:%Y-%m-%d} by {who}"
        return f"{text}: {self.withdrawn_reason}" if self.withdrawn_reason else text
