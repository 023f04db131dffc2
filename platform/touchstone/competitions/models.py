"""Competitions, their phases and data splits, and who takes part."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower


class Competition(models.Model):
    """One competition.yml as imported. `spec` is the validated file as JSON, the truth for everything below."""

    class Visibility(models.TextChoices):
        PUBLIC = "public"
        UNLISTED = "unlisted"
        PRIVATE = "private"

    slug = models.SlugField(max_length=64, unique=True)
    title = models.CharField(max_length=200)
    summary = models.CharField(max_length=500, blank=True)
    visibility = models.CharField(max_length=10, choices=Visibility)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="competitions")
    organisers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="organised_competitions", blank=True)
    spec = models.JSONField()
    source = models.TextField(help_text="competition.yml, byte for byte.")
    pages = models.JSONField(default=list, help_text="[{slug, title, markdown}], terms and data card included.")
    terms = models.TextField(blank=True)
    data_card = models.TextField(blank=True)
    starting_kit = models.CharField(max_length=64, blank=True, help_text="sha256 of a zip in storage.")
    surrogates = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField()), help_text="[{name, sha256, size}]: for nodes."
    )
    bundle_digest = models.CharField(max_length=64)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.slug


class DataSplit(models.Model):
    """A data split, addressed by content. `files` is [{name, sha256, size}] sorted by name."""

    class Visibility(models.TextChoices):
        PUBLIC = "public"
        INPUTS = "inputs"
        HIDDEN = "hidden"

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="splits")
    name = models.CharField(max_length=64)
    visibility = models.CharField(max_length=10, choices=Visibility)
    files = models.JSONField()
    digest = models.CharField(max_length=64)
    n_items = models.PositiveIntegerField()
    ids = models.CharField(max_length=64, help_text="sha256 of a JSON list of the item ids, for intake checks.")
    facts = models.JSONField(default=dict, help_text="Class and attribute counts, for the organiser.")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["competition", "name"], name="split_name_unique")]


class Phase(models.Model):
    """A time window in which submissions are evaluated on one split."""

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="phases")
    slug = models.SlugField(max_length=64)
    title = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField()
    split = models.ForeignKey(DataSplit, on_delete=models.PROTECT, related_name="phases")
    opens = models.DateTimeField()
    closes = models.DateTimeField(null=True)
    per_day = models.PositiveIntegerField(null=True)
    total = models.PositiveIntegerField(null=True)
    feedback = models.CharField(max_length=10)
    logs = models.CharField(max_length=10, default="auto", db_default="auto")
    priority = models.SmallIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["competition", "slug"], name="phase_slug_unique")]


class Participation(models.Model):
    """A user in a competition. Its row is the lock under which quota is counted."""

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="participations")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="participations")
    display_name = models.CharField(max_length=100)
    is_baseline = models.BooleanField(default=False)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["competition", "user"], name="participation_unique"),
            models.UniqueConstraint("competition", Lower("display_name"), name="participation_name_unique"),
        ]
