"""Following a run: what changed since a reader last looked, as it happens.

Each look asks the database anew and gives its connection back before the pause, so a reader who watches for a minute
costs a thread, but no connection.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connection

from touchstone.competitions.selectors import Viewer, is_organiser
from touchstone.core.streams import HEARTBEAT, message
from touchstone.evaluations.logs import LogPlace, log_place, logs_after
from touchstone.evaluations.models import Run, RunEvent, RunStatus
from touchstone.evaluations.queue_selectors import queue_position
from touchstone.evaluations.selectors import LogsShown, logs_shown, run_events
from touchstone.evaluations.state import FINAL

_PAUSE = 0.5
#: Ticks without news after which a comment is sent: so the server hears of a reader who is gone.
_QUIET = 10
_CHUNK = 2**16


@dataclass(frozen=True)
class Place:
    """How far a reader is: the last event, and how much of which logs. As text it is the id of each message."""

    event: int = 0
    logs: LogPlace = field(default_factory=LogPlace)

    def __str__(self) -> str:
        return f"{self.event}.{self.logs.epoch}.{self.logs.sample}.{self.logs.run}"

    @classmethod
    def read(cls, text: str) -> Place:
        """The place that `text` stands for; whatever is none of ours is the beginning."""
        parts = text.split(".")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
            return cls()
        event, epoch, sample, run = (int(part) for part in parts)
        return cls(event, LogPlace(epoch, sample, run))


def follow(*, run: Run, user: Viewer, place: Place, sleep: Any = time.sleep) -> Iterator[str]:
    """Messages about `run` from `place` on: `state`, `event`, `log`, and `end` when it has ended.

    Ends after `TOUCHSTONE_STREAM_SECONDS` at the latest; the reader connects again with the id of the last message.
    The caller has made sure that `user` may see the run.
    """
    until = time.monotonic() + settings.TOUCHSTONE_STREAM_SECONDS
    organiser = is_organiser(user=user, competition=run.submission.phase.competition)
    shown = logs_shown(run=run, user=user, organiser=organiser)
    told: dict[str, Any] = {}
    quiet = 0
    yield "retry: 1000\n\n"
    while True:
        news, told, place, final = _look(run, organiser, shown, told, place)
        if not connection.in_atomic_block:
            close_old_connections()
        yield from news
        if final or time.monotonic() >= until:
            return
        quiet = 0 if news else quiet + 1
        if quiet >= _QUIET:
            quiet = 0
            yield HEARTBEAT
        sleep(_PAUSE)


def _look(
    run: Run, organiser: bool, shown: LogsShown, told: dict[str, Any], place: Place
) -> tuple[list[str], dict[str, Any], Place, bool]:
    """What is new. The state is read first: an end that is told has all its events told before it."""
    present = _present(run)
    state = _state(present)
    news = [] if state == told else [message(event="state", data=state, id=str(place))]
    for event in run_events(run=run, user=None, after=place.event, organiser=organiser):
        place = Place(event.sequence, place.logs)
        news.append(message(event="event", data=_event(event), id=str(place)))
    place, logs = _logs(present, shown, place)
    news += logs
    if state["final"]:
        news.append(message(event="end", data=state, id=str(place)))
    return news, state, place, bool(state["final"])


def _present(run: Run) -> Run:
    """The row as it is now, without the logs, which are large: they are read where they changed."""
    return Run.objects.defer("log", "sample_log").get(pk=run.pk)


def _state(run: Run) -> dict[str, Any]:
    return {
        "status": str(run.status), "final": run.status in FINAL, "attempt": run.attempt, "verdict": run.verdict,
        "queue_position": queue_position(run=run) if run.status == RunStatus.QUEUED else None,
        "cancel_requested": run.cancel_requested,
    }  # fmt: skip


def _event(event: RunEvent) -> dict[str, Any]:
    return {
        "sequence": event.sequence, "attempt": event.attempt, "at": event.at.isoformat(), "kind": event.kind,
        "message": event.message, "data": event.data,
    }  # fmt: skip


def _logs(run: Run, shown: LogsShown, place: Place) -> tuple[Place, list[str]]:
    if log_place(run=run, sample=shown.sample, whole=shown.whole) == place.logs:
        return place, []
    # Texts and counts in one look: they belong together.
    read = Run.objects.only("log", "sample_log", "log_epoch", "log_end", "sample_end").get(pk=run.pk)
    pieces, logs = logs_after(run=read, place=place.logs, sample=shown.sample, whole=shown.whole)
    seen = place.logs if place.logs.epoch == read.log_epoch else LogPlace(read.log_epoch)
    news = []
    for piece in pieces:
        for start in range(0, max(1, len(piece.text)), _CHUNK):
            text = piece.text[start : start + _CHUNK]
            left = len(piece.text) - start - len(text)
            # Each chunk has a place of its own: who is cut off between two gets the second only.
            if piece.part == "sample":
                seen = replace(seen, sample=read.sample_end - left)
            else:
                seen = replace(seen, run=read.log_end - left)
            data = {"part": piece.part, "text": text, "anew": piece.anew and start == 0}
            news.append(message(event="log", data=data, id=str(Place(place.event, seen))))
    return Place(place.event, logs), news
