"""Reading competitions: who may see what."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.competitions.access import confirmed_domains, is_gated, refusal
from touchstone.competitions.models import Competition, DataSplit, Member, Participation, Phase
from touchstone.core.clock import now
from touchstone.core.errors import NotAllowed, NotFound

Viewer = User | AnonymousUser | None

#: Files of a split, by the first part of their name, that hold what participants must not know.
_PRIVATE_PARTS = ("labels", "attributes", "clusters")


def _organised(user: Viewer) -> Q:
    if user is None or not user.is_authenticated:
        return Q(pk__in=[])
    if user.is_superuser:
        return Q(pk__isnull=False)  # everything; an empty Q would say nothing in an OR
    organised = Competition.organisers.through.objects.filter(user_id=user.pk).values("competition_id")
    return Q(owner_id=user.pk) | Q(pk__in=organised)


def _joined(user: Viewer) -> Q:
    if user is None or not user.is_authenticated:
        return Q(pk__in=[])
    return Q(pk__in=Member.objects.filter(user_id=user.pk).values("competition_id"))


def _removed(user: Viewer) -> Q:
    """Those that `user` was taken out of by their organisers."""
    if user is None or not user.is_authenticated:
        return Q(pk__in=[])
    gone = Member.objects.filter(user_id=user.pk, participation__status=Participation.Status.REMOVED)
    return Q(pk__in=gone.values("competition_id"))


def _by_domain(user: Viewer) -> Q:
    """What a confirmed e-mail address lets somebody see."""
    found = Q(pk__in=[])
    for domain in sorted(confirmed_domains(user=user)):
        found |= Q(spec__access__email_domains__contains=[domain])
    return found


#: Before it is opened, only its organisers see a competition.
_OPENED = Q(opened_at__isnull=False)


def competition_visible(*, user: Viewer) -> QuerySet[Competition]:
    """What `user` sees in lists: what they organise; and of what is opened, what is public or lets them in."""
    let_in = (_joined(user) | _by_domain(user)) & ~_removed(user)
    seen = Q(visibility=Competition.Visibility.PUBLIC) | let_in
    return Competition.objects.filter(_organised(user) | (_OPENED & seen))


def competitions_search(*, queryset: QuerySet[Competition], q: str) -> QuerySet[Competition]:
    """Those of `queryset` that have each word of `q` in slug, title or summary; at most ten words count."""
    for word in q.split()[:10]:
        queryset = queryset.filter(Q(slug__icontains=word) | Q(title__icontains=word) | Q(summary__icontains=word))
    return queryset


def competitions_organised(*, user: Viewer) -> QuerySet[Competition]:
    """Those that the user owns or organises; of who runs the platform, only these as well."""
    if user is None or not user.is_authenticated:
        return Competition.objects.none()
    organised = Competition.organisers.through.objects.filter(user_id=user.pk).values("competition_id")
    return Competition.objects.filter(Q(owner_id=user.pk) | Q(pk__in=organised))


def competitions_own(*, user: Viewer) -> QuerySet[Competition]:
    """Those that the user takes part in, owns or organises, by title."""
    return (competitions_organised(user=user) | Competition.objects.filter(_OPENED & _joined(user))).order_by("title")


def joined_keys(*, user: Viewer, competitions: Collection[Competition]) -> set[int]:
    """Keys of those that the user takes part in. One query for all."""
    if user is None or not user.is_authenticated:
        return set()
    found = Member.objects.filter(user_id=user.pk, competition__in=competitions)
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

    A private competition answers a stranger as one that does not exist, and so does one that is not opened yet; to
    somebody who was taken out of it, it says so and why, and nothing else (`NotAllowed`).
    """
    open_to_all = Q(visibility__in=[Competition.Visibility.PUBLIC, Competition.Visibility.UNLISTED])
    named = Competition.objects.filter(slug=slug).select_related("owner")
    if user is not None and user.is_authenticated:
        organised = Competition.organisers.through.objects.filter(competition_id=OuterRef("pk"), user_id=user.pk)
        gone = Member.objects.filter(competition_id=OuterRef("pk"), user_id=user.pk)
        gone = gone.filter(participation__status=Participation.Status.REMOVED)
        named = named.annotate(viewer=Value(user.pk), viewer_organises=Exists(organised), viewer_removed=Exists(gone))
    found = named.filter(_organised(user) | (_OPENED & (open_to_all | _joined(user)))).first()
    if found is None and user is not None and user.is_authenticated:
        found = named.filter(_OPENED & _by_domain(user)).first()
    if found is None:
        raise NotFound(
            _("There is no competition %(slug)r, or you may not see it.") % {"slug": slug},
            _(
                "Check the name; for a private competition, sign in with the account that was invited, "
                "or that has a confirmed e-mail address of its organisation."
            ),
        )
    if getattr(found, "viewer_removed", False):
        _check_removed(found, user)
    return found


