"""The framed form of the protocol over a connection that the other, hostile, side made.

A frame is a prefix of fixed size, a head (the JSON of the binary tensor extension) and the tensors' bytes,
all little-endian; docs/protocol.md has the layout. Every read is measured against one deadline. Sizes are
checked against what a correct answer has before anything is read into memory of that size.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.channel.errors import AnswerTooLarge, ChannelClosed, ChannelTimeout, ProtocolError, ServerError
from runners.channel.oip import Expected, Layout, error_text, read_layout, reply_limit

EXTENSION = "touchstone_framed"
PROTOCOL = "touchstone-framed/1"
MAGIC = b"TSF1"
#: magic, kind, zero, status, number, bytes of the head, bytes of the tensors
PREFIX = struct.Struct("<4sBBHIIQ")
_PREFIX_SIZE = PREFIX.size
ASK, ANSWER, ERROR = 1, 2, 3
HEAD_LIMIT = 64 * 1024
_BUFFER = PREFIX.size + HEAD_LIMIT + 64 * 1024
_NUMBERS = 512
_TIMEVAL = struct.Struct("@ll")
#: The longest wait in one system call; the deadline is looked at after each. Kept by the kernel, so that a
#: question whose deadline is further away costs two system calls and no more.
_SLICE = 1.0

Array = npt.NDArray[Any]


class FrameConnection:
    """One connection that has switched to frames. After any exception but `ServerError` it must be closed."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        self._socket = connection
        self._armed = 0.0
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._number = 0
        self._numbers: Iterator[tuple[int]] = iter(())
        # What the last answer's head said: heads repeat while the shapes do.
        self._known: tuple[bytes, int, Layout] | None = None
        self._outputs: Sequence[Expected] = ()
        self._limit = reply_limit(())

    def close(self) -> None:
        """Close the connection. Safe to repeat."""
        self._socket.close()

    def ask(
        self, head: bytes, tensors: Sequence[Array], outputs: Sequence[Expected], *, deadline: float
    ) -> dict[str, Array]:
        """Send a question of contiguous tensors; return the checked outputs by expected name.

        Raises `ServerError` where the submission answers an error, else `ChannelClosed`, `ChannelTimeout`,
        `ProtocolError` or `AnswerTooLarge`.
        """
        self._number = self._draw()
        size = 0
        for tensor in tensors:
            size += tensor.nbytes
        begin = PREFIX.pack(MAGIC, ASK, 0, 0, self._number, len(head), size) + head
        at_once = self._send([begin, *tensors], len(begin) + size, deadline)
        return self._receive(outputs, deadline, armed=at_once)

    def _draw(self) -> int:
        """A number that nobody can guess: an answer sent before its question has another one.

        It would be taken for the answer, and timed as one.
        """
        drawn = next(self._numbers, None)
        if drawn is None:
            self._numbers = struct.iter_unpack("<I", os.urandom(4 * _NUMBERS))
            return self._draw()
        return drawn[0]

    def _send(self, parts: list[Any], total: int, deadline: float) -> bool:
        """Send everything; whether one system call did it, so that the deadline was looked at just now."""
        sent = self._send_some(parts, deadline)
        if sent == total:
            return True
        waiting = [memoryview(part).cast("B") for part in parts if len(part)]
        while True:
            while waiting and sent >= len(waiting[0]):
                sent -= len(waiting.pop(0))
            if not waiting:
                return False
            waiting[0] = waiting[0][sent:]
            sent = self._send_some(waiting, deadline)

    def _send_some(self, parts: list[Any], deadline: float) -> int:
        self._arm(deadline, "the submission did not take the request in time")
        try:
            return self._socket.sendmsg(parts)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise ChannelClosed("the submission closed the connection") from error

    def _arm(self, deadline: float, late: str) -> None:
        """Let the next system call on the socket last until the deadline at most, and not longer than a slice."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise ChannelTimeout(late)
        if left < _SLICE or self._armed != _SLICE:
            self._armed = min(left, _SLICE)
            micros = int(self._armed * 1_000_000) + 1  # zero would mean for ever
            value = _TIMEVAL.pack(micros // 1_000_000, micros % 1_000_000)
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, value)

    def _some(self, target: memoryview, deadline: float, *, midway: bool, armed: bool = False) -> int:
        """Read what is there, at least one byte, into `target`."""
        while True:
            if not armed:
                self._arm(deadline, "no complete answer came in time")
            try:
                count = self._socket.recv_into(target)
            except BlockingIOError:
                armed = False
                continue
            except OSError as error:
                raise ChannelClosed("the submission closed the connection", midway=midway) from error
            if count == 0:
                where = "in the middle of an answer" if midway else "without an answer"
                raise ChannelClosed(f"the submission closed the connection {where}", midway=midway)
            return count

    def _receive(self, outputs: Sequence[Expected], deadline: float, *, armed: bool) -> dict[str, Array]:
        if outputs is not self._outputs:
            self._known, self._outputs, self._limit = None, outputs, reply_limit(outputs)
        have = self._some(self._view, deadline, midway=False, armed=armed)
        while have < _PREFIX_SIZE:
            have += self._some(self._view[have:], deadline, midway=True)
        kind, status, head_size, size = self._read_prefix()
        end = _PREFIX_SIZE + head_size
        while have < end:
            have += self._some(self._view[have:], deadline, midway=True)
        if have > end + size:
            raise ProtocolError(f"{have - end - size} bytes follow the answer")
        head = bytes(self._view[_PREFIX_SIZE:end])
        if kind == ERROR:
            raise ServerError(status, error_text(head))
        layout = self._layout(head, size, outputs)
        raw = self._read_tensors(end, have, size, deadline)
        found = {}
        for output in outputs:
            dtype, offset = layout[output.name]
            found[output.name] = np.frombuffer(raw, dtype, output.items, offset).reshape(output.shape)
        return found

    def _read_prefix(self) -> tuple[int, int, int, int]:
        """Kind, status, size of the head and size of the tensors."""
        magic, kind, zero, status, number, head, size = PREFIX.unpack_from(self._buffer)
        if magic != MAGIC or zero or kind not in (ANSWER, ERROR):
            begins = bytes(self._view[: PREFIX.size])
            raise ProtocolError("the answer does not begin with a frame's prefix", detail=f"it begins with {begins!r}")
        if number != self._number:
            raise ProtocolError("the answer's number is not the question's: it came late, or before it was asked")
        if head > HEAD_LIMIT:
            raise AnswerTooLarge(f"the head of the answer has {head} bytes, a correct one has at most {HEAD_LIMIT}")
        if size > self._limit:
            raise AnswerTooLarge(f"the answer has {size} bytes, a correct one has at most {self._limit}")
        if (kind == ERROR and (size or not 400 <= status <= 599)) or (kind == ANSWER and status):
            raise ProtocolError("the answer's status does not fit its kind")
        return kind, status, head, size

    def _layout(self, head: bytes, size: int, outputs: Sequence[Expected]) -> Layout:
        known = self._known
        if known is not None and known[0] == head and known[1] == size:
            return known[2]
        layout = read_layout(head, size, outputs)
        self._known = (head, size, layout)
        return layout

    def _read_tensors(self, start: int, have: int, size: int, deadline: float) -> Any:
        if have == start + size:
            return bytes(self._view[start:have])
        raw = np.empty(size, np.uint8)
        target = memoryview(raw.data)
        done = have - start
        target[:done] = self._view[start:have]
        while done < size:
            done += self._some(target[done:], deadline, midway=True)
        return raw
