"""Which entries of a board are shown, and what is known of each beside its scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.fields.json import KeyTextTransform, KeyTransform

from touchstone.competitions.models import Competition
from touchstone.core.text import clean
from touchstone.evaluations.models import Run
from touchstone.evaluations.state import FINAL
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry
from touchstone.submissions.models import Submission

#: Terms of a search that count.
_TERMS = 10
#: No verdict among the scores speaks against them.
_SOUND = """NOT jsonb_path_exists("leaderboards_leaderboardentry"."scores",
  '$.*.verdict ? (@ == "suspect" || @ == "broken")')"""
WHO = ("", "participants", "baselines", "organisers")
ONLY = ("", "ranked", "sound")


@dataclass(frozen=True)
class Filters:
    """What is shown: names with any of the terms of `q` (commas between), a `kind` of submission, `who`, and `only`
    the ranked, or only those whose robustness no check speaks against (`sound`)."""

    q: str = ""
    kind: str = ""
    who: str = ""
    only: str = ""

    @property
    def any(self) -> bool:
        return bool(self.terms or self.kind or self.who or self.only)

    @property
    def terms(self) -> list[str]:
        """The terms of the search."""
        return [term.strip() for term in clean(self.q).split(",") if term.strip()][:_TERMS]


def entries_shown(*, leaderboard: Leaderboard, filters: Filters) -> QuerySet[LeaderboardEntry]:
    """The entries that the filters let through, with flags; unknown values of a filter let all through."""
    found = _flagged(LeaderboardEntry.objects.filter(leaderboard=leaderboard, hidden=False), leaderboard)
    named = Q()
    for term in filters.terms:
        named |= Q(participation__display_name__icontains=term)
    found = found.filter(named)
    if filters.kind in Submission.Kind.values:
        found = found.filter(run__submission__kind=filters.kind)
    if filters.who in ("participants", "baselines"):
        found = found.filter(participation__is_baseline=filters.who == "baselines")
    elif filters.who == "organisers":
        found = found.filter(by_organiser=True)
    if filters.only == "ranked":
        found = found.filter(sort_key__isnull=False)
    elif filters.only == "sound":
        found = found.filter(RawSQL(_SOUND, [], output_field=BooleanField()))  # noqa: S611 - no value in it
    return found


def _flagged(found: QuerySet[LeaderboardEntry], leaderboard: Leaderboard) -> QuerySet[LeaderboardEntry]:
    competition = leaderboard.competition_id
    organises = Competition.organisers.through.objects.filter(
        competition_id=competition, user_id=OuterRef("participation__user_id")
    )
    owns = Q(participation__user_id=F("leaderboard__competition__owner_id"))
    again = Run.objects.filter(submission=OuterRef("run__submission_id"), rerun__isnull=False).exclude(status__in=FINAL)
    return found.select_related("participation", "run__submission").only(
        "sort_key", "key_low", "key_high", "unranked", "achieved_at", "scores", "n_submissions", "run_id",
        "leaderboard_id", "participation__display_name", "participation__is_baseline", "run__submission_id",
        "run__submission__kind", "run__submission__name",
    ).annotate(
        by_organiser=ExpressionWrapper(Exists(organises) | owns, output_field=BooleanField()),
        again=Exists(again), endpoint_flags=KeyTextTransform("flags", KeyTransform("endpoint", "run__environment")),
    )  # fmt: skip


def flags_of(entry: Any, *, closes: Any) -> list[str]:
    """What is to be known of an entry, in the words of `FLAGS` of the pages."""
    flags = []
    if entry.participation.is_baseline:
        flags.append("baseline")
    if getattr(entry, "by_organiser", False):
        flags.append("organiser")
    if closes is not None and entry.achieved_at > closes:
        flags.append("late")
    if getattr(entry, "again", False):
        flags.append("again")
    if entry.run.submission.kind == Submission.Kind.ENDPOINT:
        flags.append("endpoint")
        if "endpoint_drift" in (getattr(entry, "endpoint_flags", None) or ""):
            flags.append("drift")
    return flags
