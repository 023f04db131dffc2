"""Reads an ONNX graph and runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import torch
from onnx import numpy_helper

from runners.models.onnx_torch import elementwise, layers, shapes
from runners.models.onnx_torch.device import made_on
from runners.models.onnx_torch.registry import OPERATORS, Attributes, Inputs, Operator, Tensor

_DOMAINS = ("", "ai.onnx")
#: Importing these modules registers their operators.
_MODULES = (elementwise, layers, shapes)


class UnsupportedGraph(Exception):
    """The graph needs something this interpreter does not have; the text names it."""


@dataclass(frozen=True)
class _Node:
    name: str
    function: Operator
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes
    #: Values nobody needs after this node.
    dead: tuple[str, ...]


class TorchGraph:
    """One input, one output: the first of each.

    Raises `UnsupportedGraph` naming every operator that is missing.
    """

    def __init__(self, model: onnx.ModelProto, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        graph = model.graph
        self._opset = next((entry.version for entry in model.opset_import if entry.domain in _DOMAINS), 1)
        self._constants = {entry.name: _tensor(entry).to(self.device) for entry in graph.initializer}
        variables = [entry for entry in graph.input if entry.name not in self._constants]
        if len(variables) != 1:
            raise UnsupportedGraph(f"the graph has {len(variables)} inputs, one is expected")
        self.input = variables[0].name
        self.output = graph.output[0].name
        #: Where the output is a softmax over the last axis: what goes into it. Its gradient does not vanish.
        self.logits = _before_softmax(graph, self.output, self._opset)
        #: Bytes of all values made for one item, known after the first run.
        self.item_bytes = 0
        self._nodes = self._fold(self._read(graph))

    def _read(self, graph: onnx.GraphProto) -> list[_Node]:
        missing = sorted(
            {
                f"{node.domain}.{node.op_type}" if node.domain not in _DOMAINS else node.op_type
                for node in graph.node
                if node.domain not in _DOMAINS or node.op_type not in OPERATORS
            }
        )
        if missing:
            raise UnsupportedGraph(f"gradients are not supported for the ONNX operators {', '.join(missing)}")
        last: dict[str, int] = {}
        for index, node in enumerate(graph.node):
            last.update(dict.fromkeys(node.input, index))
        keep = {self.output, self.logits or self.output}
        nodes = []
        for index, node in enumerate(graph.node):
            attributes = {entry.name: _attribute(entry, self.device) for entry in node.attribute}
            attributes |= {"operator": node.op_type, "outputs": len(node.output)}
            dead = tuple(name for name in dict.fromkeys(node.input) if last[name] == index and name not in keep)
            function = OPERATORS[node.op_type]
            nodes.append(_Node(node.name, function, tuple(node.input), tuple(node.output), attributes, dead))
        return nodes

    def _fold(self, nodes: list[_Node]) -> list[_Node]:
        """Carry out at once every node that rests on constants only; return the others."""
        rest = []
        with torch.no_grad(), made_on(self.device):
            for node in nodes:
                if all(not name or name in self._constants for name in node.inputs):
                    self._constants |= self._run(node, self._constants)
                else:
                    rest.append(node)
        return rest

    def __call__(self, x: Tensor, *, logits: bool = False) -> Tensor:
        """The output for x of shape (n, *item); with `logits`, what goes into its final softmax, if there is one.

        x and the output are on the graph's device.
        """
        with made_on(self.device):
            return self._carry_out(x, logits)

    def _carry_out(self, x: Tensor, logits: bool) -> Tensor:
        wanted = self.logits if logits and self.logits is not None else self.output
        values: dict[str, Tensor] = {self.input: x}
        total = 0
        for node in self._nodes:
            made = self._run(node, values)
            total += sum(value.numel() * value.element_size() for value in made.values())
            values |= made
            if wanted in made:
                break
            for name in node.dead:
                values.pop(name, None)
        if not self.item_bytes:
            self.item_bytes = total // max(1, len(x)) + 1
        return values[wanted] if wanted in values else self._constants[wanted]

    def shapes(self, x: Tensor) -> dict[str, tuple[int, ...]]:
        """Shapes of all values made for x of shape (n, *item)."""
        values: dict[str, Tensor] = {self.input: x}
        found = {name: tuple(value.shape) for name, value in {**self._constants, **values}.items()}
        for node in self._nodes:
            made = self._run(node, values)
            found |= {name: tuple(value.shape) for name, value in made.items()}
            values |= made
            for name in node.dead:
                values.pop(name, None)
        return found

    def _run(self, node: _Node, values: dict[str, Tensor]) -> dict[str, Tensor]:
        inputs: Inputs = [self._value(name, values) if name else None for name in node.inputs]
        try:
            result = node.function(inputs, node.attributes, self._opset)
        except (ValueError, KeyError, RuntimeError, IndexError) as error:
            operator = node.attributes["operator"]
            raise UnsupportedGraph(f"ONNX operator {operator} (node {node.name or '?'}): {error}") from error
        results = result if isinstance(result, tuple) else (result,)
        return {name: value for name, value in zip(node.outputs, results, strict=False) if name}

    def _value(self, name: str, values: dict[str, Tensor]) -> Tensor:
        return values[name] if name in values else self._constants[name]


def _tensor(proto: onnx.TensorProto) -> Tensor:
    # A copy: torch wants memory it may write.
    return torch.from_numpy(np.array(numpy_helper.to_array(proto)))


def _attribute(entry: onnx.AttributeProto, device: torch.device) -> Any:
    value = onnx.helper.get_attribute_value(entry)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return _tensor(value).to(device)
    return list(value) if entry.type in (onnx.AttributeProto.INTS, onnx.AttributeProto.FLOATS) else value


def _before_softmax(graph: onnx.GraphProto, output: str, opset: int) -> str | None:
    producers = {name: node for node in graph.node for name in node.output}
    node = producers.get(output)
    while node is not None and node.op_type == "Identity":
        node = producers.get(node.input[0])
    if node is None or node.op_type != "Softmax":
        return None
    axis = next((entry.i for entry in node.attribute if entry.name == "axis"), -1 if opset >= 13 else 1)
    return node.input[0] if axis in (-1, 1) else None
