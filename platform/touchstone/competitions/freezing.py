"""Freezing a phase: nothing comes in and its boards stay as they are, until organisers let it go on."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Phase
from touchstone.competitions.selectors import is_organiser
from touchstone.core.clock import now
from touchstone.core.errors import NotAllowed, UserError
from touchstone.core.text import clean


def phase_freeze(*, phase: Phase, by: User, reason: str) -> Phase:
    """Take no submissions, and let the boards stand still. What runs goes on: it enters when the phase is unfrozen.

    Freezing a frozen phase changes the reason only. Raises `NotAllowed`, `UserError`.
    """
    _may(phase, by)
    reason = clean(reason.strip(), limit=500)
    if not reason:
        raise UserError(
            _("Say why the phase is frozen: everybody reads it."), _("One sentence is enough."), "reason",
            fields={"reason": [_("Say why: everybody reads it.")]},
        )  # fmt: skip
    # Later than at import: the boards build on this app.
    from touchstone.leaderboards.services import phase_freeze_boards

    with transaction.atomic():
        phase_freeze_boards(phase=phase)
        phase.refresh_from_db(fields=["frozen_at"])
        phase.frozen_at, phase.frozen_reason = phase.frozen_at or now(), reason
        phase.save(update_fields=["frozen_at", "frozen_reason"])
        audit_append(actor=by, act="phase.freeze", subject=_subject(phase), data={"reason": reason})
    return phase


def phase_unfreeze(*, phase: Phase, by: User) -> Phase:
    """Let a phase go on: what was scored meanwhile enters its boards. Safe to repeat. Raises `NotAllowed`."""
    _may(phase, by)
    from touchstone.leaderboards.services import phase_unfreeze_boards

    with transaction.atomic():
        phase.refresh_from_db(fields=["frozen_at"])
        if phase.frozen_at is None:
            return phase
        since, phase.frozen_at, phase.frozen_reason = phase.frozen_at, None, ""
        phase.save(update_fields=["frozen_at", "frozen_reason"])
        phase_unfreeze_boards(phase=phase, since=since)
        audit_append(actor=by, act="phase.unfreeze", subject=_subject(phase), data={})
    return phase


def _may(phase: Phase, by: User) -> None:
    if not is_organiser(user=by, competition=phase.competition):
        raise NotAllowed(_("Only organisers freeze a phase."), _("Ask one of them."))


def _subject(phase: Phase) -> str:
    return f"phase:{phase.competition.slug}/{phase.slug}"
