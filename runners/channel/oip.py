"""Open Inference Protocol v2, as its client sees it: encode requests, check and decode replies.

Source: the protocol's REST form and its binary tensor data extension as KServe and Triton document them.
Sizes are checked before memory is taken; nothing of a reply is believed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
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

    @cached_property
    def items(self) -> int:
        return math.prod(self.shape)


def reply_limit(outputs: Sequence[Expected]) -> int:
    """The most bytes a correct reply can have, binary or JSON."""
    return _JSON_REST + sum(output.items * _JSON_NUMBER for output in outputs)


@lru_cache(maxsize=256)
def _dumped(key: tuple[Any, ...]) -> bytes:
    action, inputs, outputs, parameters = key
    described = [
        {"name": name, "shape": shape, "datatype": _NAMES[dtype], "parameters": {"binary_data_size": size}}
        for name, shape, dtype, size in inputs
    ]
    message: dict[str, Any] = {"action": action, "inputs": described}
    if all(outputs):
        message["outputs"] = [{"name": name} for name in outputs]
    if parameters:
        message["parameters"] = dict(parameters)
    return orjson.dumps(message)


def frame_head(
    action: str,
    inputs: Mapping[str, npt.NDArray[Any]],
    outputs: Sequence[Expected],
    parameters: Mapping[str, Any] | None = None,
) -> bytes:
    """The head of a framed question: what `encode_infer` says in its JSON, and the action."""
    described = tuple([(name, array.shape, array.dtype, array.nbytes) for name, array in inputs.items()])
    names = tuple([output.name for output in outputs])
    return _dumped((action, described, names, tuple(parameters.items()) if parameters else ()))


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


def error_text(body: bytes | memoryview) -> str:
    """What an error answer says, as far as it is the protocol's; it may be anything."""
    try:
        return str(parse_json(body, "the answer").get("error", ""))[:2000]
    except ProtocolError:
        return bytes(body[:500]).decode("utf-8", "replace")


def decode_infer(
    body: memoryview, header_length: str | None, outputs: Sequence[Expected]
) -> dict[str, npt.NDArray[Any]]:
    """The outputs of a reply by expected name. Raises `ProtocolError` naming what differs from what was expected."""
    size = len(body) if header_length is None else _header_size(header_length, len(body))
    described = _described(body[:size])
    raw = body[size:]
    parts = _binary_parts(described, len(raw))
    found: dict[str, npt.NDArray[Any]] = {}
    for output in outputs:
        index = _position(described, output.name)
        part = parts.get(index)
        if part is None:
            found[output.name] = _json_tensor(described[index], output)
            continue
        dtype = _checked_dtype(described[index], part[1], output)
        found[output.name] = np.frombuffer(raw, dtype, output.items, part[0]).reshape(output.shape)
    return found


#: Of each expected output by name: its dtype and where its bytes begin.
Layout = dict[str, tuple[np.dtype[Any], int]]


def read_layout(head: bytes | memoryview, total: int, outputs: Sequence[Expected]) -> Layout:
    """Where the outputs lie in the `total` bytes that follow `head`, which describes them.

    For answers whose tensors are all binary: nothing needs to be read, or memory taken, before this was checked.
    Raises `ProtocolError` as `decode_infer` does.
    """
    described = _described(head)
    parts = _binary_parts(described, total)
    layout: Layout = {}
    for output in outputs:
        index = _position(described, output.name)
        part = parts.get(index)
        if part is None:
            raise ProtocolError(f"{_called(output)} has no binary_data_size")
        layout[output.name] = (_checked_dtype(described[index], part[1], output), part[0])
    return layout


def _described(head: bytes | memoryview) -> list[dict[str, Any]]:
    described = parse_json(head, "the answer").get("outputs")
    if not isinstance(described, list) or not all(isinstance(entry, dict) for entry in described):
        raise ProtocolError("the answer has no list of outputs")
    return described


def _header_size(text: str, total: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) > total:
        message = f"Inference-Header-Content-Length is no number up to the answer's {total} bytes"
        raise ProtocolError(message, detail=repr(text[:40]))
    return int(text)


def _binary_parts(described: list[dict[str, Any]], total: int) -> dict[int, tuple[int, int]]:
    """Offset and size by position, of the outputs that are in the `total` bytes after the head."""
    parts: dict[int, tuple[int, int]] = {}
    offset = 0
    for index, entry in enumerate(described):
        parameters = entry.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= total - offset:
            message = f"binary_data_size is no number up to the {total - offset} bytes left in the answer"
            raise ProtocolError(message, detail=f"{size!r:.100}")
        parts[index] = (offset, size)
        offset += size
    if offset != total:
        raise ProtocolError(f"{total - offset} bytes of the answer belong to no output")
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


def _called(expected: Expected) -> str:
    return f"output {expected.name!r}" if expected.name else "the output"


def _described_dtype(entry: dict[str, Any], expected: Expected) -> np.dtype[Any]:
    """The dtype of an output that is of the expected datatype and shape."""
    datatype, shape = entry.get("datatype"), entry.get("shape")
    output = _called(expected)
    if datatype not in expected.datatypes:
        known = f"datatype {datatype}" if datatype in [*DTYPES] else "an unknown datatype"
        raise ProtocolError(
            f"{output} has {known}, expected {' or '.join(expected.datatypes)}", detail=f"{datatype!r:.80}"
        )
    if shape != list(expected.shape):
        found = f"shape {shape}" if _is_plain(shape) else "no such shape"
        raise ProtocolError(f"{output} has {found}, expected {list(expected.shape)}", detail=f"{shape!r:.200}")
    return DTYPES[str(datatype)]


def _checked_dtype(entry: dict[str, Any], size: int, expected: Expected) -> np.dtype[Any]:
    dtype = _described_dtype(entry, expected)
    needed = expected.items * dtype.itemsize
    if size != needed:
        raise ProtocolError(f"{_called(expected)} has {size} bytes, its shape and datatype need {needed}")
    return dtype


def _is_plain(shape: Any) -> bool:
    """A shape somebody could mean: few and small numbers carry no message."""
    return isinstance(shape, list) and len(shape) <= 4 and all(type(n) is int and 0 <= n <= 10**6 for n in shape)


def _json_tensor(entry: dict[str, Any], expected: Expected) -> npt.NDArray[Any]:
    dtype, output = _described_dtype(entry, expected), _called(expected)
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
