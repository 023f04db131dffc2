"""The publish check: made-up submissions of every phase, through the intake and the queue that real ones take.

They belong to a participant that is hidden everywhere, and are allowed although no phase is open yet. They cost nobody
quota, reach no board, and take the turns in the queue of whoever asked.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from runners.spec.models import SubmissionKind
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition, DataSplit, Participation, Phase
from touchstone.competitions.selectors import is_organiser
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.core.limited import LimitedTimeout, run_limited
from touchstone.core.storage import BlobInfo, blob_local, blob_put
from touchstone.core.text import clean
from touchstone.drafts.models import Rehearsal
from touchstone.drafts.rehearsal_rules import EXPECTED, FAILED, KINDS, PASSED, Check, checks_of, verdict_of
from touchstone.evaluations.models import Run
from touchstone.evaluations.services import check_schedule, run_receive, spec_of
from touchstone.evaluations.services.runs import validation_split
from touchstone.evaluations.state import FINAL
from touchstone.submissions.models import Submission

_MODULE = "runners.data.rehearsal"
_SECONDS = 300
#: No form lets anybody sign up by this name.
_NOBODY = "publish check"
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
    predictions tell nothing of.
    """

    state: str
    phases: list[PhaseCheck]
    earlier: int | None
    unchecked: list[str]


def rehearse(*, competition: Competition, user: User) -> list[Rehearsal]:
    """Send the made-up submissions of every phase; those of an earlier check of this version make room.

    Raises `NotAllowed`, `Conflict` while a check is under way, `UserError` where none can be made of the data.
    """
    _organiser(competition, user)
    made = list(_made(competition))
    with transaction.atomic():
        Competition.objects.select_for_update(no_key=True).get(pk=competition.pk)
        _make_room(competition)
        nobody = _participation(competition)
        found = [_send(phase, kind, blobs[kind], facts, nobody, user) for phase, blobs, facts in made for kind in KINDS]
        audit_append(
            actor=user, act="competition.check", subject=f"competition:{competition.slug}",
            data={"version": competition.version, "submissions": [str(one.submission_id) for one in found]},
        )  # fmt: skip
    return found


def competition_open(*, competition: Competition, user: User, reason: str = "") -> Competition:
    """Let others see the competition. What the check says must be good, or a `reason` given, which is audited.

    Opening it again changes nothing. Raises `NotAllowed`, `UserError`.
    """
    _organiser(competition, user)
    reason = clean(reason.strip(), limit=500)
    with transaction.atomic():
        row = Competition.objects.select_for_update(no_key=True).get(pk=competition.pk)
        if row.opened_at is not None:
            return row
        report = check_report(competition=row)
        if report.state != PASSED and len(reason) < _REASON_LENGTH:
            text = {
                "none": "The competition was not checked yet.", "running": "The check is still under way.",
            }.get(report.state, "The check found something.")  # fmt: skip
            raise UserError(
                f"{text} It can be opened all the same, with a reason.",
                "Run the check and mend what it finds, or say in a sentence why you open it without.", "not_checked",
                fields={"reason": [f"At least {_REASON_LENGTH} characters; it is kept in the record."]}, status=422,
            )  # fmt: skip
        _keep(report)
        row.opened_at = now()
        row.save(update_fields=["opened_at", "updated_at"])
        audit_append(
            actor=user, act="competition.open", subject=f"competition:{row.slug}",
            data={"version": row.version, "check": report.state, "reason": reason},
        )  # fmt: skip
    return row


def check_report(*, competition: Competition) -> CheckReport:
    """How the check stands. The caller has made sure that an organiser asks. Four queries."""
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
        return RehearsalView(row, row.kind, "", FAILED, row.expected, "Its submission is gone.", [], None)
    checks = checks_of(kind=row.kind, results=run.results.all(), classes=row.facts.get("classes", {}))
    verdict = verdict_of(kind=row.kind, status=status, checks=checks)
    took = (run.finished_at - run.created_at).total_seconds() if run.finished_at else None
    return RehearsalView(row, row.kind, status, verdict, row.expected, _message(row.kind, run), checks, took)


def _message(kind: str, run: Run) -> str:
    if kind == "malformed" and run.status == "scored":
        return "A file with wrong ids was scored: it should have been refused."
    return "\n".join(part for part in (run.message, run.hint) if part)


def _keep(report: CheckReport) -> None:
    """Write down what was known when it was opened."""
    for part in report.phases:
        for view in part.items:
            view.rehearsal.verdict = view.verdict
            failed = [f"{check.key}: {check.reason}" for check in view.checks if check.verdict == FAILED]
            view.rehearsal.found = "\n".join(failed) or view.message
            view.rehearsal.save(update_fields=["verdict", "found"])


