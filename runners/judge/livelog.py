"""What a submission writes, told while it runs: increments about once a second, and never more than its limit.

Engines tell the last bytes of a log only. Two looks at it are two windows on one stream, so what is new is what
follows the part they share. Of a flood the first and the last part are kept, and how much was cut is said.
"""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Callable

import structlog

from runners.errors import RetryableError

log = structlog.get_logger(__name__)

Read = Callable[[], bytes]
#: Text that was not told before, and whether it was written before any secret input was met.
Tell = Callable[[str, bool], None]

_PAUSE_S = 1.0
#: A look may cost this share of the judge's time at most: of a long log it takes milliseconds.
_MOST_SHARE = 0.05
_PIECE = 2**16
_ANCHOR = 256
#: A log that repeats itself fits in many places. Trying them all would let it keep the judge busy.
_MOST_TRIES = 32


def new_bytes(before: bytes, now: bytes) -> tuple[bytes, bool]:
    """What `now` has beyond `before`, both the last bytes of one log; and whether something between them was missed."""
    if not before:
        return now, False
    if now.startswith(before):
        return now[len(before) :], False
    anchor = before[-_ANCHOR:]
    end = len(now)
    for _ in range(_MOST_TRIES):
        found = now.rfind(anchor, 0, end)
        if found < 0:
            break
        if before.endswith(now[: found + len(anchor)][-len(before) :]):
            return now[found + len(anchor) :], False
        end = found + len(anchor) - 1
    return now, True


class _Part:
    """One part of the log within its own limit: the first three quarters at once, the last quarter at its end."""

    def __init__(self, limit: int) -> None:
        self._tail_limit = limit // 4
        self._room = limit - self._tail_limit
        self._tail = b""
        self._cut = 0
        self._kept: list[bytes] = []
        self._missed = False

    def take(self, data: bytes) -> bytes:
        """Add `data`; the piece of it that is told now."""
        head, rest = data[: self._room], data[self._room :]
        self._room -= len(head)
        self._kept.append(head)
        joined = self._tail + rest
        self._tail = joined[len(joined) - self._tail_limit :] if len(joined) > self._tail_limit else joined
        self._cut += len(joined) - len(self._tail)
        return head

    def miss(self) -> None:
        """An unknown number of bytes passed by between two looks."""
        self._missed = True

    def end(self) -> bytes:
        """What is still to be told."""
        if self._cut or self._missed:
            least = "at least " if self._missed else ""
            last = f"\n[platform] {least}{self._cut} bytes of the log were cut here\n".encode() + self._tail
        else:
            last = self._tail
        self._kept.append(last)
        self._tail = b""
        return last

    @property
    def whole(self) -> bytes:
        return b"".join(self._kept) + self._tail

    @property
    def complete(self) -> bool:
        return not (self._cut or self._missed)


class LiveLog:
    """Follows one submission's log in a thread. `limit` in bytes is kept by the public and the other part together."""

    def __init__(self, tell: Tell, *, limit: int) -> None:
        self._tell = tell
        self._limit = limit
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._read: Read | None = None
        self._before = b""
        self._held = b""
        self._public = True
        self._parts = [_Part(limit // 2)]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def watch(self, read: Read) -> None:
        """Follow this log from now on; one that was followed before (of a sandbox that is gone) is left."""
        with self._lock:
            self._read, self._before = read, b""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="live-log", daemon=True)
            self._thread.start()

    def end_of_public(self) -> str:
        """From here on secret inputs may be met. Returns what was written until now."""
        with self._lock:
            self._look()
            self._finish()
            before = sum(len(part.whole) for part in self._parts)
            self._public = False
            self._parts.append(_Part(max(0, self._limit - before)))
            return text(self._parts[0].whole)

    def end(self) -> None:
        """Tell the rest and stop. Safe to repeat."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._look()
            self._finish()

    def kept(self, last: bytes) -> bytes:
        """The whole log within the limit, given its last bytes: those alone, unless its beginning is known too."""
        if all(part.complete for part in self._parts):
            return last
        return b"".join(part.whole for part in self._parts) if len(self._parts[-1].whole) else last

    @property
    def public(self) -> str | None:
        """What was written before secret inputs were met; None while that goes on."""
        return None if self._public else text(self._parts[0].whole)

    def _follow(self) -> None:
        pause = _PAUSE_S
        while not self._stop.wait(pause):
            started = time.monotonic()
            try:
                with self._lock:
                    self._look()
            except Exception as error:  # a log is not worth a run: it comes whole with the result
                log.error("live log ended", error=f"{type(error).__name__}: {error}")
                return
            pause = max(_PAUSE_S, (time.monotonic() - started) / _MOST_SHARE)

    def _look(self) -> None:
        if self._read is None:
            return
        try:
            now = self._read()
        except RetryableError as error:
            log.warning("log not read this time", error=error.message)
            return
        fresh, missed = new_bytes(self._before, now)
        self._before = now
        if missed:
            self._parts[-1].miss()
        self._send(self._parts[-1].take(fresh), last=not fresh)

    def _finish(self) -> None:
        self._send(self._parts[-1].end(), last=True)

    def _send(self, data: bytes, *, last: bool) -> None:
        """Tell whole lines; half a line waits for one more look."""
        data = self._held + data
        cut = len(data) if last else data.rfind(b"\n") + 1
        data, self._held = data[:cut], data[cut:]
        for start in range(0, len(data), _PIECE):
            piece = self._decoder.decode(data[start : start + _PIECE]).replace("\x00", "\ufffd")
            if piece:
                self._tell(piece, self._public)


def text(data: bytes) -> str:
    """The server keeps a log as text, where a NUL has no place."""
    return data.decode("utf-8", "replace").replace("\x00", "\ufffd")
