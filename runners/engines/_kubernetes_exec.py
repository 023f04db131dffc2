"""A program in a container, with its standard streams, over the API server's websocket (`v5.channel.k8s.io`, or v4)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

from runners.engines._kubernetes_api import Api
from runners.engines._kubernetes_settings import Settings
from runners.errors import RetryableError

_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_CHUNK = 64 * 1024
_SECONDS = 20.0
_MOST_WORDS = 4096


class ExecError(OSError):
    """The stream ended, or the program failed; the text says what it wrote to standard error."""


class Exec:
    """Starts `command` in a container of a pod. Raises `RetryableError` where that cannot be."""

    def __init__(self, api: Api, settings: Settings, pod: str, container: str, command: list[str]) -> None:
        connect, failures = _library()
        query = [("container", container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        query += [("command", part) for part in command]
        url = "ws" + settings.url.removeprefix("http") + f"{api.path('pods', pod)}/exec?{urlencode(query)}"
        self._stack = ExitStack()
        try:
            self._socket = self._stack.enter_context(connect(
                url, subprotocols=list(_PROTOCOLS), additional_headers=api.headers(), open_timeout=_SECONDS,
                compression=None, max_size=16 * 2**20, proxy=None,
                **({"ssl": api.tls} if url.startswith("wss:") and api.tls is not True else {}),
            ))  # fmt: skip
        except (OSError, failures) as error:
            raise RetryableError(f"Kubernetes does not exec into {pod}: {error}", code="engine_start") from error
        self._failures = failures
        self._kept = bytearray()
        self._words = b""
        self._status: dict[str, Any] | None = None
        self._reading = threading.Lock()

    def write(self, data: bytes) -> None:
        """To its standard input. Raises `OSError`."""
        try:
            for start in range(0, len(data), _CHUNK):
                self._socket.send(bytes([_STDIN]) + data[start : start + _CHUNK])
        except self._failures as error:
            raise ExecError(f"the connection to the container ended: {error}") from error

    def end_input(self) -> None:
        """Close its standard input, where the server can."""
        if self._socket.subprotocol == _PROTOCOLS[0]:
            try:
                self._socket.send(bytes([_CLOSE, _STDIN]))
            except self._failures as error:
                raise ExecError(f"the connection to the container ended: {error}") from error

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes of its standard output. Raises `OSError` once it has ended."""
        with self._reading:
            while len(self._kept) < count:
                if not self._next(None):
                    raise ExecError(f"the program in the container ended: {self.words()}")
            data = bytes(self._kept[:count])
            del self._kept[:count]
            return data

    def wait(self, seconds: float) -> None:
        """Until it ends well. Raises `OSError` where it fails, or does not end in time."""
        with self._reading:
            while self._status is None:
                if not self._next(seconds):
                    break
        if (self._status or {}).get("status") != "Success":
            raise ExecError(f"the program in the container failed: {self.words()}")

    def words(self) -> str:
        """What it wrote to standard error, and how it ended."""
        status = (self._status or {}).get("message", "")
        return " ".join(f"{status} {self._words.decode('utf-8', 'replace')}".split())[-600:] or "no message"

    def close(self) -> None:
        """Hang up: the program's input ends, and so does it. Safe to repeat."""
        self._stack.close()

    def _next(self, seconds: float | None) -> bool:
        """Take one message; False once there are no more."""
        try:
            message = self._socket.recv(seconds)
        except TimeoutError as error:
            raise ExecError(f"the program in the container did not end in {seconds:g} s") from error
        except self._failures:
            return False
        if not isinstance(message, bytes) or not message:
            return True
        channel, data = message[0], message[1:]
        if channel == _STDOUT:
            self._kept += data
        elif channel == _STDERR:
            self._words = (self._words + data)[-_MOST_WORDS:]
        elif channel == _STATUS:
            self._status = json.loads(data)
        return True


def _library() -> tuple[Callable[..., Any], type[Exception]]:
    """The optional package, where it is installed."""
    try:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect
    except ImportError as error:
        text = "the Kubernetes engine needs the package websockets: pip install 'touchstone[kubernetes]'"
        raise RetryableError(text, code="engine_missing") from error
    return connect, WebSocketException
