"""A run's beginning and its end by hand; what the other services of runs share."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from runners.spec.models import CompetitionSpec
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition, DataSplit, Phase
from touchstone.competitions.selectors import is_member, is_organiser
from touchstone.core.clock import now
from touchstone.core.errors import NotAllowed
from touchstone.core.tasks import nudge
from touchstone.evaluations.events import event_add
from touchstone.evaluations.models import Rerun, Run, RunStatus
from touchstone.evaluations.services.queueing import needs_of, place_of
from touchstone.evaluations.state import FINAL, run_lock, run_make_current, run_transition
from touchstone.submissions.models import Submission


def spec_of(*, competition: Competition) -> CompetitionSpec:
    """The competition's file as typed models."""
    return CompetitionSpec.model_validate(competition.spec)


def validation_split(*, phase: Phase, spec: CompetitionSpec) -> DataSplit | None:
    """The split that thresholds and mitigations of a phase are fitted on, where it names one."""
    name = next((found.validation for found in spec.phases if found.slug == phase.slug), None)
    return None if name is None else DataSplit.objects.filter(competition=phase.competition, name=name).first()


def run_receive(*, submission: Submission, share: int = 0, again: Rerun | None = None) -> Run:
    """Begin a run of a submission, in the state received. Its check is due at once.

    It counts from now on, but for one that evaluates a scored submission again: that counts once it is scored.
    `share`: key of the user whose turn it takes; 0: the participant's. `again`: why there is one more; it has the seed
    of the run before, so that only what was changed shows, and costs as much quota as that one did.
    """
    moment = now()
    before = submission.run if again is not None else None
    run = Run.objects.create(
        submission=submission,
        rerun=again,
        **needs_of(submission=submission),
        share=share,
        # One seed for all attempts: a second attempt must not get a second chance.
        seed=secrets.randbits(48) if before is None else before.seed,
        counts_quota=before is None or before.counts_quota,
        deadline=moment + timedelta(seconds=settings.TOUCHSTONE_NUDGE_SECONDS),
    )
    if before is None or before.status != RunStatus.SCORED:
        run_make_current(run=run)
    message = "Received." if again is None else f"Evaluated again by the organisers: {again.reason}"
    event_add(run=run, kind="status", message=message, data={"to": str(RunStatus.RECEIVED)}, at=moment)
    return run


def run_enqueue(*, run: Run, reason: str, **fields: object) -> Run:
    """Put a run into the queue, or back to its place there, and nudge the nodes."""
    if run.queued_at is None:
        fields = {**place_of(run=run), **fields}
    row = run_transition(run=run, to=RunStatus.QUEUED, reason=reason, **fields)
    nudge(run_id=str(row.pk), queue=row.queue)
    return row


def run_fail(*, run: Run, verdict: str, code: str, message: str, hint: str = "", **fields: object) -> Run:
    """End a run as failed by a fault of the platform or of the organiser: it does not count against the quota."""
    row = run_transition(
        run=run, to=RunStatus.FAILED, reason=message, verdict=verdict, code=code, message=message, hint=hint,
        counts_quota=False, **fields,
    )  # fmt: skip
    audit_append(actor=None, act="run.fail", subject=f"run:{row.pk}", data={"verdict": verdict, "code": code})
    return row


def run_cancel(*, run: Run, user: User) -> Run:
    """Cancel a run. One that waits ends at once; one that runs ends when its node hears of it.

    Cancelling a run that has ended, or twice, changes nothing. Raises `NotAllowed`.
    """
    submission = run.submission
    competition = submission.phase.competition
    own = is_member(user=user, participation=submission.participation)
    if not own and not is_organiser(user=user, competition=competition):
        raise NotAllowed(_("Only the participant and the organisers can cancel a run."))
    if run.rerun_id is not None and not is_organiser(user=user, competition=competition):
        raise NotAllowed(_("The organisers have it evaluated again; only they can cancel that."))
    # No name: the history stays when an account is deleted, and the audit knows who it was.
    who = "the participant" if own else "an organiser"
    with transaction.atomic():
        row = run_lock(run_id=run.pk)
        if row.status in FINAL or row.cancel_requested:
            return row
        if row.status == RunStatus.RUNNING:
            row.cancel_requested = True
            row.save(update_fields=["cancel_requested"])
            event_add(
                run=row,
                kind="note",
                message=f"{who.capitalize()} asked to cancel; the node stops at its next sign of life.",
            )
        else:
            # Nothing has run, so nothing is counted.
            row = run_transition(
                run=row, to=RunStatus.CANCELLED, reason=f"Cancelled by {who}.", counts_quota=row.attempt > 0
            )
        audit_append(actor=user, act="run.cancel", subject=f"run:{row.pk}")
    return row
