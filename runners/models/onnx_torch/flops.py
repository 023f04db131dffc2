"""Floating point operations of an ONNX graph: two for each multiply-add of its layers.

Counted: convolutions, matrix products, attention and recurrent layers. Activations, normalisations, pooling and the
like count nothing, as is the convention of published numbers. An operator that is neither is not passed over: the
count is refused with its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import onnx
import onnx.inliner
from onnx import shape_inference

Shape = tuple[int, ...]
#: Values larger than this are told to shape inference by their shape only: it needs no weights.
_SMALL = 1024

_FREE = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift BitwiseAnd
    BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu CenterCropPad Clip Col2Im Compress Concat Constant
    ConstantOfShape Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Elu Equal Erf Exp
    Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool
    Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN
    LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool Max MaxPool MaxUnpool Mean
    MeanVarianceNormalization Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QuantizeLinear RMSNormalization
    Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare Relu Reshape Resize ReverseSequence RotaryEmbedding Round Scatter ScatterElements ScatterND Selu
    Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum
    Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
"""
#: Operators without multiply-adds that count: element-wise, shape, pooling, normalisation and sorting operators.
FREE = frozenset(_FREE.split())


class Uncounted(Exception):
    """The operations cannot be counted; the text says why."""


class _Node:
    """A node with the shapes of its inputs and outputs."""

    def __init__(self, node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> None:
        self.kind = str(node.op_type)
        self.attributes: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        self._inputs, self._outputs, self._shapes = list(node.input), list(node.output), shapes

    def input(self, index: int) -> Shape:
        """Shape of an input. Raises `Uncounted` where it is not known."""
        return self._shape(self._inputs[index])

    def output(self) -> Shape:
        """Shape of the first output. Raises `Uncounted` where it is not known."""
        return self._shape(self._outputs[0])

    def given(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self._inputs) and bool(self._inputs[index])

    def _shape(self, name: str) -> Shape:
        if name not in self._shapes:
            raise Uncounted(f"the shape of {name!r} at the operator {self.kind} is not known before it is run")
        return self._shapes[name]


def _conv(node: _Node) -> int:
    return math.prod(node.output()) * math.prod(node.input(1)[1:])


def _conv_transpose(node: _Node) -> int:
    return math.prod(node.input(0)) * math.prod(node.input(1)[1:])


def _gemm(node: _Node) -> int:
    inner = node.input(0)[0 if node.attributes.get("transA", 0) else 1]
    return math.prod(node.output()) * inner


def _matmul(node: _Node) -> int:
    return math.prod(node.output()) * node.input(0)[-1]


def _recurrent(node: _Node) -> int:
    """Each step multiplies the input by W and the state by R, (directions, gates * hidden, ·); LSTM, GRU and RNN."""
    steps = math.prod(node.input(0)[:2])  # time and batch, in either layout
    return steps * (math.prod(node.input(1)) + math.prod(node.input(2)))


def _attention(node: _Node) -> int:
    """Queries against keys, and their weights against values; (batch, heads, items, width) or (batch, items, all)."""
    query, key, value = (node.input(index) for index in range(3))
    keys = key[-2] + (node.input(4)[-2] if node.given(4) else 0)
    if len(query) == 4:
        return math.prod(query[:3]) * keys * (query[3] + value[3])
    heads = int(node.attributes["q_num_heads"])
    per_head = value[2] // int(node.attributes["kv_num_heads"])
    return math.prod(query[:2]) * keys * (query[2] + heads * per_head)


def _einsum(node: _Node) -> int:
    """Two operands: the product of the sizes of all letters."""
    text = node.attributes["equation"].decode().replace(" ", "")
    terms = text.split("->")[0].split(",")
    if len(terms) > 2 or "." in text:
        raise Uncounted(f"the operator Einsum with the equation {text!r} is not counted")
    sizes = {
        letter: size for index, term in enumerate(terms) for letter, size in zip(term, node.input(index), strict=True)
    }
    return math.prod(sizes.values()) if len(terms) == 2 else 0


#: Multiply-adds of a node.
COUNTED: dict[str, Callable[[_Node], int]] = {
    "Conv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _gemm, "MatMul": _matmul, "Attention": _attention,
    "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent, "Einsum": _einsum,
}  # fmt: skip


def parameters(model: onnx.ModelProto) -> int:
    """Numbers that the file holds, those that normalisation layers remember included; indices and shapes are none."""
    left_out = (onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.STRING)
    constants = [
        a.t for node in model.graph.node if node.op_type == "Constant" for a in node.attribute if a.HasField("t")
    ]
    tensors = (*model.graph.initializer, *constants)
    return sum(math.prod(entry.dims) for entry in tensors if entry.data_type not in left_out)


def flops(model: onnx.ModelProto, shapes: Mapping[str, Shape] | None = None) -> int:
    """Operations of one item: twice the multiply-adds.

    Args:
        shapes: of the values of one item, where a run has shown them; else they are inferred.

    Raises:
        Uncounted: an operator is not known, or a shape cannot be told; the text names it.
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    foreign = sorted({_name(n) for n in model.graph.node if _name(n) not in COUNTED and _name(n) not in FREE})
    if foreign:
        raise Uncounted(f"the operators {', '.join(foreign)} are not counted")
    known = dict(shapes) if shapes is not None else {}
    known |= {entry.name: tuple(entry.dims) for entry in model.graph.initializer}
    if shapes is None:
        known = _inferred(model) | known
    nodes = _varying(model.graph)
    total = sum(COUNTED[_name(node)](_Node(node, known)) for node in nodes if _name(node) in COUNTED)
    return 2 * total // _items(model)


def _name(node: onnx.NodeProto) -> str:
    return str(node.op_type) if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _varying(graph: onnx.GraphProto) -> Iterable[onnx.NodeProto]:
    """Nodes that depend on the input: the others are carried out once, not for each item."""
    constant = {entry.name for entry in graph.initializer}
    for node in graph.node:
        if all(not name or name in constant for name in node.input):
            constant |= set(node.output)
        else:
            yield node


def _input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    known = {entry.name for entry in model.graph.initializer}
    return next(entry for entry in model.graph.input if entry.name not in known)


def _items(model: onnx.ModelProto) -> int:
    """Items that the graph takes at once; one where it takes any number, for that is what is asked of it here."""
    dims = _input(model).type.tensor_type.shape.dim
    return int(dims[0].dim_value) if dims and dims[0].dim_value > 0 else 1


def _inferred(model: onnx.ModelProto) -> dict[str, Shape]:
    """Shapes of all values that can be told from the graph, for one item."""
    first = _input(model).name
    light = _without_weights(model)
    dims = next(entry for entry in light.graph.input if entry.name == first).type.tensor_type.shape.dim
    if dims and dims[0].dim_value <= 0:
        dims[0].dim_value = 1
    # What the file claims of later values may name its own batch: it is inferred anew.
    del light.graph.value_info[:]
    for entry in light.graph.output:
        entry.type.tensor_type.ClearField("shape")
    try:
        graph = shape_inference.infer_shapes(light, data_prop=True).graph
    except Exception as error:  # it raises what it likes on graphs it cannot make sense of
        raise Uncounted(f"the shapes of the graph cannot be told: {error}") from error
    found = {}
    for entry in (*graph.input, *graph.value_info, *graph.output):
        sizes = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
        if entry.type.tensor_type.HasField("shape") and all(size > 0 for size in sizes):
            found[entry.name] = tuple(sizes)
    return found


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with large initialisers as further inputs of their shape: a copy costs no memory to speak of."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.graph.name = model.graph.name
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.output.extend(model.graph.output)
    named = {entry.name for entry in model.graph.input}
    for entry in model.graph.initializer:
        if math.prod(entry.dims) <= _SMALL:
            light.graph.initializer.append(entry)
        elif entry.name not in named:
            light.graph.input.append(onnx.helper.make_tensor_value_info(entry.name, entry.data_type, list(entry.dims)))
    return light