def _check_removed(competition: Competition, user: Viewer) -> None:
    """Raises `NotAllowed` with the organisers' reason, where nobody sees the competition but who is let in."""
    if competition.visibility != Competition.Visibility.PRIVATE or is_organiser(user=user, competition=competition):
        return
    joined = participation_of(user=user, competition=competition)
    problem = refusal(joined, competition=competition)
    if problem is not None:
        raise problem


def is_organiser(*, user: Viewer, competition: Competition) -> bool:
    """Whether `user` owns or organises the competition, or runs the platform."""
    if user is None or not user.is_authenticated:
        return False
    if user.is_superuser or competition.owner_id == user.pk:
        return True
    if getattr(competition, "viewer", None) == user.pk:  # `competition_get` has asked
        return bool(competition.viewer_organises)  # type: ignore[attr-defined]
    return Competition.organisers.through.objects.filter(competition_id=competition.pk, user_id=user.pk).exists()


def participations_of(*, user: Viewer) -> QuerySet[Participation]:
    """The participants that the user is a member of: one of each competition at most, whatever its state."""
    if user is None or not user.is_authenticated:
        return Participation.objects.none()
    return Participation.objects.filter(pk__in=Member.objects.filter(user_id=user.pk).values("participation_id"))


def participation_of(*, user: Viewer, competition: Competition) -> Participation | None:
    """The participant that the user is a member of, whatever its state."""
    return participations_of(user=user).filter(competition=competition).first()


def participation_get(*, user: Viewer, competition: Competition) -> Participation | None:
    """The participant that the user is a member of, where it may take part now: neither pending nor removed."""
    return participations_of(user=user).filter(competition=competition, status=Participation.Status.ACTIVE).first()


def participation_need(*, user: Viewer, competition: Competition) -> Participation:
    """The active participation of the user. Raises `NotAllowed` that says why there is none."""
    found = participation_of(user=user, competition=competition)
    problem = refusal(found, competition=competition)
    if problem is not None or found is None:
        raise problem or NotAllowed(
            _("You have not joined %(competition)s.") % {"competition": competition.slug},
            _("Join it first."),
            "not_joined",
        )
    return found


def downloads_allowed(*, user: Viewer, competition: Competition) -> bool:
    """Whether the user may have the data: where not everybody may take part, they are for those who do.

    Of a private competition too: somebody who was removed still sees its pages.
    """
    closed = competition.visibility == Competition.Visibility.PRIVATE or is_gated(competition=competition)
    if not closed or is_organiser(user=user, competition=competition):
        return True
    return participation_get(user=user, competition=competition) is not None


def is_member(*, user: Viewer, participation: Participation) -> bool:
    """Whether the user is a member of it now."""
    if user is None or not user.is_authenticated:
        return False
    return Member.objects.filter(participation_id=participation.pk, user_id=user.pk).exists()


def phase_get(*, competition: Competition, slug: str) -> Phase:
    """A phase by its slug. Raises `NotFound` that lists those there are."""
    phases = list(competition.phases.select_related("split"))
    for phase in phases:
        if phase.slug == slug:
            phase.competition = competition
            return phase
    known = ", ".join(phase.slug for phase in phases)
    raise NotFound(
        _("%(competition)s has no phase %(slug)r.") % {"competition": competition.slug, "slug": slug},
        _("Its phases are: %(known)s.") % {"known": known},
    )


