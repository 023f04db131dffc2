"""One row per leaderboard and participant, upserted in the scoring transaction."""

from __future__ import annotations

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
    says why. `scores`: {key: {value, low, high, n, state, reason}}.
    """

    leaderboard = models.ForeignKey(Leaderboard, on_delete=models.CASCADE, related_name="entries")
    participation = models.ForeignKey(Participation, on_delete=models.CASCADE, related_name="entries")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="entries")
    sort_key = models.FloatField(null=True)
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
            )
        ]  # fmt: skip
