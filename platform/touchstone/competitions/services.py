"""Competitions: import, and who takes part."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.access import domains_check, needs_approval, refusal
from touchstone.competitions.bundle_read import BundleError
from touchstone.competitions.imports import ImportOutcome, competition_import
from touchstone.competitions.models import Competition, Member, Participation
from touchstone.competitions.selectors import competition_get, is_organiser, participation_of
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.core.text import clean

__all__ = [
    "BundleError", "ImportOutcome", "competition_import", "organiser_add", "participation_admit",
    "participation_invite", "participation_join",
]  # fmt: skip


def participation_join(
    *, competition: Competition, user: User, accept_terms: bool, display_name: str = ""
) -> Participation:
    """Take part. Joining again returns the participation there is and changes nothing.

    `display_name` is shown on the leaderboards (default: the user name) and is unique in the competition. Where
    organisers approve who takes part, the participation is pending until they have.
    Raises `UserError`, `NotFound` (a private competition one was not invited to), `Conflict` (name taken),
    `NotAllowed` (no confirmed address in the domains that may take part; removed by the organisers).
    """
    competition_get(user=user, slug=competition.slug)
    known = participation_of(user=user, competition=competition)
    if known is not None:
        if known.status == Participation.Status.REMOVED:
            raise refusal(known, competition=competition) or NotAllowed(_("You may not take part."))
        return known
    domains_check(competition=competition, user=user)
    if competition.terms and not accept_terms:
        raise _terms_first()
    _check_left(competition, user)
    pending = needs_approval(competition=competition) and not is_organiser(user=user, competition=competition)
    return _participate(
        competition, user, display_name or user.username, by=user, accepted=accept_terms, pending=pending
    )


def participation_admit(
    *, competition: Competition, user: User, display_name: str = "", accept_terms: bool = False
) -> Participation:
    """Let somebody take part whom an organiser invited: no e-mail domain and no approval is asked of them.

    One who waits for approval is let in by it. Raises `UserError` (terms), `Conflict`, `NotAllowed` (removed).
    """
    known = participation_of(user=user, competition=competition)
    if competition.terms and not accept_terms and known is None:
        raise _terms_first()
    if known is None:
        _check_left(competition, user)
        return _participate(competition, user, display_name or user.username, by=user, accepted=accept_terms)
    if known.status == Participation.Status.REMOVED:
        raise refusal(known, competition=competition) or NotAllowed(_("You may not take part."))
    if known.status == Participation.Status.ACTIVE:
        raise Conflict(_("You take part in this competition already."), _("Leave the link to somebody else."))
    # Unless somebody refuses them at the same moment: what organisers decide by name counts more than a link.
    waiting = Participation.objects.filter(pk=known.pk, status=Participation.Status.PENDING)
    if not waiting.update(status=Participation.Status.ACTIVE):
        raise Conflict(_("The organisers decided about you a moment ago."), _("Open the link again."))
    known.status = Participation.Status.ACTIVE
    return known


def _terms_first() -> UserError:
    return UserError(
        _("The terms of this competition must be accepted to join it."),
        _("Read them on the rules page, and accept them."), "terms", fields={"accept_terms": [_("Accept the terms.")]},
    )  # fmt: skip


def _check_left(competition: Competition, user: User) -> None:
    """Whoever left a team that had submitted has used its quota."""
    left = Member.everyone.filter(competition=competition, user=user).exclude(left_at=None)
    was = left.select_related("participation").first()
    if was is not None:
        raise Conflict(
            _(
                "You were a member of %(participation)r, which has submitted with you; nobody takes part "
                "in a competition twice."
            )
            % {"participation": was.participation.display_name},
            _("That team can invite you back; or ask the organisers of the competition to let you begin anew."),
            "left_team",
        )


def participation_invite(*, competition: Competition, user: User, by: User) -> Participation:
    """Let an organiser bring somebody into a competition, a private one included. Raises `NotAllowed`."""
    if not is_organiser(user=by, competition=competition):
        raise NotAllowed(_("Only organisers invite."), _("Ask one of them."))
    known = participation_of(user=user, competition=competition)
    if known is None:  # an organiser may let somebody begin anew who left a team
        Member.everyone.filter(competition=competition, user=user).exclude(left_at=None).delete()
    return known or _participate(competition, user, user.username, by=by, accepted=False)


def organiser_add(*, competition: Competition, user: User, by: User) -> None:
    """Make somebody an organiser. Raises `NotAllowed`."""
    if not is_organiser(user=by, competition=competition):
        raise NotAllowed(_("Only organisers appoint organisers."), _("Ask one of them."))
    with transaction.atomic():
        competition.organisers.add(user)
        audit_append(
            actor=by, act="organiser.add", subject=f"competition:{competition.slug}", data={"user": user.username}
        )


def _participate(
    competition: Competition, user: User, name: str, *, by: User, accepted: bool, pending: bool = False
) -> Participation:
    name = clean(name.strip())
    if not name or len(name) > 100:
        raise UserError(
            _("A name on the leaderboard has between 1 and 100 characters."), _("Choose another."),
            fields={"display_name": [_("Between 1 and 100 characters.")]},
        )  # fmt: skip
    try:
        with transaction.atomic():
            status = Participation.Status.PENDING if pending else Participation.Status.ACTIVE
            made = Participation.objects.create(competition=competition, user=user, display_name=name, status=status)
            Member.objects.create(competition=competition, participation=made, user=user)
            audit_append(
                actor=by, act="participation.create", subject=f"competition:{competition.slug}",
                data={
                    "user": user.username, "terms_accepted": accepted, "version": competition.version,
                    "status": made.status,
                },
            )  # fmt: skip
    except IntegrityError:
        known = Participation.objects.filter(competition=competition, user=user).first()
        if known is not None:  # the same click twice; or joined through a server that knew of no members yet
            Member.objects.get_or_create(competition=competition, user=user, defaults={"participation": known})
            return known
        raise Conflict(
            _("Somebody is called %(name)r in this competition.") % {"name": name},
            _("Choose another name for the leaderboard."),
            "name_taken",
            fields={"display_name": [_("Taken in this competition.")]},
        ) from None
    return made
