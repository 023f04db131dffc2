"""The framed form of the protocol, as a server sees it: the same questions and answers without HTTP around them.

Offered as `touchstone_framed` among the extensions of `GET /v2`; `GET /v2` with `Upgrade: touchstone-framed/1`
switches to it. A frame is a prefix, a head in JSON as in the binary tensor extension, and the tensors' bytes.
Heads repeat, so what was understood of one is kept. Layout: docs/protocol.md. Standard library and NumPy only.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from touchstone_client._oip import DTYPES, NAMES, BadRequest

EXTENSION = "touchstone_framed"
PROTOCOL = "touchstone-framed/1"
MAGIC = b"TSF1"
#: magic, kind, zero, status, number, bytes of the head, bytes of the tensors
PREFIX = struct.Struct("<4sBBHIIQ")
ASK, ANSWER, ERROR = 1, 2, 3
HEAD_LIMIT = 64 * 1024
DATA_LIMIT = 2**30
_BUFFER = PREFIX.size + HEAD_LIMIT + 64 * 1024
_KEPT = 256
_SMALL = 64 * 1024
_ERROR_CHARACTERS = 8000

Array = npt.NDArray[Any]
Tensors = Mapping[str, Array]
#: (action, inputs, parameters) → outputs by name
Answerer = Callable[[str, dict[str, Array], Mapping[str, Any]], Tensors]


class _Malformed(Exception):
    pass


@dataclass(frozen=True)
class _Plan:
    """What a head says. `size`: bytes of all tensors.

    `tensors`: name, dtype, shape, offset and number of items; `aligned`: each begins where its dtype may.
    """

    action: str
    parameters: dict[str, Any]
    tensors: tuple[tuple[str, np.dtype[Any], tuple[int, ...], int, int], ...]
    size: int
    wanted: tuple[str, ...]
    aligned: bool


def _plan(head: bytes) -> _Plan:
    try:
        asked = json.loads(head)
        offset, tensors, aligned = 0, [], True
        for entry in asked["inputs"]:
            name, shape = str(entry["name"]), tuple(int(d) for d in entry["shape"])
            if entry["datatype"] not in DTYPES:
                raise BadRequest(f"input {name!r}: datatype {entry['datatype']!r} is not supported")
            dtype = np.dtype(DTYPES[entry["datatype"]])
            size = int(entry["parameters"]["binary_data_size"])
            items = math.prod(shape)
            if min(shape, default=0) < 0 or size != items * dtype.itemsize:
                raise BadRequest(f"input {name!r}: {size} bytes given, shape {list(shape)} needs another number")
            tensors.append((name, dtype, shape, offset, items))
            aligned = aligned and offset % dtype.itemsize == 0
            offset += size
        wanted = tuple(str(entry["name"]) for entry in asked.get("outputs") or ())
        action, parameters = str(asked.get("action", "infer")), asked.get("parameters") or {}
        return _Plan(action, parameters, tuple(tensors), offset, wanted, aligned)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"the head of the frame is no question: {error!r}") from error


class _Session:
    def __init__(self, connection: socket.socket, begun: bytes) -> None:
        self._connection = connection
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._at, self._have = 0, len(begun)  # what is between them was received and not yet taken
        self._view[: self._have] = begun
        self._plans: dict[bytes, _Plan] = {}
        self._heads: dict[Any, bytes] = {}

    def ask(self) -> tuple[int, bytes, int] | None:
        """Number, head and bytes of tensors of the next question; None at the end of the stream."""
        if not self._fill(PREFIX.size):
            return None
        magic, kind, zero, status, number, head, data = PREFIX.unpack_from(self._buffer, self._at)
        if magic != MAGIC or kind != ASK or zero or status or head > HEAD_LIMIT or data > DATA_LIMIT:
            raise _Malformed("what came is no question's frame")
        if not self._fill(PREFIX.size + head):
            return None
        begin = self._at + PREFIX.size
        self._at = begin + head
        return number, bytes(self._view[begin : self._at]), data

    def plan(self, head: bytes, data: int) -> _Plan:
        """What `head` says. Raises `BadRequest`."""
        found = self._plans.get(head)
        if found is None:
            found = _plan(head)
            if len(self._plans) >= _KEPT:
                self._plans.clear()
            self._plans[head] = found
        if found.size != data:
            raise BadRequest(f"the head tells of {found.size} bytes of tensors, the frame has {data}")
        return found

    def tensors(self, plan: _Plan) -> dict[str, Array] | None:
        """The inputs, in memory of their own: the participant's function may write into them. None at the end."""
        raw: Any
        end = self._at + plan.size
        if end <= self._have:
            raw = bytearray(self._view[self._at : end])
            self._at = end
        else:
            raw = np.empty(plan.size, np.uint8)
            if not self._read(raw.data):
                return None
        found = {}
        for name, dtype, shape, offset, items in plan.tensors:
            found[name] = np.frombuffer(raw, dtype, items, offset).reshape(shape)
        return found if plan.aligned else {name: array.copy() for name, array in found.items()}

    def skip(self, size: int) -> bool:
        """Read past tensors that nobody wants; False at the end of the stream."""
        while size:
            if not self._fill(1):
                return False
            part = min(size, self._have - self._at)
            self._at += part
            size -= part
        return True

    def encode(self, number: int, outputs: Sequence[tuple[str, Array]]) -> list[Any]:
        """The parts of an answer. Raises ValueError for an array that the protocol does not know."""
        key = tuple([(name, array.dtype, array.shape) for name, array in outputs])
        head = self._heads.get(key)
        if head is None:
            head = _describe(outputs)
            if len(self._heads) >= _KEPT:
                self._heads.clear()
            self._heads[key] = head
        size = sum([array.nbytes for _, array in outputs])
        prefix = PREFIX.pack(MAGIC, ANSWER, 0, 0, number, len(head), size)
        if size <= _SMALL:
            return [b"".join([prefix, head, *[array.tobytes() for _, array in outputs]])]
        arrays = [np.ascontiguousarray(array).reshape(-1) for _, array in outputs if array.size]
        return [prefix + head, *[array.view(np.uint8).data for array in arrays]]

    def send(self, parts: list[Any]) -> None:
        """Send the parts of a frame."""
        if len(parts) == 1:
            self._connection.sendall(parts[0])
            return
        waiting = [memoryview(part) for part in parts]
        while waiting:
            sent = self._connection.sendmsg(waiting)
            while waiting and sent >= len(waiting[0]):
                sent -= len(waiting.pop(0))
            if sent:
                waiting[0] = waiting[0][sent:]

    def _fill(self, need: int) -> bool:
        """Have at least `need` bytes in the buffer; False at the end of the stream."""
        have = self._have - self._at
        if self._at:
            self._view[:have] = self._view[self._at : self._have]
            self._at, self._have = 0, have
        while self._have < need:
            count = self._connection.recv_into(self._view[self._have :])
            if not count:
                return False
            self._have += count
        return True

    def _read(self, target: memoryview) -> bool:
        """Fill `target`, which is larger than what the buffer has."""
        have = self._have - self._at
        target[:have] = self._view[self._at : self._have]
        self._at = self._have
        while have < len(target):
            count = self._connection.recv_into(target[have:])
            if not count:
                return False
            have += count
        return True


