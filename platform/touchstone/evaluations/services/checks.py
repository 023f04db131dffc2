"""received → checking → queued or rejected: is the artifact what its kind says?"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from touchstone.audit.services import audit_append
from touchstone.competitions.models import DataSplit
from touchstone.core.clock import now
from touchstone.core.limited import LimitedTimeout
from touchstone.core.storage import blob_local
from touchstone.core.tasks import enqueue
from touchstone.evaluations.intake import IntakeBroken, IntakeReport, endpoint_check, intake_check
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services.runs import run_enqueue, run_fail, spec_of, validation_split
from touchstone.evaluations.state import run_lock, run_transition
from touchstone.submissions.endpoints import endpoint_ref
from touchstone.submissions.models import Submission

log = structlog.get_logger(__name__)

_SHOWN = 10
#: Kinds whose check reads gigabytes, works on what it reads, or waits for a machine of somebody else.
_SLOW = ("container", "model", "endpoint")
_SLOW_LOCK = 0x736C6F77


def check_schedule(*, run_id: object) -> None:
    """Have the run checked by a task, after the commit."""
    enqueue("touchstone.submission_check", str(run_id))


def run_check(*, run_id: object) -> None:
    """Check the artifact of a run that was received. Safe to repeat: a run in any other state is left alone."""
    run = _begin(run_id)
    if run is None:
        return
    slow = _is_slow(run.submission)
    try:
        _check(run, slow=slow)
    finally:
        if slow:
            _next_slow()


def _check(run: Run, *, slow: bool) -> None:
    try:
        with _at_it(run):
            report = _look(run)
    except Exception as error:
        if isinstance(error.__cause__, LimitedTimeout) and slow:
            _out_of_time(run, str(error))
            return
        log.exception("intake.broken", run=str(run.pk))
        _again(run, f"{error}" if isinstance(error, IntakeBroken) else type(error).__name__)
        return
    with transaction.atomic():
        row = run_lock(run_id=run.pk)
        if row.status != RunStatus.CHECKING or row.checks != run.checks:
            return  # cancelled meanwhile, or the sweeper gave the check to somebody else
        if report.defects:
            _reject(row, report)
        else:
            asked = "Checked: the endpoint answers as it should." if row.submission.endpoint else ""
            run_enqueue(run=row, reason=asked or "Checked: the file is well-formed.")


def _begin(run_id: object) -> Run | None:
    with transaction.atomic():
        run = run_lock(run_id=run_id)
        if run.status != RunStatus.RECEIVED or (_is_slow(run.submission) and not _slow_has_room()):
            return None  # of a slow one the turn comes when another ends; the sweeper sees to lost turns
        return run_transition(run=run, to=RunStatus.CHECKING, reason="Checking the file.", checks=run.checks + 1)


def _is_slow(submission: Submission) -> bool:
    """Whether the check may take minutes. What an image by name was found to be before is known at once."""
    if submission.files or submission.endpoint:
        return submission.kind in _SLOW
    # Later than at import: the registry's app builds on this one.
    from touchstone.registry.checks import pushed_is_unread

    return pushed_is_unread(submission=submission)


def _slow_has_room() -> bool:
    """Whether one more slow check may begin: one process is kept for the sweeper and for quick checks.

    The caller is in a transaction, and begins its check in it.
    """
    with connection.cursor() as cursor:  # two that begin at once are counted one after the other
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SLOW_LOCK])
    busy = Run.objects.filter(status=RunStatus.CHECKING, submission__kind__in=_SLOW).count()
    return busy < int(settings.TOUCHSTONE_SLOW_CHECKS)


def _next_slow() -> None:
    """Begin the slow check that has waited longest."""
    waiting = Run.objects.filter(status=RunStatus.RECEIVED, checks=0, submission__kind__in=_SLOW)
    first = waiting.order_by("submission__created_at", "pk").values_list("pk", flat=True).first()
    if first is not None:
        check_schedule(run_id=first)


def _out_of_time(run: Run, why: str) -> None:
    """Another try would take as long."""
    with transaction.atomic():
        row = run_lock(run_id=run.pk)
        if row.status == RunStatus.CHECKING and row.checks == run.checks:
            run_fail(
                run=row, verdict="platform", code="check_time", message=f"The file could not be checked in time: {why}."
            )


@contextlib.contextmanager
def _at_it(run: Run) -> Iterator[None]:
    """Move the deadline of a check on while it lasts; one that lasts less than a pause touches nothing."""
    done = threading.Event()
    pause = settings.TOUCHSTONE_CHECK_LEASE_SECONDS / 3

    def renew() -> None:
        try:
            while not done.wait(pause):
                until = now() + timedelta(seconds=settings.TOUCHSTONE_CHECK_LEASE_SECONDS)
                mine = Run.objects.filter(pk=run.pk, status=RunStatus.CHECKING, checks=run.checks)
                try:
                    mine.update(deadline=until)
                except DatabaseError as error:  # the next time; if there is none, the check is repeated
                    log.warning("check.lease", run=str(run.pk), error=str(error))
        finally:
            connection.close()  # this thread's own

    thread = threading.Thread(target=renew, name="check-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def check_seconds(*, size: int) -> float:
    """How long the check of so many bytes may take."""
    base = float(settings.TOUCHSTONE_CHECK_SECONDS)
    return min(base + size / settings.TOUCHSTONE_CHECK_BYTES_PER_SECOND, settings.TOUCHSTONE_CHECK_SECONDS_MAX)


def _look(run: Run) -> IntakeReport:
    submission = run.submission
    if submission.endpoint:
        spec = spec_of(competition=submission.phase.competition)
        return endpoint_check(at=endpoint_ref(submission=submission, spec=spec), spec=submission.phase.competition.spec)
    if not submission.files:
        # Later than at import: the registry's app builds on this one.
        from touchstone.registry.checks import pushed_check

        report = pushed_check(submission=submission)
        return report or IntakeReport()  # an image of the node's engine: the node looks at it
    phase = submission.phase
    file = submission.files[0]
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(blob_local(sha256=file["sha256"]))
        ids = also = validation = None
        if submission.kind == "predictions":
            ids = stack.enter_context(blob_local(sha256=phase.split.ids))
            validation = validation_split(phase=phase, spec=spec_of(competition=phase.competition))
        if validation is not None:
            also = stack.enter_context(blob_local(sha256=validation.ids))
        report = intake_check(
            kind=submission.kind, file=path, name=file["name"], spec=phase.competition.spec, ids=ids, also=also,
            seconds=check_seconds(size=path.stat().st_size if submission.kind in _SLOW else 0),
        )  # fmt: skip
    secret = phase.split.visibility == DataSplit.Visibility.HIDDEN
    return replace(report, defects=tuple(_without_ids(report.defects))) if secret else report


#: Defects that tell which ids the split has: by their names, by how many there are, or by telling one from another.
_ABOUT_IDS = frozenset({"missing_ids", "unknown_ids"})
_IDS_DIFFER = {
    "code": "ids",
    "message": "the ids are not exactly those of this phase's split, which are secret",
    "where": "id",
    "hint": "Send exactly the ids that the organisers gave you, each of them once.",
}


def _without_ids(defects: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The defects for a split whose ids are secret: a refused file costs nothing, so it must not answer guesses."""
    told = False
    for defect in defects:
        if defect.get("code") not in _ABOUT_IDS:
            yield defect
        elif not told:
            told = True
            yield _IDS_DIFFER


