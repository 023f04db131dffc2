"""What came of the made-up submissions of a competition (`rehearsing.py` sends them), and opening it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition, Phase
from touchstone.core.clock import now
from touchstone.core.errors import UserError
from touchstone.core.jobs import JobState
from touchstone.core.text import clean
from touchstone.drafts.models import Preparation, Rehearsal
from touchstone.drafts.rehearsal_rules import FAILED, KINDS, PASSED, Check, checks_of, verdict_of
from touchstone.drafts.rehearsing import organiser_check
from touchstone.evaluations.models import Run

_REASON_LENGTH = 10


@dataclass(frozen=True)
class RehearsalView:
    """A made-up submission and what came of it. `verdict`: passed, failed, or empty while it is under way."""

    rehearsal: Rehearsal
    kind: str
    status: str
    verdict: str
    expected: str
    message: str
    checks: list[Check]
    seconds: float | None


@dataclass(frozen=True)
class PhaseCheck:
    """The four of a phase; none where it was not checked yet."""

    phase: Phase
    items: list[RehearsalView]


@dataclass(frozen=True)
class CheckReport:
    """How the check of a competition's present version stands: none, running, passed or failed.

    `earlier` is the last version that was checked, where it is not the present one. `unchecked` are metrics that
    predictions tell nothing of. `preparing`: the submissions are being made up, and there are none yet; `message` and
    `hint` say why that failed.
    """

    state: str
    phases: list[PhaseCheck]
    earlier: int | None
    unchecked: list[str]
    preparing: bool = False
    message: str = ""
    hint: str = ""


def competition_open(*, competition: Competition, user: User, reason: str = "") -> Competition:
    """Let others see the competition. What the check says must be good, or a `reason` given, which is audited.

    Opening it again changes nothing. Raises `NotAllowed`, `UserError`.
    """
    organiser_check(competition, user)
    reason = clean(reason.strip(), limit=500)
    with transaction.atomic():
        row = Competition.objects.select_for_update(no_key=True).get(pk=competition.pk)
        if row.opened_at is not None:
            return row
        report = check_report(competition=row)
        if report.state != PASSED and len(reason) < _REASON_LENGTH:
            text = {
                "none": _("The competition was not checked yet."), "running": _("The check is still under way."),
            }.get(report.state, _("The check found something."))  # fmt: skip
            raise UserError(
                _("%(text)s It can be opened all the same, with a reason.") % {"text": text},
                _("Run the check and mend what it finds, or say in a sentence why you open it without."),
                "not_checked",
                fields={
                    "reason": [
                        _("At least %(reason_length)s characters; it is kept in the record.")
                        % {"reason_length": _REASON_LENGTH}
                    ]
                },
                status=422,
            )
        _keep(report)
        row.opened_at = now()
        row.save(update_fields=["opened_at", "updated_at"])
        audit_append(
            actor=user, act="competition.open", subject=f"competition:{row.slug}",
            data={"version": row.version, "check": report.state, "reason": reason},
        )  # fmt: skip
    return row


def check_report(*, competition: Competition) -> CheckReport:
    """How the check stands. The caller has made sure that an organiser asks. Five queries."""
    asked = Preparation.objects.filter(competition=competition, version=competition.version).first()
    rows = list(Rehearsal.objects.filter(competition=competition, version=competition.version).select_related("phase"))
    runs = _runs(rows)
    views = [_view(row, runs.get(row.submission_id)) for row in rows]
    phases = list(competition.phases.select_related("split").order_by("position"))
    parts = [PhaseCheck(phase, [view for view in views if view.rehearsal.phase_id == phase.pk]) for phase in phases]
    earlier = None
    if not rows:
        earlier = (
            Rehearsal.objects.filter(competition=competition).order_by("-version").values_list("version", flat=True)
        ).first()
    told = {check.title: check for view in views for check in view.checks if check.reason.startswith("Not checked")}
    if asked is not None and asked.under_way:
        return CheckReport("running", parts, earlier, [], preparing=True)
    if asked is not None and asked.state == JobState.FAILED:
        return CheckReport(FAILED, parts, earlier, [], message=asked.message, hint=asked.hint)
    return CheckReport(_state(views, len(phases)), parts, earlier, sorted(told))


def _state(views: list[RehearsalView], phases: int) -> str:
    if not views:
        return "none"
    if any(not view.verdict for view in views):
        return "running"
    complete = len(views) == phases * len(KINDS)
    return PASSED if complete and all(view.verdict == PASSED for view in views) else FAILED


def _runs(rows: list[Rehearsal]) -> dict[uuid.UUID | None, Run]:
    """The run of each made-up submission, with its results."""
    found = Run.objects.filter(submission__in=[row.submission_id for row in rows if row.submission_id])
    found = found.defer("log", "sample_log").prefetch_related("results").order_by("created_at")
    return {run.submission_id: run for run in found}


def _view(row: Rehearsal, run: Run | None) -> RehearsalView:
    status = str(run.status) if run is not None else ""
    if run is None:
        return RehearsalView(row, row.kind, "", FAILED, row.expected, _("Its submission is gone."), [], None)
    checks = checks_of(kind=row.kind, results=run.results.all(), classes=row.facts.get("classes", {}))
    verdict = verdict_of(kind=row.kind, status=status, checks=checks)
    took = (run.finished_at - run.created_at).total_seconds() if run.finished_at else None
    return RehearsalView(row, row.kind, status, verdict, row.expected, _message(row.kind, run), checks, took)


def _message(kind: str, run: Run) -> str:
    if kind == "malformed" and run.status == "scored":
        return _("A file with wrong ids was scored: it should have been refused.")
    return "\n".join(part for part in (run.message, run.hint) if part)


def _keep(report: CheckReport) -> None:
    """Write down what was known when it was opened."""
    for part in report.phases:
        for view in part.items:
            view.rehearsal.verdict = view.verdict
            failed = [f"{check.key}: {check.reason}" for check in view.checks if check.verdict == FAILED]
            view.rehearsal.found = "\n".join(failed) or view.message
            view.rehearsal.save(update_fields=["verdict", "found"])
