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
from touchstone.core.storage import blob_local
from touchstone.core.tasks import enqueue
from touchstone.evaluations.intake import IntakeBroken, IntakeReport, intake_check
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services.runs import run_enqueue, run_fail
from touchstone.evaluations.state import run_lock, run_transition

log = structlog.get_logger(__name__)

_SHOWN = 10


def check_schedule(*, run_id: object) -> None:
    """Have the run checked by a task, after the commit."""
    enqueue("touchstone.submission_check", str(run_id))


def run_check(*, run_id: object) -> None:
    """Check the artifact of a run that was received. Safe to repeat: a run in any other state is left alone."""
    run = _begin(run_id)
    if run is None:
        return
    try:
        with _at_it(run):
            report = _look(run)
    except Exception as error:
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
            run_enqueue(run=row, reason="Checked: the file is well-formed.")


def _begin(run_id: object) -> Run | None:
    with transaction.atomic():
        run = run_lock(run_id=run_id)
        if run.status != RunStatus.RECEIVED:
            return None
        return run_transition(run=run, to=RunStatus.CHECKING, reason="Checking the file.", checks=run.checks + 1)


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


def _look(run: Run) -> IntakeReport:
    submission = run.submission
    if not submission.files:
        # Later than at import: the registry's app builds on this one.
        from touchstone.registry.checks import pushed_check

        report = pushed_check(submission=submission, seconds=settings.TOUCHSTONE_CHECK_SECONDS)
        return report or IntakeReport()  # an image of the node's engine: the node looks at it
    phase = submission.phase
    file = submission.files[0]
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(blob_local(sha256=file["sha256"]))
        ids = None
        if submission.kind == "predictions":
            ids = stack.enter_context(blob_local(sha256=phase.split.ids))
        report = intake_check(
            kind=submission.kind, file=path, name=file["name"], spec=phase.competition.spec, ids=ids,
            seconds=settings.TOUCHSTONE_CHECK_SECONDS,
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
