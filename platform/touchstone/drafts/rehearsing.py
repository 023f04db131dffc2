"""The publish check: made-up submissions of every phase, through the intake and the queue that real ones take.

They belong to a participant that is hidden everywhere, and are allowed although no phase is open yet. They cost nobody
quota, reach no board, and take the turns in the queue of whoever asked. Making them up reads every label, so a job does
it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from django.db import transaction
from django.utils.translation import gettext as _

from runners.spec.models import SubmissionKind
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition, DataSplit, Participation, Phase
from touchstone.competitions.selectors import is_organiser
from touchstone.core.errors import Conflict, NotAllowed, UserError
from touchstone.core.jobs import JobState, job_end, job_fresh, job_take, jobs_stuck
from touchstone.core.limited import LimitedTimeout, run_limited
from touchstone.core.storage import BlobInfo, blob_local, blob_put
from touchstone.core.tasks import enqueue
from touchstone.drafts.models import Preparation, Rehearsal
from touchstone.drafts.rehearsal_rules import EXPECTED, KINDS
from touchstone.evaluations.models import Run
from touchstone.evaluations.services import check_schedule, run_receive, spec_of
from touchstone.evaluations.services.runs import validation_split
from touchstone.evaluations.state import FINAL
from touchstone.submissions.models import Submission

log = structlog.get_logger(__name__)

TASK = "touchstone.check_prepare"
_MODULE = "runners.data.rehearsal"
_SECONDS = 300
#: No form lets anybody sign up by this name.
_NOBODY = "publish check"
_MADE_UP = tuple[Phase, dict[str, BlobInfo], dict[str, Any]]


def rehearse(*, competition: Competition, user: User) -> Preparation:
    """Have the made-up submissions of every phase sent; those of an earlier check of this version make room.

    Raises `NotAllowed`, `Conflict` while a check is under way.
    """
    organiser_check(competition, user)
    with transaction.atomic():
        row = Competition.objects.select_for_update(no_key=True).get(pk=competition.pk)
        before = Preparation.objects.filter(competition=row, version=row.version).first()
        if before is not None and before.under_way:
            raise _under_way()
        _make_room(row)
        fields = {"version": row.version, "asked_by": user, **job_fresh()}
        asked, _new = Preparation.objects.update_or_create(competition=row, defaults=fields)
        audit_append(
            actor=user, act="competition.check", subject=f"competition:{row.slug}", data={"version": row.version}
        )
        enqueue(TASK, str(row.pk))
    return asked


def rehearsal_prepare(*, competition_id: int | str) -> None:
    """Make the submissions up and send them. Safe to repeat: a second one finds nothing to do."""
    rows = Preparation.objects.filter(competition_id=competition_id)
    phases = Phase.objects.filter(competition_id=competition_id).count()
    lease = job_take(rows, seconds=_SECONDS * max(1, phases) + 60)
    if lease is None:
        return
    asked = rows.select_related("asked_by", "competition").get()
    try:
        made = list(_made(asked.competition))
    except UserError as error:
        job_end(rows, lease=lease, state=JobState.FAILED, message=error.message, hint=error.hint)
        return
    except Exception as error:
        log.exception("check.prepare", competition=asked.competition.slug, error=type(error).__name__)
        text = "The made-up submissions could not be prepared: that is a fault of ours."
        job_end(rows, lease=lease, state=JobState.FAILED, message=text, hint="Run the check again.")
        return
    with transaction.atomic():
        _send_all(asked, lease, made)


def rehearsals_sweep() -> int:
    """Send again what was lost or left behind. Returns how many."""
    stuck = jobs_stuck(
        Preparation.objects.all(),
        message="The made-up submissions could not be prepared: the process that made them ended three times.",
        hint="Use smaller files of labels, or Parquet, and run the check again.",
    )
    keys = list(stuck.values_list("competition_id", flat=True)[:100])
    for key in keys:
        enqueue(TASK, str(key))
    return len(keys)


def organiser_check(competition: Competition, user: User) -> None:
    """Raises `NotAllowed` for everybody else."""
    if not is_organiser(user=user, competition=competition):
        raise NotAllowed(_("Only its organisers check and open a competition."), _("Ask one of them."))


def _under_way() -> Conflict:
    return Conflict(
        _("A check is under way."), _("Wait until it has ended; this page shows how far it is."), "checking"
    )


def _send_all(asked: Preparation, lease: datetime, made: list[_MADE_UP]) -> None:
    """In a transaction. Nothing is sent for a version that is no longer the present one."""
    rows = Preparation.objects.filter(pk=asked.pk, version=asked.version)
    row = Competition.objects.select_for_update(no_key=True).get(pk=asked.competition_id)
    if row.version != asked.version or asked.asked_by is None:
        text = "The competition was changed while its check was prepared."
        job_end(rows, lease=lease, state=JobState.FAILED, message=text, hint="Run the check again.")
        return
    if not job_end(rows, lease=lease, state=JobState.DONE):
        return
    nobody = _participation(row)
    for phase, blobs, facts in made:
        for kind in KINDS:
            _send(phase, kind, blobs[kind], facts, nobody, asked.asked_by)


def _make_room(competition: Competition) -> None:
    rows = Rehearsal.objects.filter(competition=competition, version=competition.version)
    keys = list(rows.values_list("submission_id", flat=True))
    if Run.objects.filter(submission__in=[key for key in keys if key]).exclude(status__in=FINAL).exists():
        raise _under_way()
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


def _send(phase: Phase, kind: str, blob: BlobInfo, facts: dict[str, Any], nobody: Participation, user: User) -> None:
    submission = Submission.everything.create(
        participation=nobody, phase=phase, kind=SubmissionKind.PREDICTIONS.value, sent_by=user, source="check",
        files=[{"name": "predictions.csv", "sha256": blob.sha256, "size": blob.size}], is_check=True,
    )  # fmt: skip
    run = run_receive(submission=submission, share=user.pk)
    Run.objects.filter(pk=run.pk).update(counts_quota=False)
    check_schedule(run_id=run.pk)
    Rehearsal.objects.create(
        competition=phase.competition, version=phase.competition.version, phase=phase, kind=kind, facts=facts,
        submission=submission, expected=EXPECTED[kind], created_by=user,
    )  # fmt: skip


def _made(competition: Competition) -> Iterator[_MADE_UP]:
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
            raise UserError(
                _("The labels of %(split)s could not be read in time: %(error)s.")
                % {"split": phase.split.name, "error": error}
            ) from error
        if ended.code != 0:
            raise UserError(
                _("No submission could be made up for the phase %(phase)s: %(last_line)s")
                % {"phase": phase.slug, "last_line": ended.last_line},
                _("Check that its split has labels for every item."),
                "no_labels",
            )
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
