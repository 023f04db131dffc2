"""What leaderboards look like. Pages are built as plain values; these classes describe them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class BoardColumnOut(serializers.Serializer[Any]):
    """A column of results."""

    key = serializers.CharField()
    title = serializers.CharField()
    unit = serializers.CharField(allow_blank=True)
    direction = serializers.CharField()
    decimals = serializers.IntegerField()
    is_ranking = serializers.BooleanField()


class ScoreOut(serializers.Serializer[Any]):
    """A cell. `low` and `high` bound a 95 % interval, `n` is what it rests on; `reason` says why there is no value."""

    text = serializers.CharField(help_text="The value as the page shows it; the numbers have all their digits.")
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(allow_null=True)
    state = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    verdict = serializers.CharField(
        allow_blank=True,
        help_text="Whether a number under attack may be believed: sound, suspect, broken or unchecked; else empty.",
    )
    doubts = serializers.ListField(child=serializers.CharField(), help_text="The checks that speak against it.")


class GateOut(serializers.Serializer[Any]):
    """A gate of the board, and whether this entry meets it."""

    gate = serializers.CharField()
    passed = serializers.BooleanField()
    value = serializers.CharField(allow_blank=True)


class BoardRowOut(serializers.Serializer[Any]):
    """A participant. `rank` is null where the entry is not ranked; `unranked` then says why.

    `rank_best` to `rank_worst` are the ranks that the entry may have: others are tied with it where their 95 %
    intervals overlap. Null where that is not known.
    """

    rank = serializers.IntegerField(allow_null=True)
    tied = serializers.BooleanField(help_text="Whether another has the very same number.")
    rank_best = serializers.IntegerField(allow_null=True)
    rank_worst = serializers.IntegerField(allow_null=True)
    tied_with = serializers.IntegerField(allow_null=True, help_text="How many others it is tied with.")
    tie_group = serializers.IntegerField(help_text="From 1; 0 where it is not known.")
    participant = serializers.CharField()
    is_baseline = serializers.BooleanField()
    is_you = serializers.BooleanField()
    submission = serializers.CharField(allow_blank=True, help_text="One's own only.")
    entry = serializers.UUIDField(help_text="What its public page is found by.")
    kind = serializers.CharField()
    flags = serializers.ListField(
        child=serializers.CharField(),
        help_text="baseline, organiser, late, again, endpoint (data left the platform), drift.",
    )
    gates = GateOut(many=True)
    submitted_at = serializers.DateTimeField()
    n_submissions = serializers.IntegerField()
    unranked = serializers.CharField(allow_blank=True)
    scores = serializers.DictField(child=ScoreOut(), help_text="By the key of the column.")


class BoardOut(serializers.Serializer[Any]):
    """A page of a leaderboard. `hidden` says why the phase shows nothing; `blunt`: rounded and without intervals."""

    competition = serializers.CharField()
    phase = serializers.CharField()
    slug = serializers.CharField()
    title = serializers.CharField()
    url = serializers.CharField()
    version = serializers.IntegerField(help_text="Rises with each change of entries.")
    total = serializers.IntegerField()
    total_is_least = serializers.BooleanField(help_text="There are more than `total`, which were not counted.")
    hidden = serializers.CharField(allow_blank=True)
    blunt = serializers.BooleanField()
    available = serializers.ListField(child=serializers.CharField(), help_text="Every key that `cols` may name.")
    columns = BoardColumnOut(many=True)
    rows = BoardRowOut(many=True)
    next = serializers.CharField(allow_blank=True, help_text="Cursor of the next page; empty at the end.")