def _organiser(competition: Competition, user: User) -> None:
    if not is_organiser(user=user, competition=competition):
        raise NotAllowed("Only its organisers check and open a competition.", "Ask one of them.")


def _make_room(competition: Competition) -> None:
    rows = Rehearsal.objects.filter(competition=competition, version=competition.version)
    keys = list(rows.values_list("submission_id", flat=True))
    if Run.objects.filter(submission__in=[key for key in keys if key]).exclude(status__in=FINAL).exists():
        raise Conflict("A check is under way.", "Wait until it has ended; this page shows how far it is.", "checking")
    rows.delete()
    Submission.everything.filter(pk__in=[key for key in keys if key], is_check=True).delete()


def _participation(competition: Competition) -> Participation:
    """The hidden participant of a competition whose submissions are made up."""
    found = Participation.everyone.filter(competition=competition, is_check=True).first()
    if found is not None:
        return found
    nobody = User.objects.filter(username=_NOBODY).first()
    if nobody is None:  # the address is nobody's either, and no two are the same
        nobody = User(username=_NOBODY, email=f"{uuid.uuid4().hex}@check.invalid", is_active=False)
        nobody.set_unusable_password()
        nobody.save()
    name = f"{_NOBODY} {uuid.uuid4().hex}"
    return Participation.everyone.create(competition=competition, user=nobody, display_name=name, is_check=True)


def _send(
    phase: Phase, kind: str, blob: BlobInfo, facts: dict[str, Any], nobody: Participation, user: User
) -> Rehearsal:
    submission = Submission.everything.create(
        participation=nobody, phase=phase, kind=SubmissionKind.PREDICTIONS.value, sent_by=user, source="check",
        files=[{"name": "predictions.csv", "sha256": blob.sha256, "size": blob.size}], is_check=True,
    )  # fmt: skip
    run = run_receive(submission=submission, share=user.pk)
    Run.objects.filter(pk=run.pk).update(counts_quota=False)
    check_schedule(run_id=run.pk)
    return Rehearsal.objects.create(
        competition=phase.competition, version=phase.competition.version, phase=phase, kind=kind, facts=facts,
        submission=submission, expected=EXPECTED[kind], created_by=user,
    )  # fmt: skip


def _made(competition: Competition) -> Iterator[tuple[Phase, dict[str, BlobInfo], dict[str, Any]]]:
    """Each phase with its files; phases on the same data share them."""
    known: dict[tuple[int, int | None], tuple[dict[str, BlobInfo], dict[str, Any]]] = {}
    spec = spec_of(competition=competition)
    for phase in competition.phases.select_related("split", "competition"):
        validation = validation_split(phase=phase, spec=spec)
        key = (phase.split_id, validation.pk if validation else None)
        if key not in known:
            known[key] = _made_up(phase, validation)
        yield (phase, *known[key])


def _made_up(phase: Phase, validation: DataSplit | None) -> tuple[dict[str, BlobInfo], dict[str, Any]]:
    """The stored files of a phase by kind, and the counts of its split."""
    with tempfile.TemporaryDirectory(prefix="touchstone-check-") as work:
        folder = Path(work)
        (folder / "spec.json").write_text(json.dumps(phase.competition.spec), encoding="utf-8")
        _lay(phase.split, folder / "split")
        if validation is not None:
            _lay(validation, folder / "validation")
        try:
            ended = run_limited(_MODULE, str(folder), folder=folder, seconds=_SECONDS)
        except LimitedTimeout as error:
            raise UserError(f"The labels of {phase.split.name} could not be read in time: {error}.") from error
        if ended.code != 0:
            raise UserError(
                f"No submission could be made up for the phase {phase.slug}: {ended.last_line}",
                "Check that its split has labels for every item.", "no_labels",
            )  # fmt: skip
        return dict(_stored(folder)), json.loads(ended.out)


def _stored(folder: Path) -> Iterator[tuple[str, BlobInfo]]:
    for kind in KINDS:
        with (folder / f"{kind}.csv").open("rb") as stream:
            yield kind, blob_put(file=stream)


def _lay(split: DataSplit, folder: Path) -> None:
    """Its labels and clusters, under their own names: nothing else is needed to make answers up."""
    folder.mkdir()
    for file in split.files:
        if file["name"].startswith(("labels.", "clusters.")):
            with blob_local(sha256=file["sha256"]) as path:
                shutil.copyfile(path, folder / file["name"])