def phase_is_open(*, phase: Phase, at: datetime | None = None) -> bool:
    """Whether submissions are accepted: from `opens` (included) to `closes` (excluded)."""
    moment = at or now()
    return phase.opens <= moment and (phase.closes is None or moment < phase.closes)


def phase_finalists(*, phase: Phase) -> dict[str, Any] | None:
    """{phase, choose} of a phase that takes chosen submissions of another instead of new ones; None for all others."""
    declared = phase.competition.spec.get("phases", [])
    found = next((item for item in declared if item.get("slug") == phase.slug), {}).get("finalists")
    return dict(found) if found else None


def feedback_of(*, phase: Phase) -> str:
    """What the phase tells now. Of finals nothing is told before the organisers publish them, whatever they declare."""
    return "none" if phase.published_at is None and phase_finalists(phase=phase) else phase.feedback


def phase_is_over(*, phase: Phase, at: datetime | None = None) -> bool:
    """Whether the phase has closed; one without an end never has. Finals are over when they are published."""
    if phase_finalists(phase=phase):
        return phase.published_at is not None
    return phase.closes is not None and phase.closes <= (at or now())


def phase_current(*, competition: Competition, at: datetime | None = None) -> Phase | None:
    """The first phase that is open and takes submissions by participants."""
    phases = (phase for phase in competition.phases.all() if phase_is_open(phase=phase, at=at))
    return next((phase for phase in phases if phase_finalists(phase=phase) is None), None)


def split_get(*, competition: Competition, name: str) -> DataSplit:
    """A data split by its name. Raises `NotFound`."""
    split = competition.splits.filter(name=name).first()
    if split is None:
        raise NotFound(
            _("%(competition)s has no data split %(name)r.") % {"competition": competition.slug, "name": name},
            _("The data page lists those there are."),
        )
    return split


def split_download_files(*, user: Viewer, split: DataSplit) -> list[dict[str, Any]]:
    """The files of a split that `user` may download, as {name, sha256, size}.

    Organisers get all; others all of a public split, the inputs of a split whose labels are hidden, and none
    of a hidden one. Where not everybody may take part, only organisers and participants get any.
    """
    files: list[dict[str, Any]] = list(split.files)
    if not downloads_allowed(user=user, competition=split.competition):
        return []
    if is_organiser(user=user, competition=split.competition):
        return files
    return open_files(split=split)


def open_files(*, split: DataSplit) -> list[dict[str, Any]]:
    """The files of a split that whoever takes part may download."""
    files: list[dict[str, Any]] = list(split.files)
    if split.visibility == DataSplit.Visibility.PUBLIC:
        return files
    if split.visibility == DataSplit.Visibility.INPUTS:
        return [file for file in files if not file["name"].startswith(_PRIVATE_PARTS)]
    return []


def split_counts(*, split: DataSplit, files: Collection[dict[str, Any]]) -> dict[str, Any]:
    """Counts of classes and attribute values of a split, where `files`, which one may download, tell them anyway."""
    parts = {str(file["name"]).partition(".")[0] for file in files}
    kept = [key for key, part in (("classes", "labels"), ("attributes", "attributes")) if part in parts]
    return {key: split.facts[key] for key in kept if split.facts.get(key)}


def split_file(*, user: Viewer, split: DataSplit, name: str) -> dict[str, Any]:
    """One file of a split that `user` may download. Raises `NotFound`, hidden or missing alike."""
    for file in split_download_files(user=user, split=split):
        if file["name"] == name:
            return file
    raise NotFound(
        _("The split %(split)r has no file %(name)r that you may download.") % {"split": split.name, "name": name}
    )


def starting_kit(*, user: Viewer, competition: Competition) -> str | None:
    """The SHA-256 of the starting kit's zip, if there is one that `user` may download."""
    if not competition.starting_kit or not downloads_allowed(user=user, competition=competition):
        return None
    return competition.starting_kit


def page_get(*, competition: Competition, slug: str) -> dict[str, str]:
    """A page as {slug, title, markdown}. Raises `NotFound`."""
    for page in competition.pages:
        if page["slug"] == slug:
            return dict(page)
    raise NotFound(_("%(competition)s has no page %(slug)r.") % {"competition": competition.slug, "slug": slug})
