"""The submissions of a competition as its organisers search them."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import Viewer, is_organiser
from touchstone.core.text import csv_safe
from touchstone.submissions.models import Submission

#: What a list is sorted by, and the field: each has a value in every row.
SORTS = {
    "submitted": "created_at", "participant": "participation__display_name", "phase": "phase__position",
    "kind": "kind", "state": "run__status",
}  # fmt: skip


@dataclass(frozen=True)
class SubmissionFilter:
    """What must hold of a submission; what is empty need not. `since` and `until` are days in UTC, both included."""

    phase: str = ""
    kind: str = ""
    status: str = ""
    verdict: str = ""
    participant: str = ""
    since: date | None = None
    until: date | None = None
    q: str = ""
    withdrawn: str = ""
    participation: int | None = None

    @property
    def is_empty(self) -> bool:
        return self == SubmissionFilter()


def submissions_search(*, user: Viewer, competition: Competition, wanted: SubmissionFilter) -> QuerySet[Submission]:
    """The submissions that `wanted` describes; for organisers, none for anybody else."""
    if not is_organiser(user=user, competition=competition):
        return Submission.objects.none()
    found = Submission.objects.filter(phase__competition=competition)
    exact = {
        "phase__slug": wanted.phase, "kind": wanted.kind, "run__status": wanted.status,
        "run__verdict": wanted.verdict, "participation": wanted.participation,
    }  # fmt: skip
    found = found.filter(**{name: value for name, value in exact.items() if value})
    if wanted.participant:
        found = found.filter(participation__display_name__icontains=wanted.participant)
    if wanted.since is not None:
        found = found.filter(created_at__gte=_midnight(wanted.since))
    if wanted.until is not None and wanted.until < date.max:  # there is no day after the last
        found = found.filter(created_at__lt=_midnight(wanted.until) + timedelta(days=1))
    if wanted.withdrawn:
        found = found.filter(withdrawn_at__isnull=wanted.withdrawn == "no")
    for word in wanted.q.split()[:10]:
        found = found.filter(_has(word))
    return found.select_related("phase__competition", "participation", "run").defer(
        "run__log", "run__sample_log", "phase__competition__source", "phase__competition__pages"
    )


def _has(word: str) -> Q:
    text = Q(name__icontains=word) | Q(message__icontains=word) | Q(run__message__icontains=word)
    try:
        return text | Q(pk=uuid.UUID(word))
    except ValueError:
        return text


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


_COLUMNS = (
    "id", "submitted_at", "participant", "phase", "kind", "name", "message", "status", "verdict", "code",
    "run_message", "finished_at", "withdrawn_at", "withdrawn_reason",
)  # fmt: skip


def submissions_csv(*, submissions: Iterable[Submission]) -> Iterator[str]:
    """Lines of a CSV, the header first."""
    yield _line(_COLUMNS)
    for each in submissions:
        run = each.run
        yield _line(
            (
                each.pk, each.created_at.isoformat(), each.participation.display_name, each.phase.slug, each.kind,
                each.name, each.message, run.status if run else "", run.verdict if run else "",
                run.code if run else "", run.message if run else "",
                run.finished_at.isoformat() if run and run.finished_at else "",
                each.withdrawn_at.isoformat() if each.withdrawn_at else "", each.withdrawn_reason,
            )
        )  # fmt: skip


def _line(values: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([csv_safe(value) for value in values])
    return buffer.getvalue()
