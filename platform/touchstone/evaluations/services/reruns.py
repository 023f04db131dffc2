"""Evaluating again what was evaluated before: after a fault, a changed metric, new data.

The seed stays, so that only what was changed shows. A scored submission keeps its result, on the boards too, until the
new run is scored; where that fails, the old one stays for good. It costs nobody quota, and waits behind what
participants sent.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from django.db import transaction
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import is_organiser
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.core.tasks import enqueue
from touchstone.core.text import clean
from touchstone.evaluations.models import Rerun, Run, RunStatus
from touchstone.evaluations.services.checks import check_schedule
from touchstone.evaluations.services.runs import run_enqueue, run_receive
from touchstone.evaluations.state import OPEN, boards_tell, run_transition
from touchstone.submissions.models import Submission

#: Begun at once; the others by a task, so many at a time.
_AT_ONCE, _BATCH = 5, 25
MAX_RERUN = 20_000


def submission_rerun(*, submissions: Iterable[Submission], by: User, reason: str, what: str = "") -> Rerun:
    """Have submissions of one competition evaluated again. Those with a run under way are skipped, and counted.

    `what` says in words how they were chosen. Raises `NotAllowed`, `UserError`, and `Conflict` where none is left.
    """
    chosen = list(submissions)
    if not chosen:
        raise Conflict(
            _("There is nothing to evaluate again."), _("Choose submissions that are not withdrawn."), "empty"
        )
    competition = _one_competition(chosen)
    if not is_organiser(user=by, competition=competition):
        raise NotAllowed(_("Only organisers have submissions evaluated again."), _("Ask one of them."))
    reason = clean(reason.strip(), limit=500)
    if not reason:
        raise UserError(
            _("Say why they are evaluated again: participants see it."), _("One sentence is enough."), "reason",
            fields={"reason": [_("Say why: participants see it.")]},
        )  # fmt: skip
    if len(chosen) > MAX_RERUN:
        raise UserError(
            _("%(n)s submissions are more than %(max_rerun)s.") % {"n": len(chosen), "max_rerun": MAX_RERUN},
            _("Choose by phase or by time."),
            "total",
        )
    with transaction.atomic():
        ids = [str(submission.pk) for submission in chosen]
        rerun = Rerun.objects.create(
            competition=competition, asked_by=by, reason=reason, what=clean(what, limit=200), waiting=ids,
            total=len(ids),
        )  # fmt: skip
        _begin(rerun, _AT_ONCE)
        audit_append(  # after the turns of the queue: the lock of the audit is taken last
            actor=by, act="submission.rerun", subject=f"competition:{competition.slug}",
            data={"rerun": str(rerun.pk), "submissions": len(ids), "reason": reason, "what": rerun.what},
        )  # fmt: skip
    return rerun


def _one_competition(chosen: list[Submission]) -> Competition:
    found = {submission.phase.competition_id: submission.phase.competition for submission in chosen}
    if len(found) > 1:
        raise UserError(_("The submissions are of several competitions."), _("Choose those of one."))
    return next(iter(found.values()))


def rerun_continue(*, rerun_id: object) -> int:
    """Begin the next runs of a rerun; how many are left. Safe to repeat, and to do twice at once."""
    with transaction.atomic():
        rerun = Rerun.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=rerun_id).first()
        return 0 if rerun is None else _begin(rerun, _BATCH)


def reruns_continue() -> int:
    """Go on with every rerun that has submissions left: for the sweeper, should a task have been lost."""
    waiting = list(Rerun.objects.exclude(waiting=[]).order_by("created_at").values_list("pk", flat=True)[:4])
    for pk in waiting:
        rerun_continue(rerun_id=pk)
    return len(waiting)


def _begin(rerun: Rerun, limit: int) -> int:
    """The caller holds the row."""
    now, rerun.waiting = rerun.waiting[:limit], rerun.waiting[limit:]
    found = Submission.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=now)
    rows = {
        str(row.pk): row for row in found.select_related("phase__competition", "participation", "run").order_by("pk")
    }
    busy = set(Run.objects.filter(submission__in=rows, status__in=OPEN).values_list("submission_id", flat=True))
    phases: set[int] = set()
    for key in now:
        row = rows.get(key)
        if row is None or row.pk in busy or row.withdrawn_at is not None:
            rerun.skipped += 1
        else:
            _again(rerun, row)
            phases.add(row.phase_id)
    for phase_id in phases:
        boards_tell(phase_id=phase_id)
    rerun.save(update_fields=["waiting", "skipped"])
    if rerun.waiting:
        enqueue("touchstone.rerun_continue", str(rerun.pk))
    return len(rerun.waiting)


def _again(rerun: Rerun, submission: Submission) -> None:
    """What was found sound before is not checked anew: a check reads gigabytes, and others wait for theirs."""
    sound = submission.runs.exclude(queued_at=None).exists()
    run = run_receive(submission=submission, share=rerun.asked_by_id or 0, again=rerun)
    if sound:
        run_transition(run=run, to=RunStatus.CHECKING, reason="Its file was checked before.")
        run_enqueue(run=run, reason="In the queue, behind what participants sent.")
    else:
        check_schedule(run_id=run.pk)


def rerun_seconds(*, submissions: Iterable[Submission]) -> float | None:
    """Roughly how long these took before, together; None where none of them ever ended. For one run at a time."""
    spans: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    for submission in submissions:
        counts[submission.kind] = counts.get(submission.kind, 0) + 1
        run = submission.run
        if run is not None and run.started_at and run.finished_at:
            spans.setdefault(submission.kind, []).append((run.finished_at - run.started_at).total_seconds())
    known = [span for each in spans.values() for span in each]
    if not known:
        return None
    usual = statistics.median(known)
    return sum(n * statistics.median(spans.get(kind, [usual])) for kind, n in counts.items())