def _reject(run: Run, report: IntakeReport) -> None:
    message, hint = defects_text(report.defects)
    code = str(report.defects[0].get("code") or "invalid")[:60]
    run_transition(
        run=run, to=RunStatus.REJECTED, reason="The file was not accepted.", code=code, message=message, hint=hint,
        counts_quota=False,
    )  # fmt: skip
    audit_append(actor=None, act="run.reject", subject=f"run:{run.pk}", data={"code": code})


def defects_text(defects: tuple[dict[str, Any], ...]) -> tuple[str, str]:
    """All defects as one message, a line each, and their hints without repeats."""
    lines, hints = [], []
    for defect in defects[:_SHOWN]:
        where, text = defect.get("where") or "", str(defect.get("message") or "")
        lines.append(f"{where}: {text}" if where else text)
        hint = str(defect.get("hint") or "")
        if hint and hint not in hints:
            hints.append(hint)
    if len(defects) > _SHOWN:
        lines.append(f"and {len(defects) - _SHOWN} more.")
    return "\n".join(lines), "\n".join(hints) or "Correct the file and submit it again."


def _again(run: Run, why: str) -> None:
    """The checker broke: try again, or give up after the third time. Either way it is our fault."""
    with transaction.atomic():
        row = run_lock(run_id=run.pk)
        if row.status == RunStatus.CHECKING and row.checks == run.checks:
            check_retry(run=row, why=why)


def check_retry(*, run: Run, why: str) -> None:
    """Give a check that came to nothing back, or end the run. The caller holds the row's lock."""
    if run.checks >= settings.TOUCHSTONE_MAX_FAULTS:
        run_fail(
            run=run, verdict="platform", code="check_broken",
            message=f"The file could not be checked after {run.checks} tries: {why}.",
        )  # fmt: skip
        return
    # The sweeper schedules it when its deadline passes: an immediate retry would meet the same fault.
    run_transition(
        run=run, to=RunStatus.RECEIVED, reason=f"The check could not be made ({why}); it will be tried again."
    )
