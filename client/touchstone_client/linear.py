"""A linear classifier to start from: fitted in seconds with NumPy, and written as ONNX without any other package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
#: Numbers that are looked at in each round at most: more data is drawn from at random.
_MOST = 20_000_000
_FLOAT, _INT = 1, 2


@dataclass(frozen=True)
class Linear:
    """logits = flatten(x) · weight + bias; weight (numbers of an item, classes), bias (classes,)."""

    weight: Floats
    bias: Floats

    def logits(self, x: Floats) -> Floats:
        return np.asarray(x.reshape(len(x), -1) @ self.weight + self.bias, dtype=np.float32)

    def probabilities(self, x: Floats) -> npt.NDArray[np.float64]:
        """(n, classes); each row sums to one."""
        return softmax(self.logits(x).astype(np.float64))


def softmax(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows of logits to rows of probabilities."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def fit_linear(
    x: Floats, y: npt.NDArray[np.int64], classes: int, *, rounds: int = 25, rate: float = 0.05, seed: int = 0
) -> Linear:
    """Softmax regression by gradient descent with momentum, on standardised numbers."""
    rng = np.random.default_rng(seed)
    flat = x.reshape(len(x), -1)
    keep = max(1, min(len(flat), _MOST // max(1, flat.shape[1])))
    chosen = rng.permutation(len(flat))[:keep]
    flat, y = flat[chosen], y[chosen]
    mean = flat.mean(axis=0)
    scale = np.maximum(flat.std(axis=0), np.float32(0.05))
    z = (flat - mean) / scale / np.float32(np.sqrt(flat.shape[1]))
    weight, bias = np.zeros((z.shape[1], classes), np.float32), np.zeros(classes, np.float32)
    moves = (np.zeros_like(weight), np.zeros_like(bias))
    truth = np.eye(classes, dtype=np.float32)[y]
    for turn in range(rounds):
        step = np.float32(rate * 20 * (1 - turn / rounds))
        for part in np.array_split(rng.permutation(len(z)), max(1, len(z) // 64)):
            error = (softmax(z[part] @ weight + bias) - truth[part]).astype(np.float32) / len(part)
            moves[0][:] = 0.9 * moves[0] - step * (z[part].T @ error + np.float32(1e-4) * weight)
            moves[1][:] = 0.9 * moves[1] - step * np.float32(0.1) * error.sum(axis=0)
            weight, bias = weight + moves[0], bias + moves[1]
    weight = weight / scale[:, None] / np.float32(np.sqrt(flat.shape[1]))
    return Linear(weight.astype(np.float32), (bias - mean @ weight).astype(np.float32))


def write_onnx(path: Path, model: Linear, *, item: Sequence[int], probabilities: bool) -> None:
    """The model as ONNX: input `x` (n, *item), output `y` (n, classes): logits, or probabilities."""
    nodes = [
        _node("Flatten", ["x"], ["flat"], [_bytes(1, b"axis") + _number(3, 1) + _number(20, _INT)]),
        _node("Gemm", ["flat", "w", "b"], ["z" if probabilities else "y"], []),
    ]
    if probabilities:
        nodes.append(_node("Softmax", ["z"], ["y"], [_bytes(1, b"axis") + _number(3, 1) + _number(20, _INT)]))
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, b"linear")
    graph += _bytes(5, _tensor("w", model.weight)) + _bytes(5, _tensor("b", model.bias))
    graph += _bytes(11, _value("x", item)) + _bytes(12, _value("y", [len(model.bias)]))
    opset = _bytes(8, _bytes(1, b"") + _number(2, 17))
    path.write_bytes(_number(1, 8) + _bytes(2, b"touchstone-client") + opset + _bytes(7, graph))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _node(kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Sequence[bytes]) -> bytes:
    found = b"".join(_bytes(1, name.encode()) for name in inputs) + b"".join(_bytes(2, n.encode()) for n in outputs)
    return (
        found + _bytes(3, kind.lower().encode()) + _bytes(4, kind.encode()) + b"".join(_bytes(5, a) for a in attributes)
    )


def _tensor(name: str, array: Floats) -> bytes:
    dims = b"".join(_number(1, size) for size in array.shape)
    raw = np.ascontiguousarray(array, dtype="<f4").tobytes()
    return dims + _number(2, _FLOAT) + _bytes(8, name.encode()) + _bytes(9, raw)


def _value(name: str, item: Sequence[int]) -> bytes:
    """An input or output: float32, any number of items of this shape."""
    dims = _bytes(1, _bytes(2, b"n")) + b"".join(_bytes(1, _number(1, size)) for size in item)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, _FLOAT) + _bytes(2, dims)))
