"""A run's history. Sequence numbers rise without a gap, for events are written under the lock of the run's row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Max

from touchstone.core.clock import now
from touchstone.core.text import clean, clean_json
from touchstone.evaluations.models import Run, RunEvent

#: Beyond these a run's history is cut: a submission must not fill our tables.
MAX_EVENTS = 5_000
MAX_MESSAGE = 4_000
MAX_LOG = 2**20


def event_add(
    *, run: Run, kind: str, message: str, data: Mapping[str, Any] | None = None, at: datetime | None = None
) -> RunEvent:
    """Add one event. The caller holds the lock of the run's row."""
    return RunEvent.objects.create(
        run=run,
        sequence=last_sequence(run=run) + 1,
        attempt=run.attempt,
        at=at or now(),
        kind=kind,
        message=clean(message, limit=MAX_MESSAGE),
        data=clean_json(dict(data or {})),
    )


def last_sequence(*, run: Run) -> int:
    """The number of the run's last event; 0 where there is none."""
    return RunEvent.objects.filter(run=run).aggregate(last=Max("sequence"))["last"] or 0
