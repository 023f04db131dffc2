"""Competitions in the making, kept on the server at every step, and their rehearsal before they open."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from touchstone.competitions.models import Competition
from touchstone.core.jobs import Job
from touchstone.submissions.models import Submission


class Draft(models.Model):
    """A competition being written, or the next version of one that is there (`competition`).

    Its content is in `sections` and `files`; publishing writes them as a bundle and imports that, so what a wizard
    made and what was uploaded are the same object. `editors` are those who may work on it besides the owner.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="drafts")
    editors = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="edited_drafts", blank=True)
    competition = models.ForeignKey(Competition, null=True, on_delete=models.CASCADE, related_name="drafts")
    base_version = models.PositiveIntegerField(null=True, help_text="The competition's version that this began from.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-updated_at"]


class DraftSection(models.Model):
    """One step of the wizard. `body` is its part of competition.yml as JSON, valid or not yet.

    `version` rises with each save; who saves names the version they began from, and is shown both where another
    was quicker. `previous` is what it was before the last save, for undoing it.
    """

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="sections")
    name = models.CharField(max_length=20)
    body = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    previous = models.JSONField(null=True)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["draft", "name"], name="draft_section_unique")]


class DraftFile(models.Model):
    """A file of the bundle that the draft will be, addressed by content."""

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=500, help_text="Inside the bundle.")
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    added_at = models.DateTimeField(auto_now_add=True)
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["path"]
        constraints = [models.UniqueConstraint(fields=["draft", "path"], name="draft_file_unique")]


class DataInspection(models.Model):
    """What was found in the data of a draft. `digest` is of the files that were looked at, or are to be.

    `report` is that of `runners.data.inspection`, and stays until a newer one is there. A look that a process left
    behind is taken up by the next once `lease_until` has passed.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    draft = models.OneToOneField(Draft, on_delete=models.CASCADE, related_name="inspection")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    digest = models.CharField(max_length=64)
    report = models.JSONField(null=True)
    report_digest = models.CharField(max_length=64, blank=True)
    message = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    wanted_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)


class Rehearsal(models.Model):
    """Made-up submissions of one phase sent through the real queue, before a competition opens.

    `kind`: null (no information), constant, oracle (the truth), malformed. `expected` says in words what must come
    out, `verdict` is passed or failed, and empty until the competition is opened; `found` says what came out. `facts`:
    how many decisions the split has, in all (`n`) and of each class (`classes`), which is what guessing can reach.
    """

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="rehearsals")
    version = models.PositiveIntegerField(help_text="Of the competition.")
    phase = models.ForeignKey("competitions.Phase", on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=12)
    submission = models.OneToOneField(Submission, null=True, on_delete=models.SET_NULL, related_name="rehearsal")
    verdict = models.CharField(max_length=10, blank=True)
    expected = models.CharField(max_length=300)
    found = models.TextField(blank=True)
    facts = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["phase__position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["competition", "version", "phase", "kind"], name="rehearsal_unique")
        ]


class Preparation(Job):
    """That the made-up submissions of a competition were asked for, and how far making them up is."""

    competition = models.OneToOneField(Competition, on_delete=models.CASCADE, related_name="preparation")
    version = models.PositiveIntegerField(help_text="Of the competition.")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
