"""Invitations by link: who has the link and signs in takes part, organises, or joins a team; each link works once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ValidationError
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.access import domains_check
from touchstone.competitions.models import Competition, Invitation, Participation
from touchstone.competitions.selectors import is_organiser, participation_of
from touchstone.competitions.services import participation_admit
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, NotFound, UserError

DAYS = 14
#: Links of one competition that wait to be used; a team has fewer.
_MOST, _MOST_OF_TEAM = 500, 20
_Role = Invitation.Role


def invitations_open(*, competition: Competition, by: User) -> QuerySet[Invitation]:
    """Invitations of organisers that can still be accepted, for organisers; nobody else sees any."""
    if not is_organiser(user=by, competition=competition):
        return Invitation.objects.none()
    return _open().filter(competition=competition, participation=None).select_related("invited_by")


def _open() -> QuerySet[Invitation]:
    return Invitation.objects.filter(accepted_at=None, revoked_at=None, expires_at__gt=now())


def invitation_create(
    *, competition: Competition, role: str, by: User, email: str = "", participation: Participation | None = None
) -> tuple[Invitation, str]:
    """Make a link that one person may use within 14 days; returns it with its secret, which is not kept.

    With an `email` it is also sent there, where this site can send mail. A team-mate joins `participation`, whom its
    founder invites. Raises `NotAllowed`, `UserError` (a bad address), `Conflict` (too many).
    """
    email = email.strip()
    _may_invite(competition, role, by, participation)
    if email:
        _check_address(email)
    of_team = role == _Role.TEAMMATE
    waiting = _open().filter(competition=competition, participation=participation if of_team else None)
    most = _MOST_OF_TEAM if of_team else _MOST
    secret = secrets.token_urlsafe(24)
    with transaction.atomic():
        Competition.objects.select_for_update(no_key=True).get(pk=competition.pk)
        if waiting.count() >= most:
            raise Conflict(
                _("%(most)s invitations wait to be accepted, which is the most.") % {"most": most},
                _("Revoke some first."),
            )
        made = Invitation.objects.create(
            competition=competition, participation=participation if of_team else None, role=role, email=email,
            digest=_digest(secret), invited_by=by, expires_at=now() + timedelta(days=DAYS),
        )  # fmt: skip
        audit_append(
            actor=by, act="invitation.create", subject=f"competition:{competition.slug}",
            data={"invitation": made.pk, "role": role, "addressed": bool(email)},
        )  # fmt: skip
    return made, secret


def invitation_mail(*, invitation: Invitation, link: str) -> bool:
    """Send an invitation to the address it is for; says whether this site can send mail at all.

    Called with the link that holds the secret, once it is sure that the invitation stays.
    """
    if not settings.TOUCHSTONE_EMAIL_URL or not invitation.email:
        return False
    by = invitation.invited_by.username if invitation.invited_by else _("An organiser")
    what = {
        _Role.PARTICIPANT: _("%(by)s invites you to take part in %(title)s."),
        _Role.ORGANISER: _("%(by)s invites you to organise %(title)s."),
        _Role.TEAMMATE: _("%(by)s invites you to join a team in %(title)s."),
    }[_Role(invitation.role)]
    title = " ".join(invitation.competition.title.split())  # a subject has one line
    told = {"by": by, "title": title, "until": f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC"}
    steps = _("Open this link and sign in:")
    rest = _("It works once, until %(until)s. If you do not know %(by)s, do nothing.")
    send_mail(
        "Touchstone: " + _("%(by)s invites you to %(title)s") % told,
        f"{what % told}\n\n{steps}\n{link}\n\n{rest % told}\n",
        None,
        [invitation.email],
    )
    return True


def invitation_revoke(*, invitation: Invitation, by: User) -> None:
    """Make a link useless. For organisers, and for the founder of the team that it leads into.

    Raises `NotFound` for others, `Conflict` where it was used already.
    """
    if not _may_revoke(invitation, by):
        raise NotFound(_("There is no such invitation."))
    with transaction.atomic():
        row = Invitation.objects.select_for_update().get(pk=invitation.pk)
        if row.accepted_at is not None:
            raise Conflict(_("This invitation was accepted already."), _("Remove the person instead."))
        row.revoked_at = row.revoked_at or now()
        row.save(update_fields=["revoked_at"])
        audit_append(
            actor=by,
            act="invitation.revoke",
            subject=f"competition:{row.competition.slug}",
            data={"invitation": row.pk},
        )


def invitations_end(*, rows: QuerySet[Invitation], by: User) -> None:
    """Make the open links of `rows` useless: whoever sent them may invite nobody any more. In a transaction."""
    waiting = rows.filter(accepted_at=None, revoked_at=None, expires_at__gt=now())
    for row in waiting.select_related("competition").select_for_update(of=("self",)).order_by("pk"):
        row.revoked_at = now()
        row.save(update_fields=["revoked_at"])
        audit_append(
            actor=by, act="invitation.revoke", subject=f"competition:{row.competition.slug}",
            data={"invitation": row.pk},
        )  # fmt: skip


def invitation_find(*, secret: str) -> Invitation:
    """The invitation of a link that can still be accepted. Raises `NotFound`, whatever is wrong with it."""
    rows = _open().select_related("competition", "participation", "invited_by")
    found = rows.filter(digest=_digest(secret)).first()
    if found is None:
        raise NotFound(
            _("This invitation cannot be used: it was used already, was revoked, or is older than 14 days."),
            _("Ask whoever sent it for another one."),
        )
    return found


def invitation_accept(
    *, secret: str, user: User, display_name: str = "", accept_terms: bool = False
) -> Participation | None:
    """Use a link: take part (at once, whatever the competition asks of others), organise, or join a team.

    Returns the participation, and nothing for an organiser. Raises `NotFound`, `UserError` (terms), `Conflict`,
    `NotAllowed` (removed; a team-mate without an address in the domains that may take part).
    """
    with transaction.atomic():
        row = Invitation.objects.select_for_update().get(pk=invitation_find(secret=secret).pk)
        if row.accepted_at is not None or row.revoked_at is not None:
            raise Conflict(_("This invitation was used or revoked a moment ago."), _("Ask for another one."))
        made = _take(row, user, display_name, accept_terms)
        row.accepted_by, row.accepted_at = user, now()
        row.save(update_fields=["accepted_by", "accepted_at"])
        audit_append(
            actor=user, act="invitation.accept", subject=f"competition:{row.competition.slug}",
            data={"invitation": row.pk, "role": row.role},
        )  # fmt: skip
    return made


def _take(row: Invitation, user: User, display_name: str, accept_terms: bool) -> Participation | None:
    competition = row.competition
    if row.role == _Role.ORGANISER:
        if is_organiser(user=user, competition=competition):
            raise Conflict(_("You organise this competition already."), _("Leave the link to somebody else."))
        competition.organisers.add(user)
        return None
    if row.role == _Role.PARTICIPANT:
        return participation_admit(
            competition=competition, user=user, display_name=display_name, accept_terms=accept_terms
        )
    from touchstone.competitions.teams import team_join  # teams invite by this file

    if row.participation is None:
        raise NotFound(_("The team of this invitation is gone."))
    if participation_of(user=user, competition=competition) is None:
        domains_check(competition=competition, user=user)
    made: Participation = team_join(participation=row.participation, user=user, accept_terms=accept_terms)
    return made


def _may_invite(competition: Competition, role: str, by: User, participation: Participation | None) -> None:
    if role == _Role.TEAMMATE:
        if participation is None or participation.user_id != by.pk or participation.competition_id != competition.pk:
            raise NotAllowed(_("Only who speaks for a team invites into it."), _("Ask them."))
    elif role not in _Role.values:
        raise UserError(_("%(role)r is no role.") % {"role": role}, _("Choose participant or organiser."))
    elif not is_organiser(user=by, competition=competition):
        raise NotAllowed(_("Only organisers invite."), _("Ask one of them."))


def _may_revoke(invitation: Invitation, by: User) -> bool:
    team = invitation.participation
    if team is not None and team.user_id == by.pk:
        return True
    return is_organiser(user=by, competition=invitation.competition)


def _check_address(email: str) -> None:
    try:
        validate_email(email)
    except ValidationError:
        text = _("This is no e-mail address. Write one such as name@example.org, or leave it empty.")
        raise UserError(text, fields={"email": [text]}) from None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
