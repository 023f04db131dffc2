"""Taking a submission back. It leaves the ranking; a tombstone stays, and so does the artifact."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Participation
from touchstone.competitions.selectors import is_member, is_organiser
from touchstone.core.clock import now
from touchstone.core.errors import NotAllowed, UserError
from touchstone.core.text import clean
from touchstone.evaluations.models import Run
from touchstone.evaluations.services import run_cancel
from touchstone.evaluations.state import OPEN
from touchstone.leaderboards.services import participant_rebuild
from touchstone.submissions.models import Submission


def submission_withdraw(*, submission: Submission, by: User, reason: str = "") -> Submission:
    """Withdraw a submission: by its participant, or by an organiser, who says why.

    It cannot be undone, for what was shown is never unsaid; doing it again changes nothing. The participant's next
    best takes its place on the boards. What it cost of the quota stays spent. Raises `NotAllowed`, `UserError`.
    """
    phase = submission.phase
    organiser = is_organiser(user=by, competition=phase.competition)
    own = is_member(user=by, participation=submission.participation)
    if not own and not organiser:
        raise NotAllowed(_("Only its participant and the organisers withdraw a submission."))
    reason = clean(reason.strip(), limit=500)
    if not reason and not own:
        raise UserError(
            _("Say why it is withdrawn: the reason is shown in its place."), _("One sentence is enough."), "reason",
            fields={"reason": [_("Say why: it is shown in place of the entry.")]},
        )  # fmt: skip
    with transaction.atomic():
        # In the order in which results take them: runs, then the submission, then the participant.
        runs = Run.objects.filter(submission=submission, status__in=OPEN).order_by("pk")
        runs = list(
            runs.select_for_update(of=("self",)).select_related(
                "submission__participation", "submission__phase__competition"
            )
        )
        row = Submission.objects.select_for_update(no_key=True, of=("self",)).get(pk=submission.pk)
        if row.withdrawn_at is not None:
            return row
        row.withdrawn_at, row.withdrawn_by, row.withdrawn_reason = now(), by, reason
        row.withdrawn_by_organiser, row.chosen_at = not own, None
        row.save(
            update_fields=["withdrawn_at", "withdrawn_by", "withdrawn_by_organiser", "withdrawn_reason", "chosen_at"]
        )
        for run in runs:
            run_cancel(run=run, user=by)
        participant_rebuild(phase=phase, participation=Participation.objects.get(pk=row.participation_id))
        # Later than at import: the webhooks build on this app.
        from touchstone.hooks.events import submission_event

        submission_event(submission=row, what="withdrawn", by="participant" if own else "organiser", reason=reason)
        audit_append(
            actor=by, act="submission.withdraw", subject=f"submission:{row.pk}",
            data={"reason": reason, "by": "participant" if own else "organiser"},
        )  # fmt: skip
    return row


def withdrawn_text(submission: Submission) -> str:
    """Who withdrew it and why, as everybody may read it; empty for one that stands."""
    return submission.withdrawn_text
