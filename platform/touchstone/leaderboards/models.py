"""One row per leaderboard and participant, upserted in the scoring transaction."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from touchstone.competitions.models import Competition, Participation, Phase
from touchstone.evaluations.models import Run


class Leaderboard(models.Model):
    """A board of one phase. `spec` is its part of competition.yml; `version` rises with each change of entries."""

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="leaderboards")
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="leaderboards")
    slug = models.SlugField(max_length=64)
    title = models.CharField(max_length=200)
    spec = models.JSONField()
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["competition", "phase", "slug"]
        constraints = [models.UniqueConstraint(fields=["phase", "slug"], name="leaderboard_slug_unique")]


class LeaderboardEntry(models.Model):
    """The best or last run of a participant.

    `sort_key`: the ranking number, sign-normalised (bigger is better); None never ranks and `unranked`
    says why. `key_low` and `key_high` are its interval, turned like it.
    `scores`: {key: {value, low, high, n, state, reason}}.
    """

    leaderboard = models.ForeignKey(Leaderboard, on_delete=models.CASCADE, related_name="entries")
    participation = models.ForeignKey(Participation, on_delete=models.CASCADE, related_name="entries")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="entries")
    sort_key = models.FloatField(null=True)
    key_low = models.FloatField(null=True, help_text="`sort_key` at the worse end of the interval, or itself.")
    key_high = models.FloatField(null=True, help_text="`sort_key` at the better end of the interval, or itself.")
    unranked = models.CharField(max_length=300, blank=True)
    achieved_at = models.DateTimeField()
    scores = models.JSONField(default=dict)
    n_submissions = models.PositiveIntegerField(default=1)
    hidden = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["leaderboard", "participation"], name="entry_unique"),
            models.CheckConstraint(
                condition=models.Q(sort_key__isnull=True)
                | (models.Q(sort_key__gt=float("-inf")) & models.Q(sort_key__lt=float("inf"))),
                name="entry_sort_key_finite",
            ),
        ]
        indexes = [
            models.Index(
                models.F("leaderboard"), models.F("sort_key").desc(nulls_last=True), models.F("achieved_at"),
                models.F("run"), condition=models.Q(hidden=False), name="entry_page",
            ),
            # What a rank's range is read from: the best thousand of each end.
            models.Index(
                models.F("leaderboard"), models.F("key_low").desc(),
                condition=models.Q(hidden=False, key_low__isnull=False), name="entry_low",
            ),
            models.Index(
                models.F("leaderboard"), models.F("key_high").desc(),
                condition=models.Q(hidden=False, key_high__isnull=False), name="entry_high",
            ),
        ]  # fmt: skip


class LeaderboardEvent(models.Model):
    """What happened to an entry, for the history: `score` (a run was scored) and `withdrawn`.

    `is_frontier`: its `sort_key` was the best of the board until then.
    """

    leaderboard = models.ForeignKey(Leaderboard, on_delete=models.CASCADE, related_name="events")
    participation = models.ForeignKey(Participation, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    kind = models.CharField(max_length=12)
    sort_key = models.FloatField(null=True)
    is_frontier = models.BooleanField(default=False)

    class Meta:
        ordering = ["leaderboard", "at", "pk"]
        indexes = [
            models.Index(fields=["leaderboard", "at"], condition=models.Q(is_frontier=True), name="event_frontier"),
            models.Index(fields=["leaderboard", "participation", "at"], name="event_of_team"),
            models.Index(fields=["leaderboard", "at"], condition=models.Q(kind="withdrawn"), name="event_withdrawn"),
        ]
        constraints = [models.UniqueConstraint(fields=["leaderboard", "run", "kind"], name="board_event_unique")]


class LeaderboardSnapshot(models.Model):
    """A board as it was, for a link that does not change: `body` is what the page shows, `sha256` of its JSON."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    leaderboard = models.ForeignKey(Leaderboard, on_delete=models.CASCADE, related_name="snapshots")
    version = models.PositiveBigIntegerField()
    body = models.JSONField()
    sha256 = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["leaderboard", "sha256"], name="snapshot_unique")]
