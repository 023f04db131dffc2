"""Serves an ONNX file: forward and gradient. Runs inside a sandbox that holds no participant code.

    python -m runners.models.weights_server MODEL.onnx --output probabilities|logits

Onnxruntime answers, and torch gives the gradients; on a CUDA device, where one is visible, torch does both. Where a
graph has an operator that our torch interpreter lacks, or the two disagree, there are no gradients, and onnxruntime
answers on the processor. `GET /v2/models/model` says which, under
`parameters`: `{"gradients": true}` or `{"gradients": false, "reason": "…"}`. There too: `device`, what answers;
`parameters`, how many numbers the file holds; `flops` of one item, or null and under `uncounted` why.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import torch

from runners.models.onnx_torch import TorchGraph, Uncounted, UnsupportedGraph, flops
from runners.models.onnx_torch import parameters as parameters_of
from runners.models.onnx_torch.device import CHOICES, VARIABLE, brought, chosen_device, free_memory, moved
from touchstone_client.serving import serve

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

#: What the values of one chunk may take, as a share of the sandbox's memory; the rest is torch and weights.
_SHARE = 8
_MOST_ITEMS = 1024
_DEFAULT_MEMORY = 2**30
_SMALLEST = 1e-12
_TOLERANCE = 1e-3


class _Forward(Protocol):
    def __call__(self, x: Floats) -> Array: ...


class TorchModel:
    """Forward and gradient through torch, or forward by `forward` once that was found to agree: it is faster.

    `probabilities`: the model answers probabilities, else logits. `memory`: bytes the sandbox may take.
    """

    def __init__(self, graph: TorchGraph, *, probabilities: bool, memory: int, batch: int | None) -> None:
        self._graph = graph
        self._probabilities = probabilities
        self._memory = memory
        self._batch = batch
        self.forward: _Forward = self._carry_out

    def _carry_out(self, x: Floats) -> Array:
        return brought(self._graph(moved(x, self._graph.device)))

    def _chunk(self, cost: int) -> int:
        if self._batch is not None:
            return self._batch
        budget = self._memory // _SHARE
        return max(1, min(_MOST_ITEMS, budget // (max(1, self._graph.item_bytes) * cost)))

    def predict(self, x: Floats) -> Array:
        """The model's answers for x of shape (n, *item)."""
        with torch.inference_mode():
            if not self._graph.item_bytes and len(x):
                self._graph(moved(x[: self._batch or 1], self._graph.device))
            return in_chunks(self.forward, x, self._chunk(1), self._batch)

    def gradient(self, x: Floats, y: Array, loss: str) -> tuple[Array, Array, Array]:
        """Loss per item (float64), its gradient (like x), logits (float64)."""
        if loss not in _LOSSES:
            raise ValueError(f"loss {loss!r} is unknown; known: {', '.join(_LOSSES)}")
        step = self._chunk(4)
        parts = [self._differentiate(x[i : i + step], y[i : i + step], loss) for i in range(0, len(x), step)]
        losses, gradients, logits = (np.concatenate(column) for column in zip(*parts, strict=True))
        return losses, gradients, logits

    def _differentiate(self, x: Floats, y: Array, loss: str) -> tuple[Array, Array, Array]:
        count = len(x)
        whole = _filled(x, self._batch)
        labels = moved(_filled(y, self._batch), self._graph.device)
        variable = moved(whole, self._graph.device).requires_grad_()
        logits = self._logits(variable).double()
        losses = _LOSSES[loss](logits, labels)
        (gradient,) = torch.autograd.grad(losses.sum(), variable)
        return brought(losses)[:count], brought(gradient)[:count], brought(logits)[:count]

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        if not self._probabilities:
            return self._graph(x)
        if self._graph.logits is not None:
            return torch.log_softmax(self._graph(x, logits=True).double(), dim=-1)
        return torch.log(torch.clamp(self._graph(x).double(), min=_SMALLEST))


def _cross_entropy(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, y, reduction="none")


