"""A connection of `runners.outbound` whose reads and writes end with the exchange's time, drip by drip or not."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpcore


class TlsRefusal(Exception):
    """The handshake failed; the text says why."""


class Clock(threading.local):
    """The exchange that this thread has in hand: when it must end, and what its parts took."""

    def __init__(self) -> None:
        self.plain = False
        self.seconds: dict[str, float] = {}
        self._deadline = 0.0

    def start(self, seconds: float, *, plain: bool) -> None:
        """A new exchange with so much time; `plain`: without TLS."""
        self.plain, self.seconds = plain, {}
        self._deadline = time.monotonic() + seconds

    def left(self, timeout: float | None) -> float:
        """Seconds that a step may take: its own limit, and the exchange's. Raises `TimeoutError` at the end."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time of the whole exchange is over")
        return left if timeout is None else min(left, timeout)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Note how long a part took."""
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


class TimedStream(httpcore.NetworkStream):
    """A socket, with TLS or not."""

    def __init__(self, connection: socket.socket, clock: Clock) -> None:
        self._socket = connection
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Up to so many bytes; none at the end."""
        try:
            self._socket.settimeout(self._clock.left(timeout))
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout("no answer in time") from error
        except OSError as error:
            raise httpcore.ReadError(f"the connection broke: {error}") from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of the bytes."""
        rest = memoryview(buffer)
        try:
            while rest:
                self._socket.settimeout(self._clock.left(timeout))
                rest = rest[self._socket.send(rest) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout("the request was not taken in time") from error
        except OSError as error:
            raise httpcore.WriteError(f"the connection broke: {error}") from error

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted, to a server that proved its name."""
        try:
            with self._clock.measure("tls"):
                self._socket.settimeout(self._clock.left(timeout))
                return TimedStream(ssl_context.wrap_socket(self._socket, server_hostname=server_hostname), self._clock)
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout("the TLS handshake was not done in time") from error
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise TlsRefusal(f"its certificate is not valid for {server_hostname}: {error.verify_message}") from error
        except ssl.SSLError as error:
            self.close()
            raise TlsRefusal(f"the TLS handshake with {server_hostname} failed: {error.reason}") from error
        except OSError as error:
            self.close()
            raise httpcore.ConnectError(f"the connection broke in the TLS handshake: {error}") from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks of a connection."""
        if info == "ssl_object" and isinstance(self._socket, ssl.SSLSocket):
            return self._socket
        if info == "socket":
            return self._socket
        if info == "is_readable":
            return _is_readable(self._socket)
        return None


def _is_readable(connection: socket.socket) -> bool:
    """Whether a kept connection has something to read, or ended: then no request may be sent on it."""
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
