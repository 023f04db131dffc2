"""Open Inference Protocol v2 over HTTP, whatever carries the requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from runners.channel.errors import ProtocolError, ServerError
from runners.channel.frames import EXTENSION
from runners.channel.http import Answer
from runners.channel.oip import Expected, decode_infer, encode_infer, error_text, parse_json, reply_limit

METADATA_LIMIT = 256 * 1024


class Asking(ABC):
    """A conversation with a server. All deadlines are monotonic seconds.

    `model`: the name that the server has for its model. `describe` learns which form of the protocol it speaks: with
    binary tensors (`binary`), in frames (`framed`, where the carrier can), or JSON.
    """

    def __init__(self, model: str) -> None:
        self._root = f"/v2/models/{model}"
        self.binary = True
        self.framed = False

    @abstractmethod
    def close(self) -> None:
        """Hang up. Safe to repeat."""

    @abstractmethod
    def wait_ready(self, deadline: float) -> None:
        """Wait until `GET /v2/health/ready` answers 200. Raises `ChannelTimeout`."""

    @abstractmethod
    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, limit: int, deadline: float
    ) -> Answer:
        """One request and its answer, whose body has at most `limit` bytes."""

    def describe(self, deadline: float) -> dict[str, Any]:
        """The model's metadata; also learns from `GET /v2` which forms of the protocol are spoken."""
        found = self._json("/v2", deadline).get("extensions")
        extensions = found if isinstance(found, list) else []
        self.binary = "binary_tensor_data" in extensions or "binary_data" in extensions
        self.framed = EXTENSION in extensions
        return self._json(self._root, deadline)

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

        Raises `ServerError` where the server answers an error, `ProtocolError` where its answer is none, and the
        errors of the carrier.
        """
        names = [output.name for output in outputs if output.name]
        headers, body = encode_infer(inputs, names, binary=self.binary, parameters=parameters)
        answer = self._request("POST", f"{self._root}/{action}", headers, body, reply_limit(outputs), deadline)
        if answer.status != 200:
            raise ServerError(answer.status, error_text(answer.body))
        return decode_infer(answer.body, answer.headers.get("inference-header-content-length"), outputs)

    def _json(self, path: str, deadline: float) -> dict[str, Any]:
        answer = self._get(path, deadline)
        if answer.status != 200:
            raise ProtocolError(f"GET {path} answered status {answer.status}, expected 200")
        return parse_json(answer.body, f"the answer to GET {path}")

    def _get(self, path: str, deadline: float) -> Answer:
        return self._request("GET", path, {}, b"", METADATA_LIMIT, deadline)
