"""Asks a sandboxed submission over the connections it dials."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from runners.channel.errors import ChannelClosed, ChannelTimeout, ProtocolError, ServerError
from runners.channel.http import Answer, HttpConnection
from runners.channel.listener import Listener
from runners.channel.oip import Expected, decode_infer, encode_infer, parse_json, reply_limit

_METADATA_LIMIT = 256 * 1024
_READY_PAUSE = 0.02
_ACCEPT_PAUSE = 0.1


class _NoRedial(ChannelTimeout):
    pass


class OipClient:
    """Open Inference Protocol v2 over a `Listener`.

    `alive` is asked while nothing comes; it raises when the sandbox has ended. All deadlines are
    monotonic seconds. A submission that closes its connection between two requests may dial again.
    """

    def __init__(self, listener: Listener, *, alive: Callable[[], None], redial: float = 10.0) -> None:
        self._listener = listener
        self._alive = alive
        self._redial = redial
        self._connection: HttpConnection | None = None
        self.binary = True

    def close(self) -> None:
        """Hang up. Safe to repeat."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connect(self, deadline: float) -> None:
        """Wait for the sandbox to dial. Raises `ChannelTimeout`."""
        while self._connection is None:
            self._alive()
            left = deadline - time.monotonic()
            if left <= 0:
                raise ChannelTimeout("it did not connect to the platform's socket (TOUCHSTONE_SOCKET) in time")
            accepted = self._listener.accept(min(left, _ACCEPT_PAUSE))
            if accepted is not None:
                self._connection = HttpConnection(accepted)

    def wait_ready(self, deadline: float) -> None:
        """Wait until `GET /v2/health/ready` answers 200. Raises `ChannelTimeout`."""
        while True:
            self.connect(deadline)
            if self._get("/v2/health/ready", deadline).status == 200:
                return
            if time.monotonic() + _READY_PAUSE >= deadline:
                raise ChannelTimeout("it connected, but GET /v2/health/ready never answered 200")
            time.sleep(_READY_PAUSE)

    def describe(self, deadline: float) -> dict[str, Any]:
        """`GET /v2/models/model`; also learns from `GET /v2` whether binary tensors are spoken."""
        extensions = self._json("/v2", deadline).get("extensions")
        self.binary = isinstance(extensions, list) and any(
            name in extensions for name in ("binary_tensor_data", "binary_data")
        )
        return self._json("/v2/models/model", deadline)

    def infer(
        self,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[Expected],
        *,
        deadline: float,
        action: str = "infer",
        parameters: Mapping[str, Any] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """POST inputs; return the checked outputs by expected name.

        Raises `ServerError` where the submission answers an error, else the errors of `HttpConnection.exchange`.
        """
        names = [output.name for output in outputs if output.name]
        headers, body = encode_infer(inputs, names, binary=self.binary, parameters=parameters)
        answer = self._request("POST", f"/v2/models/model/{action}", headers, body, reply_limit(outputs), deadline)
        if answer.status != 200:
            raise ServerError(answer.status, _error_text(answer))
        return decode_infer(answer.body, answer.headers.get("inference-header-content-length"), outputs)

    def _json(self, path: str, deadline: float) -> dict[str, Any]:
        answer = self._get(path, deadline)
        if answer.status != 200:
            raise ProtocolError(f"GET {path} answered status {answer.status}, expected 200")
        return parse_json(answer.body, f"the answer to GET {path}")

    def _get(self, path: str, deadline: float) -> Answer:
        return self._request("GET", path, {}, b"", _METADATA_LIMIT, deadline)

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, limit: int, deadline: float
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Host: model", f"Content-Length: {len(body)}"]
        head = "\r\n".join([*lines, *(f"{key}: {value}" for key, value in headers.items()), "", ""]).encode("latin-1")
        fresh = self._connection is None
        try:
            return self._exchange(head, body, limit, deadline)
        except ChannelClosed as error:
            # Without keep-alive the other side closes between requests; asking again is then right.
            if fresh or error.midway:
                raise
        try:
            return self._exchange(head, body, limit, deadline)
        except _NoRedial as error:
            raise ChannelClosed("it closed the connection and did not connect again") from error

    def _exchange(self, head: bytes, body: bytes, limit: int, deadline: float) -> Answer:
        try:
            self.connect(min(deadline, time.monotonic() + self._redial))
        except ChannelTimeout as error:
            raise _NoRedial(str(error)) from error
        connection = self._connection
        if connection is None:
            raise _NoRedial("it did not connect again")
        try:
            answer = connection.exchange(head, body, limit=limit, deadline=deadline)
        except BaseException:
            self.close()
            raise
        if not connection.reusable:
            self.close()
        return answer


def _error_text(answer: Answer) -> str:
    try:
        return str(parse_json(answer.body, "the answer").get("error", ""))[:2000]
    except ProtocolError:
        return bytes(answer.body[:500]).decode("utf-8", "replace")
