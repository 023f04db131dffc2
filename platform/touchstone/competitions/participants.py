"""Who organisers let take part: approving, refusing, removing and putting back."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.invitations import invitations_end
from touchstone.competitions.models import Invitation, Participation
from touchstone.competitions.selectors import is_organiser
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.core.text import clean

_Status = Participation.Status


def participation_approve(*, participation: Participation, by: User) -> Participation:
    """Let in somebody who waits for it. Raises `NotAllowed`, `Conflict`."""
    return _move(participation, by, act="approve", of=(_Status.PENDING,), to=_Status.ACTIVE)


def participation_refuse(*, participation: Participation, by: User, reason: str) -> Participation:
    """Do not let in somebody who waits for it; they read the reason. Raises `NotAllowed`, `Conflict`, `UserError`."""
    return _move(participation, by, act="refuse", of=(_Status.PENDING,), to=_Status.REMOVED, reason=reason)


def participation_remove(*, participation: Participation, by: User, reason: str) -> Participation:
    """Take somebody out: they submit nothing more, and what they sent stays. They read the reason.

    Raises `NotAllowed`, `Conflict`, `UserError`.
    """
    return _move(participation, by, act="remove", of=(_Status.ACTIVE,), to=_Status.REMOVED, reason=reason)


def participation_restore(*, participation: Participation, by: User) -> Participation:
    """Let somebody take part again. Raises `NotAllowed`, `Conflict`."""
    return _move(participation, by, act="restore", of=(_Status.REMOVED,), to=_Status.ACTIVE)


def _move(
    participation: Participation, by: User, *, act: str, of: tuple[str, ...], to: str, reason: str | None = None
) -> Participation:
    competition = participation.competition
    if not is_organiser(user=by, competition=competition):
        raise NotAllowed(_("Only organisers decide who takes part."), _("Ask one of them."))
    text = clean((reason or "").strip(), limit=500)
    if reason is not None and not text:
        raise UserError(
            _("Say why: the participant reads it."), _("One sentence is enough."), "reason",
            fields={"reason": [_("Say why: the participant reads it.")]},
        )  # fmt: skip
    with transaction.atomic():
        row = Participation.objects.select_for_update(no_key=True).get(pk=participation.pk)
        if row.status not in of:
            raise Conflict(
                _("%(row)s is %(status)s now.") % {"row": row.display_name, "status": row.status},
                _("Reload the list of participants."),
            )
        row.status, row.status_reason = to, text
        row.save(update_fields=["status", "status_reason"])
        if to == _Status.REMOVED:
            invitations_end(rows=Invitation.objects.filter(participation=row), by=by)
        audit_append(
            actor=by, act=f"participation.{act}", subject=f"participation:{row.pk}",
            data={"competition": competition.slug, "participant": row.display_name, "reason": text},
        )  # fmt: skip
    return row
