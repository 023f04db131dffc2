"""Asking for everything of a competition, making it, and letting it go again."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

import structlog
from django.core.files import File
from django.db import transaction
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import is_organiser
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound
from touchstone.core.jobs import UNDER_WAY, JobState, job_end, job_fresh, job_renew, job_take, jobs_stuck
from touchstone.core.storage import CHUNK, storage_delete, storage_files, storage_save
from touchstone.core.tasks import enqueue
from touchstone.exports.archive import archive_write
from touchstone.exports.contents import contents
from touchstone.exports.models import Export
from touchstone.exports.selectors import FOLDER, export_path, export_sizes

log = structlog.get_logger(__name__)

TASK = "touchstone.export_run"
#: How long a file is kept.
KEPT = timedelta(hours=24)
#: Who makes one says this often that it is still at it. A large table is made whole before its first byte.
_LEASE_SECONDS = 600
_SAY_SECONDS = 2.0
#: Storing the file says nothing on its way; slower than this no storage is.
_STORED_BYTES_PER_SECOND = 4 * 2**20


class _Lost(Exception):
    """Another process has taken the job over."""


def export_ask(*, competition: Competition, user: User, artifacts: bool) -> Export:
    """Have everything of a competition put into one file. Raises `NotFound`, and `Conflict` while one is being made."""
    if not is_organiser(user=user, competition=competition):
        raise NotFound(_("There is no such export."), _("Organisers can export a competition; ask one of them."))
    with transaction.atomic():
        row = Competition.objects.select_for_update(no_key=True).get(pk=competition.pk)
        if Export.objects.filter(competition=row, state__in=UNDER_WAY).exists():
            raise Conflict(
                _("An export is being made."), _("Wait until it is there; the page shows how far it is."), "exporting"
            )
        sizes = export_sizes(competition=row)
        total = sizes.bundle + (sizes.artifacts if artifacts else 0)
        made = Export.objects.create(competition=row, asked_by=user, artifacts=artifacts, total=total, **job_fresh())
        audit_append(
            actor=user, act="competition.export_everything", subject=f"competition:{row.slug}",
            data={"export": str(made.pk), "artifacts": artifacts},
        )  # fmt: skip
        enqueue(TASK, str(made.pk))
    return made


def export_run(*, export_id: UUID | str) -> None:
    """Make the file of an export that waits. Safe to repeat: a second one finds nothing to do."""
    rows = Export.objects.filter(pk=export_id)
    lease = job_take(rows, seconds=_LEASE_SECONDS)
    if lease is None:
        return
    export = rows.select_related("competition", "asked_by").get()
    if export.asked_by is None or not is_organiser(user=export.asked_by, competition=export.competition):
        text = "Whoever asked for it does not organise the competition any more."
        job_end(rows, lease=lease, state=JobState.FAILED, message=text, hint="Ask for another one.")
        return
    keeper = _Keeper(export, lease)
    try:
        _make(export, keeper)
    except _Lost:
        log.warning("export.lost", export=str(export.pk))
    except Exception as error:
        log.exception("export.failed", export=str(export.pk), error=type(error).__name__)
        text = "The file could not be made: that is a fault of ours, or there was no room for it."
        job_end(rows, lease=keeper.lease, state=JobState.FAILED, message=text, hint="Try again, without the artifacts.")


def exports_sweep() -> int:
    """Send again what was lost or left behind, and remove what has expired. Returns how many were sent again."""
    stuck = jobs_stuck(
        Export.objects.all(), message="The file could not be made: the process that made it ended three times.",
        hint="Try again, without the artifacts.",
    )  # fmt: skip
    keys = list(stuck.values_list("pk", flat=True)[:100])
    for key in keys:
        enqueue(TASK, str(key))
    for gone in Export.objects.filter(expires_at__lte=now())[:100]:
        storage_delete(name=export_path(export=gone))
        gone.delete()
    Export.objects.filter(state=JobState.FAILED, finished_at__lt=now() - KEPT).delete()
    _orphans_delete()
    return len(keys)


def _orphans_delete() -> None:
    """Remove files that no export names: it went with its competition, or failed after the file was stored.

    They hold hidden labels. The row is there before the file is, so a file without one is never about to be named.
    """
    found: dict[UUID, str] = {}
    for name in storage_files(folder=FOLDER):
        with contextlib.suppress(ValueError):  # one that is being written has another name
            found[UUID(name.removesuffix(".zip"))] = name
    live = Export.objects.filter(pk__in=found).exclude(state=JobState.FAILED)
    for key in found.keys() - set(live.values_list("pk", flat=True)):
        storage_delete(name=f"{FOLDER}/{found[key]}")


class _Keeper:
    """Keeps the lease of an export while bytes are written, and says how far it is."""

    def __init__(self, export: Export, lease: datetime) -> None:
        self.rows = Export.objects.filter(pk=export.pk)
        self.lease = lease
        self.total = export.total
        self._done = 0
        self._said = time.monotonic()

    def wrote(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._said < _SAY_SECONDS:
            return
        self._said = time.monotonic()
        # Tables are counted too, which nobody knew before: it never says that all is done before it is.
        done = min(self._done, max(0, self.total - 1))
        self.hold(_LEASE_SECONDS, done=done)

    def hold(self, seconds: float, **fields: int) -> None:
        """Keep it for so long from now on. Raises `_Lost`."""
        renewed = job_renew(self.rows, lease=self.lease, seconds=seconds, **fields)
        if renewed is None:
            raise _Lost
        self.lease = renewed


def _make(export: Export, keeper: _Keeper) -> None:
    with tempfile.TemporaryDirectory(prefix="touchstone-export-") as folder:
        place = Path(folder) / "everything.zip"
        with place.open("wb") as target:
            archive_write(target=target, items=contents(export=export), wrote=keeper.wrote)
        # Nobody else may begin the same file meanwhile: both are stored under one name.
        keeper.hold(_LEASE_SECONDS + place.stat().st_size / _STORED_BYTES_PER_SECOND)
        with place.open("rb") as made:
            digest, size = _digest(made)
            made.seek(0)
            storage_save(name=export_path(export=export), file=File(made))
    fields = {"size": size, "sha256": digest, "expires_at": now() + KEPT, "done": export.total}
    job_end(keeper.rows, lease=keeper.lease, state=JobState.DONE, **fields)


def _digest(file: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size
