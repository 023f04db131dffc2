"""Taking submissions in: every reason to refuse one, and the count of the quota under a lock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.files.base import File
from django.db import transaction

from runners.spec.models import SubmissionKind
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Participation, Phase
from touchstone.competitions.selectors import participation_need, phase_finalists
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, QuotaExceeded, TooLarge, UserError
from touchstone.core.storage import BlobInfo, blob_open, blob_put
from touchstone.core.text import clean
from touchstone.evaluations.services import check_schedule, run_receive, spec_of
from touchstone.submissions.allowance import check_allowed
from touchstone.submissions.models import Submission, Upload
from touchstone.submissions.selectors import Quota, quota
from touchstone.submissions.uploads import upload_complete, upload_create, upload_part_put

__all__ = ["submission_create", "upload_complete", "upload_create", "upload_part_put"]

#: An image by what it holds: a tag may be moved, and could be guessed by those whose image it is not.
_IMAGE = re.compile(r"^(?:[a-z0-9][a-z0-9._/:-]{0,227}@)?sha256:[0-9a-f]{64}$")
_KEY = re.compile(r"^[\x21-\x7e]{1,100}$")


@dataclass(frozen=True)
class _Artifact:
    """What was sent, stored: at most one file, or the name of an image."""

    blob: BlobInfo | None
    image: str


def submission_create(
    *,
    user: User,
    phase: Phase,
    kind: str,
    upload: Upload | None = None,
    file: File[Any] | None = None,
    image: str = "",
    message: str = "",
    name: str = "",
    source: str = "api",
    idempotency_key: str = "",
) -> Submission:
    """Take a submission, create its run in the state received, and have it checked after the commit.

    Exactly one of `upload` (completed), `file` and, for containers, `image` says what is submitted. The same
    `idempotency_key` returns the submission that was made with it. Raises `UserError` and its kinds; nothing is
    created then, and nothing counted.
    """
    participation = participation_need(user=user, competition=phase.competition)
    known = _known(participation, idempotency_key, phase, kind)
    if known is not None:
        return known
    _check_window(phase, now())
    limit = _check_kind(phase, kind)
    _check_source(kind, upload, file, image)
    _check_counts(user, participation, phase, kind, image)  # before bytes are stored; again under the lock
    # Later than at import: the registry's app builds on this one.
    from touchstone.registry.services import image_accept

    image = image_accept(participation=participation, image=image) if image else ""
    artifact = _Artifact(_store(user, upload, file, limit), image)
    with transaction.atomic():
        # The row of the participation is the lock: two requests at once are counted one after the other.
        participation = Participation.objects.select_for_update(no_key=True).get(pk=participation.pk)
        known = _known(participation, idempotency_key, phase, kind)
        if known is not None:
            return known
        _check_window(phase, now())
        _check_counts(user, participation, phase, kind, image, lock=True)
        submission = Submission.objects.create(
            participation=participation, phase=phase, sent_by=user, kind=kind, files=_files(kind, artifact.blob),
            image=artifact.image, message=clean(message.strip(), limit=500), source=source,
            idempotency_key=idempotency_key, name=clean(name.strip(), limit=100),
        )  # fmt: skip
        run = run_receive(submission=submission)
        audit_append(
            actor=user, act="submission.create", subject=f"submission:{submission.pk}",
            data={
                "phase": f"{phase.competition.slug}/{phase.slug}", "kind": kind, "files": submission.files,
                "image": image,
            },
        )  # fmt: skip
        check_schedule(run_id=run.pk)
    return submission


def _known(participation: Participation, key: str, phase: Phase, kind: str) -> Submission | None:
    if not key:
        return None
    if not _KEY.fullmatch(key):
        raise UserError("The idempotency key is not 1 to 100 visible ASCII characters.", "Send for example a UUID.")
    found = (
        Submission.objects.filter(participation=participation, idempotency_key=key)
        .select_related("run", "phase")
        .first()
    )
    if found is not None and (found.phase_id, found.kind) != (phase.pk, kind):
        raise Conflict(
            f"The idempotency key {key!r} was used for another submission ({found.pk}).",
            "Use a new key for each submission.",
        )
    return found


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _check_window(phase: Phase, moment: datetime) -> None:
    finalists = phase_finalists(phase=phase)
    if finalists is not None:
        raise UserError(
            f"The phase {phase.slug} takes no submissions; it evaluates those chosen in {finalists['phase']}.",
            f"Submit to {finalists['phase']}, and choose your finalists there.", "phase_finalists",
        )  # fmt: skip
    phase.refresh_from_db(fields=["frozen_at", "frozen_reason"])
    if phase.frozen_at is not None:
        raise UserError(
            f"The organisers have frozen the phase {phase.slug}: {phase.frozen_reason or 'no reason was given'}",
            "Nothing is taken until they let it go on; what you have sent stays.", "phase_frozen",
        )  # fmt: skip
    if moment < phase.opens:
        raise UserError(
            f"The phase {phase.slug} opens at {_at(phase.opens)}; it is {_at(moment)} now.",
            "Submit after it has opened.", "phase_not_open",
        )  # fmt: skip
    if phase.closes is not None and moment >= phase.closes:
        raise UserError(
            f"The phase {phase.slug} closed at {_at(phase.closes)}; it is {_at(moment)} now.",
            "See the phases page for one that is open.", "phase_closed",
        )  # fmt: skip


def _check_kind(phase: Phase, kind: str) -> int:
    """The most bytes an artifact may have. Raises `UserError` for a kind that is not accepted."""
    accepted = spec_of(competition=phase.competition).submission
    names = [k.value for k in accepted.kinds]
    if kind not in names:
        raise UserError(
            f"{phase.competition.slug} does not accept {kind!r}.", f"It accepts: {', '.join(names)}.", "kind"
        )
    return int(accepted.size)


def _check_source(kind: str, upload: Upload | None, file: File[Any] | None, image: str) -> None:
    given = [name for name, value in (("upload", upload), ("file", file), ("image", image)) if value]
    if len(given) != 1:
        raise UserError(
            f"A submission is one thing; this has {' and '.join(given) or 'nothing'}.",
            "Send a file or an upload, or for a container the name of an image.", "artifact",
        )  # fmt: skip
    if image and kind != SubmissionKind.CONTAINER:
        raise UserError(f"A submission of kind {kind} is a file, not an image.", "Send a file.", "artifact")
    if image and not _IMAGE.fullmatch(image):
        raise UserError(
            f"{image[:100]!r} does not say which image by its digest.",
            "Write HOST/COMPETITION/YOU/NAME@sha256:… as `touchstone image push` prints it; a tag may be moved.",
            "image",
        )


def _check_counts(
    user: User, participation: Participation, phase: Phase, kind: str, image: str, *, lock: bool = False
) -> None:
    """Whether one more may be sent, and checked. `lock`: as `check_allowed` has it."""
    from touchstone.registry.names import reference_parse  # as above

    _check_quota(quota(participation=participation, phase=phase), phase)
    if not image or reference_parse(image=image) is not None:  # a check does not look at a node's own images
        check_allowed(user=user, kind=kind, lock=lock)


def _check_quota(used: Quota, phase: Phase) -> None:
    if used.total is not None and used.used_total >= used.total:
        raise QuotaExceeded(
            f"You have used all {used.total} submissions of the phase {phase.slug}.",
            "There are no more in this phase. Failures of the platform were not counted.",
        )
    if used.per_day is not None and used.used_today >= used.per_day:
        raise QuotaExceeded(
            f"You have used all {used.per_day} submissions of today in the phase {phase.slug}.",
            f"The next day begins at {_at(used.resets_at)}.", reset_at=used.resets_at,
        )  # fmt: skip
    if used.failures_per_day is not None and used.failed_today >= used.failures_per_day:
        raise QuotaExceeded(
            f"{used.failed_today} of your submissions of today failed in the phase {phase.slug}, as many as are "
            "allowed. They took none of your quota.",
            f"See why they failed, and try the next on data that you can download; a new day begins at "
            f"{_at(used.resets_at)}.", reset_at=used.resets_at,
        )  # fmt: skip


def _store(user: User, upload: Upload | None, file: File[Any] | None, limit: int) -> BlobInfo | None:
    if upload is not None:
        if upload.user_id != user.pk:
            raise NotAllowed("This upload is not yours.", "Upload the file yourself.")
        if upload.completed_at is None:
            raise Conflict(
                "The upload is not complete.", "Send the missing parts and complete it.", "upload_incomplete"
            )
        info = BlobInfo(upload.sha256, upload.size)
    elif file is not None:
        info = blob_put(file=file, limit=limit)
    else:
        return None
    if info.size > limit:
        raise TooLarge(f"The file has {info.size} bytes; this competition accepts {limit}.", "Send a smaller file.")
    if info.size == 0:
        raise UserError("The file is empty.", "Check the path, and send a file that holds something.", "empty")
    return info


def _files(kind: str, blob: BlobInfo | None) -> list[dict[str, Any]]:
    """The stored file under a name of ours: what a user called it reaches no path."""
    if blob is None:
        return []
    return [{"name": _name(kind, blob.sha256), "sha256": blob.sha256, "size": blob.size}]


def _name(kind: str, sha256: str) -> str:
    if kind != SubmissionKind.PREDICTIONS:
        return {"model": "model.onnx", "code": "code.zip", "container": "image.tar"}[kind]
    with blob_open(sha256=sha256) as stored:
        return "predictions.parquet" if stored.read(4) == b"PAR1" else "predictions.csv"
