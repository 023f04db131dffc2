"""Reading exports: who may see which, and how large one would be."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import Viewer, is_organiser
from touchstone.competitions.writer import competition_entries
from touchstone.core.clock import now
from touchstone.core.errors import NotFound
from touchstone.core.jobs import JobState
from touchstone.exports.models import Export
from touchstone.submissions.dashboard import stored_bytes

FOLDER = "exports"


@dataclass(frozen=True)
class ExportSizes:
    """Bytes of the bundle, and of the files that participants sent."""

    bundle: int
    artifacts: int


def exports_visible(*, user: Viewer, competition: Competition) -> QuerySet[Export]:
    """The exports of a competition, for its organisers; none for anybody else."""
    if not is_organiser(user=user, competition=competition):
        return Export.objects.none()
    return Export.objects.filter(competition=competition).select_related("asked_by")


def export_latest(*, user: Viewer, competition: Competition) -> Export | None:
    """The last that was asked for and has not expired."""
    return exports_visible(user=user, competition=competition).exclude(expires_at__lte=now()).first()


def export_file(*, user: Viewer, competition: Competition, id: UUID) -> Export:  # noqa: A002 - as in the address
    """An export whose file is there. Raises `NotFound`: foreign, missing, unfinished and expired alike."""
    found = exports_visible(user=user, competition=competition)
    row = found.filter(pk=id, state=JobState.DONE, expires_at__gt=now()).first()
    if row is None:
        raise NotFound(_("There is no such file, or it has expired."), _("Ask for another one on the page Export."))
    return row


def export_sizes(*, competition: Competition) -> ExportSizes:
    """How large the two large parts of an export are. The caller has made sure that an organiser asks."""
    bundle = sum(entry.size for entry in competition_entries(competition=competition))
    return ExportSizes(bundle, stored_bytes(competition=competition))


def export_path(*, export: Export) -> str:
    """Where its file is stored."""
    return f"{FOLDER}/{export.pk}.zip"
