"""Reading competitions: who may see what."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, DataSplit, Participation, Phase
from touchstone.core.clock import now
from touchstone.core.errors import NotFound

Viewer = User | AnonymousUser | None

#: Files of a split, by the first part of their name, that hold what participants must not know.
_PRIVATE_PARTS = ("labels", "attributes", "clusters")


def _mine(user: Viewer) -> Q:
    if user is None or not user.is_authenticated:
        return Q(pk__in=[])
    if user.is_superuser:
        return Q(pk__isnull=False)  # everything; an empty Q would say nothing in an OR
    organised = Competition.organisers.through.objects.filter(user_id=user.pk).values("competition_id")
    joined = Participation.objects.filter(user_id=user.pk).values("competition_id")
    return Q(owner_id=user.pk) | Q(pk__in=organised) | Q(pk__in=joined)


def competition_visible(*, user: Viewer) -> QuerySet[Competition]:
    """What `user` sees in lists: everything public, and what they organise or take part in."""
    return Competition.objects.filter(Q(visibility=Competition.Visibility.PUBLIC) | _mine(user))


def competitions_search(*, queryset: QuerySet[Competition], q: str) -> QuerySet[Competition]:
    """Those of `queryset` that have each word of `q` in slug, title or summary; at most ten words count."""
    for word in q.split()[:10]:
        queryset = queryset.filter(Q(slug__icontains=word) | Q(title__icontains=word) | Q(summary__icontains=word))
    return queryset


def joined_keys(*, user: Viewer, competitions: Collection[Competition]) -> set[int]:
    """Keys of those that the user takes part in. One query for all."""
    if user is None or not user.is_authenticated:
        return set()
    found = Participation.objects.filter(user_id=user.pk, competition__in=competitions)
    return set(found.values_list("competition_id", flat=True))


def organised_keys(*, user: Viewer, competitions: Collection[Competition]) -> set[int]:
    """Keys of those that the user organises. One query for all."""
    if user is None or not user.is_authenticated:
        return set()
    keys = {competition.pk for competition in competitions}
    if user.is_superuser:
        return keys
    found = Competition.organisers.through.objects.filter(user_id=user.pk, competition_id__in=keys)
    owned = {competition.pk for competition in competitions if competition.owner_id == user.pk}
    return owned | set(found.values_list("competition_id", flat=True))


def competition_get(*, user: Viewer, slug: str) -> Competition:
    """A competition by its slug; unlisted ones too, for who has the link has it. Raises `NotFound`.

    A private competition answers a stranger as one that does not exist.
    """
    open_to_all = Q(visibility__in=[Competition.Visibility.PUBLIC, Competition.Visibility.UNLISTED])
    found = Competition.objects.filter(open_to_all | _mine(user), slug=slug).select_related("owner").first()
    if found is None:
        raise NotFound(
            f"There is no competition {slug!r}, or you may not see it.",
            "Check the name; for a private competition, sign in with the account that was invited.",
        )
    return found


def is_organiser(*, user: Viewer, competition: Competition) -> bool:
    """Whether `user` owns or organises the competition, or runs the platform."""
    if user is None or not user.is_authenticated:
        return False
    if user.is_superuser or competition.owner_id == user.pk:
        return True
    return Competition.organisers.through.objects.filter(competition_id=competition.pk, user_id=user.pk).exists()


def participation_get(*, user: Viewer, competition: Competition) -> Participation | None:
    """The user's participation, if they have joined."""
    if user is None or not user.is_authenticated:
        return None
    return Participation.objects.filter(competition=competition, user_id=user.pk).first()


def phase_get(*, competition: Competition, slug: str) -> Phase:
    """A phase by its slug. Raises `NotFound` that lists those there are."""
    phases = list(competition.phases.select_related("split"))
    for phase in phases:
        if phase.slug == slug:
            phase.competition = competition
            return phase
    known = ", ".join(phase.slug for phase in phases)
    raise NotFound(f"{competition.slug} has no phase {slug!r}.", f"Its phases are: {known}.")


def phase_is_open(*, phase: Phase, at: datetime | None = None) -> bool:
    """Whether submissions are accepted: from `opens` (included) to `closes` (excluded)."""
    moment = at or now()
    return phase.opens <= moment and (phase.closes is None or moment < phase.closes)


def phase_is_over(*, phase: Phase, at: datetime | None = None) -> bool:
    """Whether the phase has closed; one without an end never has."""
    return phase.closes is not None and phase.closes <= (at or now())


def phase_current(*, competition: Competition, at: datetime | None = None) -> Phase | None:
    """The first phase that is open."""
    return next((phase for phase in competition.phases.all() if phase_is_open(phase=phase, at=at)), None)


def split_get(*, competition: Competition, name: str) -> DataSplit:
    """A data split by its name. Raises `NotFound`."""
    split = competition.splits.filter(name=name).first()
    if split is None:
        raise NotFound(f"{competition.slug} has no data split {name!r}.", "The data page lists those there are.")
    return split


def split_download_files(*, user: Viewer, split: DataSplit) -> list[dict[str, Any]]:
    """The files of a split that `user` may download, as {name, sha256, size}.

    Organisers get all; others all of a public split, the inputs of a split whose labels are hidden, and none
    of a hidden one.
    """
    files: list[dict[str, Any]] = list(split.files)
    if split.visibility == DataSplit.Visibility.PUBLIC or is_organiser(user=user, competition=split.competition):
        return files
    if split.visibility == DataSplit.Visibility.INPUTS:
        return [file for file in files if not file["name"].startswith(_PRIVATE_PARTS)]
    return []


def split_file(*, user: Viewer, split: DataSplit, name: str) -> dict[str, Any]:
    """One file of a split that `user` may download. Raises `NotFound`, hidden or missing alike."""
    for file in split_download_files(user=user, split=split):
        if file["name"] == name:
            return file
    raise NotFound(f"The split {split.name!r} has no file {name!r} that you may download.")


def starting_kit(*, competition: Competition) -> str | None:
    """The SHA-256 of the starting kit's zip, if there is one."""
    return competition.starting_kit or None


def page_get(*, competition: Competition, slug: str) -> dict[str, str]:
    """A page as {slug, title, markdown}. Raises `NotFound`."""
    for page in competition.pages:
        if page["slug"] == slug:
            return dict(page)
    raise NotFound(f"{competition.slug} has no page {slug!r}.")
