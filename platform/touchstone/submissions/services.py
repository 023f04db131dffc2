"""Taking submissions in: every reason to refuse one, and the count of the quota under a lock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.files.base import File
from django.db import transaction
from django.utils.translation import gettext as _

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
from touchstone.submissions.endpoints import EndpointAccepted, EndpointGiven, endpoint_accept, endpoint_bind
from touchstone.submissions.models import Submission, Upload
from touchstone.submissions.selectors import Quota, quota
from touchstone.submissions.uploads import upload_complete, upload_create, upload_part_put

__all__ = ["submission_create", "upload_complete", "upload_create", "upload_part_put"]

#: An image by what it holds: a tag may be moved, and could be guessed by those whose image it is not.
_IMAGE = re.compile(r"^(?:[a-z0-9][a-z0-9._/:-]{0,227}@)?sha256:[0-9a-f]{64}$")
_KEY = re.compile(r"^[\x21-\x7e]{1,100}$")


@dataclass(frozen=True)
class _Artifact:
    """What was sent, stored: at most one file, the name of an image, or where an endpoint is."""

    blob: BlobInfo | None
    image: str
    endpoint: EndpointAccepted | None

    def fields(self, kind: str) -> dict[str, Any]:
        """Of the submission's row."""
        fields = {"kind": kind, "files": _files(kind, self.blob), "image": self.image}
        if self.endpoint is None:
            return fields
        return {**fields, "endpoint": self.endpoint.kept, "credential": self.endpoint.credential}


def submission_create(
    *,
    user: User,
    phase: Phase,
    kind: str,
    upload: Upload | None = None,
    file: File[Any] | None = None,
    image: str = "",
    endpoint: EndpointGiven | None = None,
    message: str = "",
    name: str = "",
    source: str = "api",
    idempotency_key: str = "",
    provenance: Mapping[str, str] | None = None,
) -> Submission:
    """Take a submission, create its run in the state received, and have it checked after the commit.

    Exactly one of `upload` (completed), `file`, for containers `image`, and `endpoint` says what is submitted. The same
    `idempotency_key` returns the submission that was made with it. Raises `UserError` and its kinds; nothing is
    created then, and nothing counted. `provenance`: the job of a CI service that sends it.
    """
    participation = participation_need(user=user, competition=phase.competition)
    known = _known(participation, idempotency_key, phase, kind)
    if known is not None:
        return known
    _check_window(phase, now())
    limit = _check_kind(phase, kind)
    _check_source(kind, upload, file, image, endpoint)
    elsewhere = endpoint_accept(user=user, given=endpoint) if endpoint is not None else None
    _check_counts(user, participation, phase, kind, image)  # before bytes are stored; again under the lock
    # Later than at import: the registry's app builds on this one.
    from touchstone.registry.services import image_accept

    image = image_accept(participation=participation, image=image) if image else ""
    artifact = _Artifact(_store(user, upload, file, limit), image, elsewhere)
    with transaction.atomic():
        # The row of the participation is the lock: two requests at once are counted one after the other.
        participation = Participation.objects.select_for_update(no_key=True).get(pk=participation.pk)
        known = _known(participation, idempotency_key, phase, kind)
        if known is not None:
            return known
        _check_window(phase, now())
        _check_counts(user, participation, phase, kind, image, lock=True)
        if elsewhere is not None:
            endpoint_bind(accepted=elsewhere)
        submission = Submission.objects.create(
            participation=participation, phase=phase, sent_by=user, **artifact.fields(kind), source=source,
            message=clean(message.strip(), limit=500), idempotency_key=idempotency_key,
            name=clean(name.strip(), limit=100), provenance=_shown(provenance),
        )  # fmt: skip
        _receive(submission, user)
    return submission


def _receive(submission: Submission, user: User) -> None:
    """Begin its run, and tell of it. The caller is in a transaction."""
    # Later than at import: the webhooks build on this app.
    from touchstone.hooks.events import submission_event

    phase, run = submission.phase, run_receive(submission=submission)
    submission_event(submission=submission, what="received", run=run)
    audit_append(
        actor=user, act="submission.create", subject=f"submission:{submission.pk}",
        data={
            "phase": f"{phase.competition.slug}/{phase.slug}", "kind": submission.kind, "files": submission.files,
            "image": submission.image, **({"endpoint": submission.endpoint} if submission.endpoint else {}),
        },
    )  # fmt: skip
    check_schedule(run_id=run.pk)


def _shown(provenance: Mapping[str, str] | None) -> dict[str, str]:
    """What is kept of a job: all but which trust let it in, for that is between the person and the site."""
    return {name: value for name, value in (provenance or {}).items() if name != "trust"}


