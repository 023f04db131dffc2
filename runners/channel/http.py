"""A strict HTTP/1.1 client over a connection that the other, hostile, side made.

Every read is measured against one deadline, so an answer sent byte by byte gains nothing; headers,
bodies and chunks have limits that are checked before memory is taken.
"""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass

from runners.channel.errors import AnswerTooLarge, ChannelClosed, ChannelTimeout, ProtocolError

HEADER_LIMIT = 16 * 1024
_BLOCK = 64 * 1024
_STATUS = re.compile(r"[1-9][0-9]{2}")


@dataclass(frozen=True)
class Answer:
    """Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: memoryview


class HttpConnection:
    """One connection. After any exception, and when `reusable` is false, it must be closed."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray()
        self.reusable = True

    def close(self) -> None:
        """Close the connection. Safe to repeat."""
        self._socket.close()

    def exchange(self, head: bytes, body: bytes, *, limit: int, deadline: float) -> Answer:
        """Send a request and read its answer, whose body may have `limit` bytes, before `deadline`.

        Raises `ChannelClosed`, `ChannelTimeout`, `ProtocolError` or `AnswerTooLarge`.
        """
        self._refuse_early_answer()
        self._send(head + body if len(body) < _BLOCK else head, deadline)
        if len(body) >= _BLOCK:
            self._send(body, deadline)
        status, headers = self._read_head(deadline)
        content = self._read_body(headers, limit, deadline)
        if headers.get("connection", "").lower() == "close":
            self.reusable = False
        return Answer(status, headers, content)

    def upgrade(self, path: str, protocol: str, *, limit: int, deadline: float) -> socket.socket | None:
        """Ask to speak `protocol` from now on; the socket to speak it on, or None where HTTP goes on.

        Raises as `exchange` does.
        """
        head = f"GET {path} HTTP/1.1\r\nHost: model\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
        self._refuse_early_answer()
        self._send(f"{head}Content-Length: 0\r\n\r\n".encode("latin-1"), deadline)
        status, headers = self._read_head(deadline)
        if status != 101:
            self._read_body(headers, limit, deadline)
            if headers.get("connection", "").lower() == "close":
                self.reusable = False
            return None
        if headers.get("upgrade", "").lower() != protocol:
            raise ProtocolError("the answer to an upgrade switches to another protocol")
        if self._buffer:
            raise ProtocolError(f"{len(self._buffer)} bytes came before anything was asked")
        return self._socket

    def _refuse_early_answer(self) -> None:
        """An answer before its question is no answer: it would be taken for one, and timed as one."""
        early = len(self._buffer)
        if not early:
            self._socket.settimeout(0)
            try:
                waiting = self._socket.recv(_BLOCK, socket.MSG_PEEK)
            except BlockingIOError:
                return
            except OSError as error:
                raise ChannelClosed("the submission closed the connection") from error
            if not waiting:
                raise ChannelClosed("the submission closed the connection without an answer")
            early = len(waiting)
        raise ProtocolError(f"{early} bytes came before anything was asked")

    def _send(self, data: bytes, deadline: float) -> None:
        self._arm(deadline)
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise ChannelTimeout("the submission did not take the request in time") from error
        except OSError as error:
            raise ChannelClosed("the submission closed the connection") from error

    def _arm(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ChannelTimeout("the time is over")
        self._socket.settimeout(left)

    def _receive(self, deadline: float, *, midway: bool) -> bytes:
        self._arm(deadline)
        try:
            data = self._socket.recv(_BLOCK)
        except TimeoutError as error:
            raise ChannelTimeout("no complete answer came in time") from error
        except OSError as error:
            raise ChannelClosed("the submission closed the connection", midway=midway) from error
        if not data:
            where = "in the middle of an answer" if midway else "without an answer"
            raise ChannelClosed(f"the submission closed the connection {where}", midway=midway)
        return data

    def _read_until(self, mark: bytes, limit: int, what: str, deadline: float, *, begun: bool) -> bytes:
        start = 0
        while (end := self._buffer.find(mark, start)) < 0:
            if len(self._buffer) > limit:
                raise AnswerTooLarge(f"the {what} of the answer is longer than {limit} bytes")
            start = max(0, len(self._buffer) - len(mark) + 1)
            self._buffer += self._receive(deadline, midway=begun or bool(self._buffer))
        part = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return part

    def _read_head(self, deadline: float) -> tuple[int, dict[str, str]]:
        lines = (
            self._read_until(b"\r\n\r\n", HEADER_LIMIT, "header", deadline, begun=False).decode("latin-1").split("\r\n")
        )
        parts = lines[0].split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not _STATUS.fullmatch(parts[1]):
            raise ProtocolError(
                "the answer does not begin with an HTTP status line", detail=f"it begins with {lines[0][:80]!r}"
            )
        headers: dict[str, str] = {}
        for line in lines[1:]:
            key, colon, value = line.partition(":")
            name = key.strip().lower()
            if not colon or (name in headers and name in {"content-length", "inference-header-content-length"}):
                raise ProtocolError("the answer has a wrong or doubled header line", detail=repr(line[:80]))
            headers[name] = value.strip()
        if parts[0] == "HTTP/1.0" and headers.get("connection", "").lower() != "keep-alive":
            self.reusable = False
        return int(parts[1]), headers

    def _read_body(self, headers: dict[str, str], limit: int, deadline: float) -> memoryview:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._read_chunks(limit, deadline)
        length = headers.get("content-length")
        if length is None:
            raise ProtocolError("the answer has no Content-Length")
        return self._read_exactly(_number(length, 10), limit, deadline)

    def _read_exactly(self, size: int, limit: int, deadline: float) -> memoryview:
        if size > limit:
            raise AnswerTooLarge(f"the answer has {size} bytes, a correct one has at most {limit}")
        while len(self._buffer) < size:
            self._buffer += self._receive(deadline, midway=True)
        part = bytes(self._buffer[:size])
        del self._buffer[:size]
        return memoryview(part)

    def _read_chunks(self, limit: int, deadline: float) -> memoryview:
        whole = bytearray()
        while True:
            line = self._read_until(b"\r\n", HEADER_LIMIT, "chunk header", deadline, begun=True)
            size = _number(line.split(b";")[0].decode("latin-1").strip(), 16)
            if size == 0:
                while self._read_until(b"\r\n", HEADER_LIMIT, "trailer", deadline, begun=True):
                    continue
                return memoryview(bytes(whole))
            whole += self._read_exactly(size, limit - len(whole), deadline)
            if bytes(self._read_exactly(2, 2, deadline)) != b"\r\n":
                raise ProtocolError("a chunk of the answer does not end where its size says")


def _number(text: str, base: int) -> int:
    try:
        if not text or text[0] in "+-" or "_" in text or len(text) > 16:
            raise ValueError(text)
        return int(text, base)
    except ValueError:
        raise ProtocolError("the answer gives a length that is no number", detail=repr(text[:40])) from None