def _margin(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    true = logits.gather(1, y[:, None])
    others = logits.masked_fill(torch.nn.functional.one_hot(y, logits.shape[1]).bool(), -torch.inf)
    return others.amax(dim=1) - true[:, 0]


def _weighted(logits: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`weights` (n, classes) stand where other losses have labels: the slopes in the logits of whichever is meant."""
    return (logits * weights).sum(dim=1)


_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "cross_entropy": _cross_entropy,
    "margin": _margin,
    "weighted": _weighted,
}


def _filled(x: Array, batch: int | None) -> Array:
    """x with its last item repeated until it has `batch` items, for a graph that takes just so many."""
    if batch is None or len(x) == batch:
        return x
    return np.concatenate([x, np.repeat(x[-1:], batch - len(x), axis=0)])


def in_chunks(function: _Forward, x: Floats, step: int, batch: int | None) -> Array:
    """`function` over x, `step` items at a time."""
    parts = []
    for start in range(0, len(x), step):
        part = x[start : start + step]
        parts.append(function(_filled(part, batch))[: len(part)])
    return np.concatenate(parts)


def fixed_batch(model: onnx.ModelProto) -> int | None:
    """The number of items the graph takes at once, or None where it takes any number."""
    known = {entry.name for entry in model.graph.initializer}
    shape = next(entry for entry in model.graph.input if entry.name not in known).type.tensor_type.shape
    first = shape.dim[0] if shape.dim else None
    return int(first.dim_value) if first is not None and first.dim_value > 0 else None


def _runtime_session(path: Path) -> tuple[_Forward, str]:
    """A forward function by onnxruntime, and the name of its output: the first of floats with two axes."""
    import onnxruntime  # only here: it costs a quarter of a second

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = session.get_outputs()
    floats = [entry.name for entry in outputs if entry.type in ("tensor(float)", "tensor(double)")]
    name = floats[0] if floats else outputs[0].name
    given = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run([name], {given: x})[0]), name


def _example(model: onnx.ModelProto, batch: int | None, usual: Sequence[int]) -> Floats | None:
    """Items to try the graph with; `usual` is the shape of one where the graph takes several."""
    known = {entry.name for entry in model.graph.initializer}
    shape = next(entry for entry in model.graph.input if entry.name not in known).type.tensor_type.shape
    sizes = [dim.dim_value for dim in shape.dim[1:]]
    if len(usual) == len(sizes):
        sizes = [size if size > 0 else given for size, given in zip(sizes, usual, strict=True)]
    if any(size <= 0 for size in sizes):
        return None
    return np.random.default_rng(0).random((batch or 2, *sizes), dtype=np.float32)


def _torch_model(
    path: Path,
    model: onnx.ModelProto,
    *,
    probabilities: bool,
    memory: int,
    device: torch.device | None = None,
    usual: Sequence[int] = (),
) -> TorchModel:
    """Raises `UnsupportedGraph` with the reason where torch cannot carry the graph out, or does it otherwise."""
    batch, device = fixed_batch(model), device or torch.device("cpu")
    graph, room = TorchGraph(model, device), free_memory(device, memory)
    found = TorchModel(graph, probabilities=probabilities, memory=room, batch=batch)
    example = _example(model, batch, usual)
    if example is not None:
        runtime = _runtime_session(path)[0]
        _compare(found.predict(example), runtime(example))
        if device.type == "cpu":
            found.forward = runtime
    return found


def _compare(ours: Array, theirs: Array) -> None:
    if ours.shape != theirs.shape:
        raise UnsupportedGraph(f"torch answers shape {list(ours.shape)}, onnxruntime {list(theirs.shape)}")
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    difference = float(np.abs(ours.astype(np.float64) - theirs).max(initial=0.0)) / scale
    if not difference <= _TOLERANCE:
        raise UnsupportedGraph(f"torch and onnxruntime disagree on this graph by {difference:.2g}")


def size_of(model: onnx.ModelProto, usual: Sequence[int] = ()) -> dict[str, Any]:
    """What the file holds and what an item costs, as it is told under `parameters`. `usual`: the shape of an item."""
    told: dict[str, Any] = {"parameters": parameters_of(model), "flops": None, "uncounted": ""}
    try:
        told["flops"] = flops(model)
    except Uncounted as error:
        told["uncounted"] = str(error)
        shapes = _shapes(model, usual)
        if shapes is not None:
            with contextlib.suppress(Uncounted):
                told |= {"flops": flops(model, shapes), "uncounted": ""}
    return told


def _shapes(model: onnx.ModelProto, usual: Sequence[int]) -> dict[str, tuple[int, ...]] | None:
    """Shapes that follow from values are known once the graph has run, where torch can carry it out."""
    batch = fixed_batch(model)
    example = _example(model, batch, usual)
    if example is None:
        return None
    try:
        with torch.inference_mode():
            return TorchGraph(model).shapes(torch.from_numpy(example if batch else example[:1]))
    except UnsupportedGraph:
        return None


def main(arguments: list[str] | None = None) -> None:
    """Load the file and serve it until the platform hangs up."""
    parser = argparse.ArgumentParser(prog="python -m runners.models.weights_server")
    parser.add_argument("file", type=Path)
    parser.add_argument("--output", choices=("probabilities", "logits"), default="probabilities")
    parser.add_argument("--memory", type=int, default=_DEFAULT_MEMORY, help="bytes the sandbox may take")
    parser.add_argument("--device", choices=CHOICES, help=f"default: {VARIABLE}, else CUDA where it is visible")
    parser.add_argument("--shape", type=int, nargs="+", default=(), help="usual shape of an item that may have others")
    options = parser.parse_args(arguments)
    device = chosen_device(options.device)
    model = onnx.load(options.file)
    size = size_of(model, options.shape)
    predict: _Forward
    gradient = None
    try:
        found = _torch_model(
            options.file, model, probabilities=options.output == "probabilities", memory=options.memory,
            device=device, usual=options.shape,
        )  # fmt: skip
        predict, gradient = found.predict, found.gradient
        parameters: dict[str, Any] = {"gradients": True, "weighted": True, "reason": "", "device": device.type}
    except UnsupportedGraph as error:
        batch = fixed_batch(model)
        forward, _ = _runtime_session(options.file)
        predict = lambda x: in_chunks(forward, x, batch or _MOST_ITEMS, batch)  # noqa: E731
        parameters = {"gradients": False, "reason": str(error), "device": "cpu"}
        print(f"no gradients: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the sandbox's log
    del model
    serve(predict, gradient=gradient, parameters=parameters | size)


if __name__ == "__main__":
    main()
