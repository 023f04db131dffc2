"""A small HTTP/1.1 server over one socket: keep-alive, Content-Length bodies. Standard library only.

`http.server` parses headers with the e-mail package, which costs more than a whole small
inference; attacks ask a model ten thousand times, so the parser here does only what is needed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from touchstone_client._reply import Reply, error_reply

HEADER_LIMIT = 32 * 1024
_REASONS = {
    101: "Switching Protocols", 200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
    500: "Internal Server Error",
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: memoryview


Handler = Callable[[Request], Reply]


class _Malformed(Exception):
    pass


class _Reader:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def head(self) -> bytes | None:
        """The bytes of the next request up to the blank line; None at the end of the stream."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > HEADER_LIMIT:
                raise _Malformed(f"headers are longer than {HEADER_LIMIT} bytes")
            data = self._connection.recv(65536)
            if not data:
                return None
            self._buffer += data
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        return head

    def rest(self) -> bytes:
        """What came after the last request."""
        rest, self._buffer = self._buffer, b""
        return rest

    def body(self, size: int) -> memoryview | None:
        """The next `size` bytes; None when the stream ends before."""
        if len(self._buffer) >= size:
            body, self._buffer = self._buffer[:size], self._buffer[size:]
            return memoryview(body)
        whole = bytearray(size)
        view = memoryview(whole)
        have = len(self._buffer)
        view[:have] = self._buffer
        self._buffer = b""
        while have < size:
            count = self._connection.recv_into(view[have:])
            if count == 0:
                return None
            have += count
        return view


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3:
        raise _Malformed(f"not a request line: {lines[0][:80]!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        key, _, value = line.partition(":")
        headers[key.strip().lower()] = value.strip()
    if "chunked" in headers.get("transfer-encoding", "").lower():
        raise _Malformed("a request needs Content-Length; chunked bodies are not supported")
    return parts[0], parts[1].partition("?")[0], headers


def _read(connection: socket.socket, reader: _Reader) -> Request | None:
    head = reader.head()
    if head is None:
        return None
    method, path, headers = _parse_head(head)
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise _Malformed(f"Content-Length is {length!r}")
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = reader.body(int(length))
    return None if body is None else Request(method, path, headers, body)


def _write(connection: socket.socket, reply: Reply, *, close: bool) -> None:
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Status')}"]
    if reply.status != 101:  # it has no body
        lines.append(f"Content-Length: {len(reply.body)}")
    lines += [f"{key}: {value}" for key, value in reply.headers]
    if close:
        lines.append("Connection: close")
    connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body)


def serve_connection(connection: socket.socket, handler: Handler) -> bool:
    """Answer requests on one connection.

    Returns true where the other side closed it or asked to, false where what came was no request; raises
    `ConnectionError` where the other side went away in the middle of an answer.
    """
    reader = _Reader(connection)
    while True:
        try:
            request = _read(connection, reader)
        except _Malformed as error:
            _write(connection, error_reply(str(error), 400), close=True)
            return False
        if request is None:
            return True
        reply = handler(request)
        close = reply.then is None and request.headers.get("connection", "").lower() == "close"
        _write(connection, reply, close=close)
        if reply.then is not None:
            return reply.then(connection, reader.rest())
        if close:
            return True
