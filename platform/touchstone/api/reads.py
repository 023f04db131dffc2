"""Small reads that only this interface asks for. They decide nothing about who may see what."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, Participation
from touchstone.competitions.selectors import Viewer
from touchstone.core.clock import now
from touchstone.submissions.models import Upload


def competitions_with_phases(*, queryset: QuerySet[Competition], q: str = "") -> QuerySet[Competition]:
    """What a list needs, in a constant number of queries; `q`: words, each in slug, title or summary."""
    for word in q.split()[:10]:
        queryset = queryset.filter(Q(slug__icontains=word) | Q(title__icontains=word) | Q(summary__icontains=word))
    return queryset.prefetch_related("phases__split")


def joined_keys(*, user: Viewer, competitions: list[Competition]) -> set[int]:
    """Which of these the user takes part in."""
    if user is None or not user.is_authenticated:
        return set()
    found = Participation.objects.filter(user_id=user.pk, competition__in=competitions)
    return set(found.values_list("competition_id", flat=True))


def organised_keys(*, user: Viewer, competitions: list[Competition]) -> set[int]:
    """Which of these the user organises."""
    if user is None or not user.is_authenticated:
        return set()
    keys = [competition.pk for competition in competitions]
    if user.is_superuser:
        return set(keys)
    found = Competition.organisers.through.objects.filter(user_id=user.pk, competition_id__in=keys)
    owned = {competition.pk for competition in competitions if competition.owner_id == user.pk}
    return owned | set(found.values_list("competition_id", flat=True))


def upload_same(*, user: User, size: int, sha256: str) -> Upload | None:
    """The user's live upload of the same content, finished ones first: it is continued rather than sent again."""
    live = Upload.objects.filter(user=user, size=size, sha256=sha256, expires_at__gt=now())
    return live.order_by("completed_at", "-created_at").first()
