"""What a run tells while it goes on: stages with their seconds, and progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import JsonValue

from runners.contract import RunEvent

#: Progress is told when it has moved by this share, or when it ends.
_STEP = 0.05


class Recorder:
    """Emits events, one at a time, and adds up the seconds of each stage."""

    def __init__(self, emit: Callable[[RunEvent], None]) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._stage = ""
        self._told: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    @property
    def current(self) -> str:
        """The stage that began last."""
        return self._stage

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Tell that a stage begins; its seconds count even where it fails. A repeated stage adds up."""
        self._stage = name
        self._send("stage", name, {"stage": name})
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 4)

    def progress(self, message: str, share: float) -> None:
        """Tell how far the current stage is; `share` is from 0 to 1. Small steps are not told."""
        key, share = f"{self._stage} {message}", min(1.0, max(0.0, share))
        last = self._told.get(key)
        if last is not None and share - last < _STEP and not (share == 1.0 and last < 1.0):
            return
        self._told[key] = share
        self._send("progress", message, {"stage": self._stage, "share": round(share, 4)})

    def note(self, message: str, data: dict[str, JsonValue] | None = None) -> None:
        """Tell something worth keeping in the run's history."""
        self._send("note", message, data or {})

    def log(self, text: str, public: bool) -> None:
        """Tell what the submission wrote. `public`: before it met any secret input. Called from another thread."""
        self._send("log", text, {"public": public})

    def _send(self, kind: str, message: str, data: dict[str, JsonValue]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = RunEvent.model_validate({"at": at, "kind": kind, "message": message, "data": data})
        with self._lock:
            self._emit(event)
