"""Several connections over one stream of bytes: a container is reached by its standard input and output alone.

A frame is the number of a connection, what happens to it, and how many bytes follow. The side of the sandbox opens
connections, the side of the judge dials its socket for each.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

_HEAD = struct.Struct("!IBI")
_OPEN, _DATA, _SHUT, _RESET = range(4)
_CHUNK = 128 * 1024
_MOST_AT_ONCE = 64

Read = Callable[[int], bytes]
Write = Callable[[bytes], None]
#: Told a new connection, gives the socket that it is joined with. Raises `OSError`.
Dial = Callable[[], socket.socket]


class Mux:
    """`read(n)` gives exactly n bytes and `write` takes all of them; both raise `OSError` once the stream ended.

    One slow connection holds the others up: all of them belong to the same submission.
    """

    def __init__(self, read: Read, write: Write, *, dial: Dial | None = None) -> None:
        self._read = read
        self._write = write
        self._dial = dial
        self._sockets: dict[int, socket.socket] = {}
        self._half: set[int] = set()
        self._pumped: set[int] = set()
        self._over = False
        self._next = 1
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def add(self, connection: socket.socket) -> None:
        """Carry a connection to the other side."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            if self._over or len(self._sockets) >= _MOST_AT_ONCE:
                connection.close()
                return
            self._sockets[number] = connection
        self._send(number, _OPEN)
        self._pump(number, connection)

    def serve(self) -> None:
        """Carry what comes until the stream ends. Raises the stream's `OSError`."""
        try:
            while True:
                number, kind, length = _HEAD.unpack(self._read(_HEAD.size))
                if length > _CHUNK or kind > _RESET:
                    raise OSError("the stream does not hold frames of the channel")
                self._take(number, kind, self._read(length) if length else b"")
        finally:
            self._end()

    def _end(self) -> None:
        """Hang up on everybody. A socket that a thread reads is closed by that thread, all others here."""
        with self._lock:
            self._over = True
            pumped = [connection for number, connection in self._sockets.items() if number in self._pumped]
            others = [number for number in self._sockets if number not in self._pumped]
        for connection in pumped:
            _hang_up(connection)
        for number in others:
            self._forget(number)

    def _take(self, number: int, kind: int, data: bytes) -> None:
        if kind == _OPEN:
            self._open(number)
            return
        with self._lock:
            connection = self._sockets.get(number)
        if connection is None:
            return  # it ended here already
        try:
            if kind == _DATA:
                connection.sendall(data)
            elif kind == _SHUT:
                connection.shutdown(socket.SHUT_WR)
                self._one_way_less(number)
            else:
                _hang_up(connection)
        except OSError:  # it hung up: the other side is told
            _hang_up(connection)
            self._send(number, _RESET)

    def _open(self, number: int) -> None:
        if self._dial is None:
            raise OSError("the judge opened a connection, which only a sandbox does")
        try:
            connection = self._dial()
        except OSError:  # the judge listens no more
            self._send(number, _RESET)
            return
        with self._lock:
            self._sockets[number] = connection
        self._pump(number, connection)

    def _pump(self, number: int, connection: socket.socket) -> None:
        def run() -> None:
            try:
                while data := connection.recv(_CHUNK):
                    self._send(number, _DATA, data)
                self._send(number, _SHUT)
                self._one_way_less(number)
            except OSError:  # the connection or the whole stream broke
                self._forget(number)
            with self._lock:
                self._pumped.discard(number)
                over = self._over
            if over:
                self._forget(number)

        with self._lock:
            self._pumped.add(number)
        threading.Thread(target=run, daemon=True).start()

    def _one_way_less(self, number: int) -> None:
        with self._lock:
            last = number in self._half
            self._half.add(number)
        if last:
            self._forget(number)

    def _forget(self, number: int) -> None:
        with self._lock:
            connection = self._sockets.pop(number, None)
            self._half.discard(number)
        if connection is not None:
            connection.close()

    def _send(self, number: int, kind: int, data: bytes = b"") -> None:
        with self._writing:
            self._write(_HEAD.pack(number, kind, len(data)) + data)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is closed already
        return
