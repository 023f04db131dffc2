"""Server-sent events: how many one process serves at once, and what a stream looks like on the wire.

A stream holds a thread of the server for up to a minute, so a process serves few of them: pages come first.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from touchstone.core.errors import TooBusy

CONTENT_TYPE = "text/event-stream"
HEARTBEAT = ": still here\n\n"

_lock = threading.Lock()
_open: Counter[str] = Counter()


def streams_open() -> int:
    """How many streams this process serves now."""
    with _lock:
        return _open.total()


def message(*, event: str, data: Mapping[str, Any], id: str = "") -> str:  # noqa: A002 - the name of the field
    """One event. JSON has no raw line ends, so `data` is one line."""
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


class Stream:
    """An iterator of texts that counts as one open stream of `owner` until it is closed.

    Raises `TooBusy` where the process, or this person in it, has as many as are allowed.
    """

    def __init__(self, source: Iterator[str], *, owner: str) -> None:
        self._source = source
        self._owner = owner
        self._closed = False
        with _lock:
            if _open.total() >= settings.TOUCHSTONE_STREAMS:
                raise TooBusy(
                    _("The server follows as many runs live as it can at the moment."), str(_HINT), "streams_busy"
                )
            if _open[owner] >= settings.TOUCHSTONE_STREAMS_PER_USER:
                text = _("You follow %(n)s runs live already.") % {"n": _open[owner]}
                raise TooBusy(text, _("Close one of them. %(hint)s") % {"hint": str(_HINT)}, "streams_busy")
            _open[owner] += 1

    def __iter__(self) -> Iterator[bytes]:
        try:
            for text in self._source:
                yield text.encode("utf-8", "replace")
        finally:
            self.close()

    def close(self) -> None:
        """Called by the server when the answer ends, in whatever way. Safe to repeat."""
        with _lock:
            if not self._closed:
                self._closed = True
                _open[self._owner] -= 1
                if not _open[self._owner]:
                    del _open[self._owner]


_HINT = gettext_lazy("Try again in a few seconds, or ask for its events every now and then instead.")
