"""Open Inference Protocol v2, as its client sees it: encode requests, check and decode replies.

Source: the protocol's REST form and its binary tensor data extension as KServe and Triton document them.
Sizes are checked before memory is taken; nothing of a reply is believed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from runners.channel.errors import ProtocolError

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_), "UINT8": np.dtype("u1"), "UINT16": np.dtype("<u2"), "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"), "INT8": np.dtype("i1"), "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"), "FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"),
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_FLOATS = ("FP16", "FP32", "FP64")
#: A number in JSON, its comma, and room for white space.
_JSON_NUMBER = 40
_JSON_REST = 64 * 1024


@dataclass(frozen=True)
class Expected:
    """An output as it must come: name (empty: any), shape, and datatypes that are accepted."""

    name: str
    shape: tuple[int, ...]
    datatypes: tuple[str, ...] = _FLOATS

    @property
    def items(self) -> int:
        return math.prod(self.shape)


def reply_limit(outputs: Sequence[Expected]) -> int:
    """The most bytes a correct reply can have, binary or JSON."""
    return _JSON_REST + sum(output.items * _JSON_NUMBER for output in outputs)


def encode_infer(
    inputs: Mapping[str, npt.NDArray[Any]],
    outputs: Sequence[str],
    *,
    binary: bool,
    parameters: Mapping[str, Any] | None = None,
) -> tuple[dict[str, str], bytes]:
    """Headers and body of an infer request; with `binary`, tensors travel as raw little-endian bytes."""
    raw: list[bytes] = []
    described: list[dict[str, Any]] = []
    for name, array in inputs.items():
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": _NAMES[array.dtype]}
        if binary:
            raw.append(np.ascontiguousarray(array).tobytes())
            entry["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            entry["data"] = array.ravel().tolist()
        described.append(entry)
    message: dict[str, Any] = {"inputs": described}
    if outputs:
        message["outputs"] = [{"name": name, "parameters": {"binary_data": binary}} for name in outputs]
    given = {**(parameters or {}), **({"binary_data_output": True} if binary else {})}
    if given:
        message["parameters"] = given
    header = orjson.dumps(message)
    if not binary:
        return {"Content-Type": "application/json"}, header
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(header))}
    return headers, b"".join([header, *raw])


def parse_json(body: bytes | memoryview, what: str) -> dict[str, Any]:
    """A JSON object. Raises `ProtocolError`."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"{what} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ProtocolError(f"{what} is not a JSON object")
    return content


def decode_infer(
    body: memoryview, header_length: str | None, outputs: Sequence[Expected]
) -> dict[str, npt.NDArray[Any]]:
    """The outputs of a reply by expected name. Raises `ProtocolError` naming what differs from what was expected."""
    size = len(body) if header_length is None else _header_size(header_length, len(body))
    described = parse_json(body[:size], "the answer").get("outputs")
    if not isinstance(described, list) or not all(isinstance(entry, dict) for entry in described):
        raise ProtocolError("the answer has no list of outputs")
    parts = _binary_parts(described, body[size:])
    found: dict[str, npt.NDArray[Any]] = {}
    for output in outputs:
        index = _position(described, output.name)
        found[output.name] = _tensor(described[index], parts.get(index), output)
    return found


def _header_size(text: str, total: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) > total:
        message = f"Inference-Header-Content-Length is no number up to the answer's {total} bytes"
        raise ProtocolError(message, detail=repr(text[:40]))
    return int(text)


def _binary_parts(described: list[dict[str, Any]], raw: memoryview) -> dict[int, memoryview]:
    parts: dict[int, memoryview] = {}
    offset = 0
    for index, entry in enumerate(described):
        parameters = entry.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(raw) - offset:
            message = f"binary_data_size is no number up to the {len(raw) - offset} bytes left in the answer"
            raise ProtocolError(message, detail=f"{size!r:.100}")
        parts[index] = raw[offset : offset + size]
        offset += size
    if offset != len(raw):
        raise ProtocolError(f"{len(raw) - offset} bytes of the answer belong to no output")
    return parts


def _position(described: list[dict[str, Any]], name: str) -> int:
    if not described:
        raise ProtocolError("the answer has no output")
    if not name:
        return 0
    names = [entry.get("name") for entry in described]
    if name not in names:
        raise ProtocolError(f"the answer has no output {name!r}", detail=f"it has {names!r:.200}")
    return names.index(name)


def _tensor(entry: dict[str, Any], raw: memoryview | None, expected: Expected) -> npt.NDArray[Any]:
    datatype, shape = entry.get("datatype"), entry.get("shape")
    output = f"output {expected.name!r}" if expected.name else "the output"
    if datatype not in expected.datatypes:
        known = f"datatype {datatype}" if datatype in [*DTYPES] else "an unknown datatype"
        raise ProtocolError(
            f"{output} has {known}, expected {' or '.join(expected.datatypes)}", detail=f"{datatype!r:.80}"
        )
    if shape != list(expected.shape):
        found = f"shape {shape}" if _is_plain(shape) else "no such shape"
        raise ProtocolError(f"{output} has {found}, expected {list(expected.shape)}", detail=f"{shape!r:.200}")
    dtype = DTYPES[str(datatype)]
    if raw is None:
        return _json_tensor(entry, dtype, expected, output)
    size = expected.items * dtype.itemsize
    if len(raw) != size:
        raise ProtocolError(f"{output} has {len(raw)} bytes, its shape and datatype need {size}")
    return np.frombuffer(raw, dtype=dtype).reshape(expected.shape)


def _is_plain(shape: Any) -> bool:
    """A shape somebody could mean: few and small numbers carry no message."""
    return isinstance(shape, list) and len(shape) <= 4 and all(type(n) is int and 0 <= n <= 10**6 for n in shape)


def _json_tensor(entry: dict[str, Any], dtype: np.dtype[Any], expected: Expected, output: str) -> npt.NDArray[Any]:
    data = entry.get("data")
    if not isinstance(data, list):
        raise ProtocolError(f"{output} has neither data nor binary_data_size")
    try:
        array = np.asarray(data, dtype=dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(f"{output}: data are not numbers", detail=str(error)) from error
    if array.size != expected.items:
        raise ProtocolError(f"{output} has {array.size} numbers, expected {expected.items}")
    return array.reshape(expected.shape)