def _describe(outputs: Sequence[tuple[str, Array]]) -> bytes:
    described = []
    for name, array in outputs:
        if array.dtype not in NAMES:
            raise ValueError(f"output {name!r} has dtype {array.dtype}, which the protocol does not know")
        described.append(
            {
                "name": name,
                "datatype": NAMES[array.dtype],
                "shape": list(array.shape),
                "parameters": {"binary_data_size": array.nbytes},
            }
        )
    return json.dumps({"outputs": described}).encode()


def _error(number: int, status: int, message: str) -> list[Any]:
    head = json.dumps({"error": message[:_ERROR_CHARACTERS]}).encode()
    return [PREFIX.pack(MAGIC, ERROR, 0, status, number, len(head), 0) + head]


def serve_frames(connection: socket.socket, begun: bytes, answerer: Answerer) -> bool:
    """Answer framed questions; true where the other side hung up, false where what came was no question."""
    session = _Session(connection, begun)
    while True:
        try:
            asked = session.ask()
        except _Malformed as error:
            session.send(_error(0, 400, str(error)))
            return False
        if asked is None or not _answer(session, *asked, answerer):
            return True


def _answer(session: _Session, number: int, head: bytes, data: int, answerer: Answerer) -> bool:
    """Answer one question; False at the end of the stream."""
    try:
        plan = session.plan(head, data)
    except BadRequest as error:
        if not session.skip(data):
            return False
        session.send(_error(number, 400, str(error)))
        return True
    inputs = session.tensors(plan)
    if inputs is None:
        return False
    try:
        parts = session.encode(number, _wanted(answerer(plan.action, inputs, plan.parameters), plan.wanted))
    except BadRequest as error:
        parts = _error(number, 400, str(error))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
        parts = _error(number, 500, f"{type(error).__name__}: {error}")
    session.send(parts)
    return True


def _wanted(outputs: Tensors, names: tuple[str, ...]) -> list[tuple[str, Array]]:
    for name in names:
        if name not in outputs:
            raise BadRequest(f"there is no output {name!r}; outputs: {', '.join(outputs)}")
    return [(name, outputs[name]) for name in names or outputs]