def _known(participation: Participation, key: str, phase: Phase, kind: str) -> Submission | None:
    if not key:
        return None
    if not _KEY.fullmatch(key):
        raise UserError(
            _("The idempotency key is not 1 to 100 visible ASCII characters."), _("Send for example a UUID.")
        )
    found = (
        Submission.objects.filter(participation=participation, idempotency_key=key)
        .select_related("run", "phase")
        .first()
    )
    if found is not None and (found.phase_id, found.kind) != (phase.pk, kind):
        raise Conflict(
            _("The idempotency key %(key)r was used for another submission (%(found)s).")
            % {"key": key, "found": found.pk},
            _("Use a new key for each submission."),
        )
    return found


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _check_window(phase: Phase, moment: datetime) -> None:
    finalists = phase_finalists(phase=phase)
    if finalists is not None:
        raise UserError(
            _("The phase %(phase)s takes no submissions; it evaluates those chosen in %(source)s.")
            % {"phase": phase.slug, "source": finalists["phase"]},
            _("Submit to %(phase)s, and choose your finalists there.") % {"phase": finalists["phase"]},
            "phase_finalists",
        )
    phase.refresh_from_db(fields=["frozen_at", "frozen_reason"])
    if phase.frozen_at is not None:
        raise UserError(
            _("The organisers have frozen the phase %(phase)s: %(reason)s")
            % {"phase": phase.slug, "reason": phase.frozen_reason or _("no reason was given")},
            _("Nothing is taken until they let it go on; what you have sent stays."),
            "phase_frozen",
        )
    if moment < phase.opens:
        raise UserError(
            _("The phase %(phase)s opens at %(opens)s; it is %(moment)s now.")
            % {"phase": phase.slug, "opens": _at(phase.opens), "moment": _at(moment)},
            _("Submit after it has opened."),
            "phase_not_open",
        )
    if phase.closes is not None and moment >= phase.closes:
        raise UserError(
            _("The phase %(phase)s closed at %(closes)s; it is %(moment)s now.")
            % {"phase": phase.slug, "closes": _at(phase.closes), "moment": _at(moment)},
            _("See the phases page for one that is open."),
            "phase_closed",
        )


def _check_kind(phase: Phase, kind: str) -> int:
    """The most bytes an artifact may have. Raises `UserError` for a kind that is not accepted."""
    accepted = spec_of(competition=phase.competition).submission
    names = [k.value for k in accepted.kinds]
    if kind not in names:
        raise UserError(
            _("%(competition)s does not accept %(kind)r.") % {"competition": phase.competition.slug, "kind": kind},
            _("It accepts: %(names)s.") % {"names": ", ".join(names)},
            "kind",
        )
    return int(accepted.size)


def _check_source(
    kind: str, upload: Upload | None, file: File[Any] | None, image: str, endpoint: EndpointGiven | None
) -> None:
    sources = (("upload", upload), ("file", file), ("image", image), ("endpoint", endpoint))
    given = [name for name, value in sources if value]
    if (kind == SubmissionKind.ENDPOINT) != (endpoint is not None):
        raise UserError(
            _("A submission of kind endpoint is an address, and no other kind is."),
            _("Say where it is: `endpoint` with `url`, and with `credential` where it asks for one."), "artifact",
        )  # fmt: skip
    if len(given) != 1:
        raise UserError(
            _("A submission is one thing; this has %(value)s.") % {"value": ' and '.join(given) or 'nothing'},
            _("Send a file or an upload, or for a container the name of an image."), "artifact",
        )  # fmt: skip
    if image and kind != SubmissionKind.CONTAINER:
        raise UserError(
            _("A submission of kind %(kind)s is a file, not an image.") % {"kind": kind}, _("Send a file."), "artifact"
        )
    if image and not _IMAGE.fullmatch(image):
        raise UserError(
            _("%(image)r does not say which image by its digest.") % {"image": image[:100]},
            _("Write HOST/COMPETITION/YOU/NAME@sha256:… as `touchstone image push` prints it; a tag may be moved."),
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
            _("You have used all %(total)s submissions of the phase %(phase)s.")
            % {"total": used.total, "phase": phase.slug},
            _("There are no more in this phase. Failures of the platform were not counted."),
        )
    if used.per_day is not None and used.used_today >= used.per_day:
        raise QuotaExceeded(
            _("You have used all %(per_day)s submissions of today in the phase %(phase)s.")
            % {"per_day": used.per_day, "phase": phase.slug},
            _("The next day begins at %(resets_at)s.") % {"resets_at": _at(used.resets_at)},
            reset_at=used.resets_at,
        )
    if used.failures_per_day is not None and used.failed_today >= used.failures_per_day:
        raise QuotaExceeded(
            _("%(failed_today)s of your submissions of today failed in the phase %(phase)s, as many as "
"are allowed. They took none of your quota.") % {"failed_today": used.failed_today, "phase": phase.slug},
            _("See why they failed, and try the next on data that you can download; a new day begins "
"at %(resets_at)s.") % {"resets_at": _at(used.resets_at)}, reset_at=used.resets_at,
        )  # fmt: skip


def _store(user: User, upload: Upload | None, file: File[Any] | None, limit: int) -> BlobInfo | None:
    if upload is not None:
        if upload.user_id != user.pk:
            raise NotAllowed(_("This upload is not yours."), _("Upload the file yourself."))
        if upload.completed_at is None:
            raise Conflict(
                _("The upload is not complete."), _("Send the missing parts and complete it."), "upload_incomplete"
            )
        info = BlobInfo(upload.sha256, upload.size)
    elif file is not None:
        info = blob_put(file=file, limit=limit)
    else:
        return None
    if info.size > limit:
        raise TooLarge(
            _("The file has %(size)s bytes; this competition accepts %(limit)s.") % {"size": info.size, "limit": limit},
            _("Send a smaller file."),
        )
    if info.size == 0:
        raise UserError(_("The file is empty."), _("Check the path, and send a file that holds something."), "empty")
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
