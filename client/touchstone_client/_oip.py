"""Open Inference Protocol v2 with binary tensors, as a server sees it. Standard library and NumPy only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from touchstone_client._reply import JSON_HEADERS, Reply

DTYPES: dict[str, npt.DTypeLike] = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}  # fmt: skip
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


class BadRequest(Exception):
    """The request is not a correct inference request; answered with status 400."""


@dataclass(frozen=True)
class InferRequest:
    """A decoded request. `binary` lists output names wanted as raw bytes; `all_binary` means every output."""

    inputs: dict[str, npt.NDArray[Any]]
    parameters: dict[str, Any]
    id: str
    wanted: tuple[str, ...]
    binary: frozenset[str]
    all_binary: bool


def decode_request(body: memoryview, header_length: int | None) -> InferRequest:
    """Decode the body of an infer request; `header_length` is the value of Inference-Header-Content-Length."""
    if header_length is not None and not 0 <= header_length <= len(body):
        raise BadRequest(f"Inference-Header-Content-Length is {header_length}, the body has {len(body)} bytes")
    size = len(body) if header_length is None else header_length
    try:
        header = json.loads(bytes(body[:size]))
        tensors = header["inputs"]
        parameters = header.get("parameters") or {}
        outputs = header.get("outputs") or []
        binary = frozenset(o["name"] for o in outputs if (o.get("parameters") or {}).get("binary_data"))
        wanted = tuple(str(o["name"]) for o in outputs)
        inputs = _decode_inputs(tensors, body[size:])
    except BadRequest:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"the request is not an Open Inference Protocol request: {error!r}") from error
    all_binary = bool(parameters.get("binary_data_output"))
    return InferRequest(inputs, parameters, str(header.get("id", "")), wanted, binary, all_binary)


def _decode_inputs(tensors: Sequence[Mapping[str, Any]], raw: memoryview) -> dict[str, npt.NDArray[Any]]:
    inputs: dict[str, npt.NDArray[Any]] = {}
    offset = 0
    for tensor in tensors:
        name, shape = str(tensor["name"]), tuple(int(d) for d in tensor["shape"])
        dtype = DTYPES.get(tensor["datatype"])
        if dtype is None:
            raise BadRequest(f"input {name!r}: datatype {tensor['datatype']!r} is not supported")
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        if size is None:
            inputs[name] = np.asarray(tensor["data"], dtype=dtype).reshape(shape)
            continue
        part = raw[offset : offset + int(size)]
        expected = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if len(part) != expected:
            raise BadRequest(f"input {name!r}: {len(part)} bytes given, shape {list(shape)} needs {expected}")
        # A copy: the participant's function may write into its argument.
        inputs[name] = np.frombuffer(part, dtype=dtype).reshape(shape).copy()
        offset += int(size)
    if offset != len(raw):
        raise BadRequest(f"{len(raw) - offset} bytes follow the last tensor")
    return inputs


def encode_reply(request: InferRequest, outputs: Mapping[str, npt.NDArray[Any]], *, model: str) -> Reply:
    """Encode named output arrays as the request asked for them. Raises ValueError for an unknown dtype."""
    described: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for name in request.wanted or outputs:
        if name not in outputs:
            raise BadRequest(f"there is no output {name!r}; outputs: {', '.join(outputs)}")
        array = outputs[name]
        if array.dtype not in NAMES:
            raise ValueError(f"output {name!r} has dtype {array.dtype}, which the protocol does not know")
        entry: dict[str, Any] = {"name": name, "datatype": NAMES[array.dtype], "shape": list(array.shape)}
        if request.all_binary or name in request.binary:
            raw.append(array.tobytes())
            entry["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            entry["data"] = array.ravel().tolist()
        described.append(entry)
    answer: dict[str, Any] = {"model_name": model, "outputs": described}
    if request.id:
        answer["id"] = request.id
    header = json.dumps(answer).encode()
    if not raw:
        return Reply(200, JSON_HEADERS, header)
    headers = (("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", str(len(header))))
    return Reply(200, headers, b"".join([header, *raw]))
