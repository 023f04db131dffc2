"""Asks a sandboxed submission over the connections it dials."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from runners.channel.asking import METADATA_LIMIT, Asking
from runners.channel.errors import ChannelClosed, ChannelTimeout, ServerError
from runners.channel.frames import PROTOCOL, FrameConnection
from runners.channel.http import Answer, HttpConnection
from runners.channel.listener import Listener
from runners.channel.oip import Expected, frame_head

T = TypeVar("T")

_READY_PAUSE = 0.02
_ACCEPT_PAUSE = 0.1


class _NoRedial(ChannelTimeout):
    pass


class OipClient(Asking):
    """Open Inference Protocol v2 over a `Listener`.

    `alive` is asked while nothing comes; it raises when the sandbox has ended. All deadlines are
    monotonic seconds. A submission that closes its connection between two requests may dial again.
    `model`: the name that the server has for its model. `describe` learns which form of the protocol the
    server speaks, best first: frames (`framed`), HTTP with binary tensors (`binary`), HTTP with JSON.
    """

    def __init__(
        self, listener: Listener, *, alive: Callable[[], None], redial: float = 10.0, model: str = "model"
    ) -> None:
        super().__init__(model)
        self._listener = listener
        self._alive = alive
        self._redial = redial
        self._connection: HttpConnection | None = None
        self._frames: FrameConnection | None = None

    def close(self) -> None:
        """Hang up. Safe to repeat."""
        for connection in (self._connection, self._frames):
            if connection is not None:
                connection.close()
        self._connection = self._frames = None

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

    def infer(
        self,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[Expected],
        *,
        deadline: float,
        action: str = "infer",
        parameters: Mapping[str, Any] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Ask for the outputs of inputs; return them, checked, by expected name.

        Raises `ServerError` where the submission answers an error, else the errors of `HttpConnection.exchange`.
        """
        if self.framed:
            asked = (inputs, outputs, deadline, action, parameters)
            fresh = self._is_fresh()
            try:
                found = self._ask_frames(*asked)
            except ChannelClosed as error:
                found = self._again(lambda: self._ask_frames(*asked), error, fresh=fresh)
            if found is not None:
                return found
        return super().infer(inputs, outputs, deadline=deadline, action=action, parameters=parameters)

    def _ask_frames(
        self,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[Expected],
        deadline: float,
        action: str,
        parameters: Mapping[str, Any] | None,
    ) -> dict[str, npt.NDArray[Any]] | None:
        """The answer; None where the server did not switch to frames after all."""
        frames = self._frames or self._switch(deadline)
        if frames is None:
            return None
        arrays = [np.ascontiguousarray(array) for array in inputs.values()]
        try:
            return frames.ask(frame_head(action, inputs, outputs, parameters), arrays, outputs, deadline=deadline)
        except ServerError:
            raise
        except BaseException:
            self.close()
            raise

    def _switch(self, deadline: float) -> FrameConnection | None:
        connection = self._connected(deadline)
        try:
            switched = connection.upgrade("/v2", PROTOCOL, limit=METADATA_LIMIT, deadline=deadline)
        except BaseException:
            self.close()
            raise
        if switched is None:
            self.framed = False
            if not connection.reusable:
                self.close()
            return None
        self._frames, self._connection = FrameConnection(switched), None
        return self._frames

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, limit: int, deadline: float
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Host: model", f"Content-Length: {len(body)}"]
        head = "\r\n".join([*lines, *(f"{key}: {value}" for key, value in headers.items()), "", ""]).encode("latin-1")
        if self._frames is not None:  # HTTP is over on that connection; whoever dials again begins with it
            self.close()
        fresh = self._is_fresh()
        try:
            return self._exchange(head, body, limit, deadline)
        except ChannelClosed as error:
            return self._again(lambda: self._exchange(head, body, limit, deadline), error, fresh=fresh)

    def _is_fresh(self) -> bool:
        return self._connection is None and self._frames is None

    def _again(self, ask: Callable[[], T], error: ChannelClosed, *, fresh: bool) -> T:
        """Without keep-alive the other side closes between requests; asking again is then right."""
        if fresh or error.midway:
            raise error
        try:
            return ask()
        except _NoRedial as error:
            raise ChannelClosed("it closed the connection and did not connect again") from error

    def _connected(self, deadline: float) -> HttpConnection:
        try:
            self.connect(min(deadline, time.monotonic() + self._redial))
        except ChannelTimeout as error:
            raise _NoRedial(str(error)) from error
        if self._connection is None:
            raise _NoRedial("it did not connect again")
        return self._connection

    def _exchange(self, head: bytes, body: bytes, limit: int, deadline: float) -> Answer:
        connection = self._connected(deadline)
        try:
            answer = connection.exchange(head, body, limit=limit, deadline=deadline)
        except BaseException:
            self.close()
            raise
        if not connection.reusable:
            self.close()
        return answer
