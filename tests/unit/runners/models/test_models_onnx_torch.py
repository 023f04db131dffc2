"""The torch interpreter of ONNX graphs against onnxruntime: hand-made graphs and exported modules."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from runners.models.onnx_torch import TorchGraph, UnsupportedGraph

RNG = np.random.default_rng(7)


def _graph(
    nodes: list[onnx.NodeProto], shape: list[Any], *, opset: int = 17, constants: dict[str, np.ndarray] | None = None,
    output: int = TensorProto.FLOAT,
) -> onnx.ModelProto:  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _node(kind: str, inputs: str = "x", outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(" "), outputs.split(" "), **attributes)


def _same(model: onnx.ModelProto, x: np.ndarray, tolerance: float = 1e-5) -> None:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = session.run(["y"], {session.get_inputs()[0].name: x})[0]
    ours = TorchGraph(model)(torch.from_numpy(x)).detach().numpy()
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def _x(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


UNARY = [
    ("Relu", {}), ("LeakyRelu", {"alpha": 0.2}), ("Elu", {"alpha": 0.7}), ("Selu", {}), ("Sigmoid", {}), ("Tanh", {}),
    ("Softplus", {}), ("Softsign", {}), ("HardSigmoid", {"alpha": 0.3}), ("HardSwish", {}),
    ("Neg", {}), ("Abs", {}), ("Exp", {}),
    ("Erf", {}), ("Floor", {}), ("Ceil", {}), ("Round", {}), ("Sign", {}), ("Identity", {}), ("Flatten", {"axis": 2}),
    ("Flatten", {"axis": 0}), ("Transpose", {}), ("Transpose", {"perm": [0, 2, 1, 3]}), ("Softmax", {"axis": 1}),
    ("LogSoftmax", {"axis": -1}), ("GlobalAveragePool", {}), ("GlobalMaxPool", {}), ("ReduceMean", {"axes": [2, 3]}),
    ("ReduceMax", {"axes": [1], "keepdims": 0}), ("ReduceMin", {}), ("ReduceL2", {"axes": [-1]}),
    ("Celu", {"alpha": 0.8}),
    ("ReduceLogSumExp", {"axes": [1]}), ("ReduceProd", {"axes": [1, 2], "keepdims": 0}),
    ("ThresholdedRelu", {"alpha": 0.3}),
    ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 0, 1]}),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ("DepthToSpace", {"blocksize": 2}), ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}),
    ("LRN", {"size": 3}), ("LpNormalization", {"axis": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "attributes"), UNARY, ids=[f"{k}-{i}" for i, (k, _) in enumerate(UNARY)])
def test_operators_of_one_input(kind: str, attributes: dict[str, Any]) -> None:
    _same(_graph([_node(kind, **attributes)], ["n", 4, 7, 5]), _x(3, 4, 7, 5))


@pytest.mark.parametrize("kind", ["Sqrt", "Log", "Reciprocal"])
def test_operators_of_positive_numbers(kind: str) -> None:
    _same(_graph([_node(kind)], ["n", 5]), np.abs(_x(4, 5)) + 0.1)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "Min", "Max", "PRelu", "Mean", "Sum"])
def test_operators_of_two_inputs_broadcast(kind: str) -> None:
    _same(_graph([_node(kind, "x c")], ["n", 3, 4], constants={"c": np.abs(_x(1, 3, 4)) + 0.5}), _x(2, 3, 4))


def test_pow_with_an_integer_exponent() -> None:
    _same(_graph([_node("Pow", "x c")], ["n", 4], constants={"c": np.array(2, np.int64)}), _x(3, 4))


@pytest.mark.parametrize("kind", ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"])
def test_where_on_a_comparison(kind: str) -> None:
    nodes = [_node(kind, "x c", "m"), _node("Not", "m", "o"), _node("Where", "o x c")]
    _same(_graph(nodes, ["n", 4], constants={"c": np.zeros(4, np.float32)}), np.round(_x(6, 4)))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"pads": [1, 2, 0, 1]},
        {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 1, 1, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 3]},
        {"auto_pad": "VALID"},
    ],
)
@pytest.mark.parametrize("group", [1, 2])
def test_convolutions(attributes: dict[str, Any], group: int) -> None:
    constants = {"w": _x(6, 4 // group, 3, 3), "b": _x(6)}
    model = _graph([_node("Conv", "x w b", group=group, **attributes)], ["n", 4, 9, 8], constants=constants)
    _same(model, _x(2, 4, 9, 8))


def test_convolution_in_one_dimension() -> None:
    model = _graph([_node("Conv", "x w", pads=[1, 1])], ["n", 2, 9], constants={"w": _x(3, 2, 3)})
    _same(model, _x(2, 2, 9))


@pytest.mark.parametrize(
    "attributes",
    [{}, {"strides": [2, 2], "pads": [1, 0, 1, 1], "output_padding": [1, 1]}, {"group": 2, "dilations": [2, 1]}],
)
def test_transposed_convolutions(attributes: dict[str, Any]) -> None:
    constants = {"w": _x(4, 3, 3, 3), "b": _x(3 * attributes.get("group", 1))}
    _same(_graph([_node("ConvTranspose", "x w b", **attributes)], ["n", 4, 5, 6], constants=constants), _x(2, 4, 5, 6))


def test_gemm_with_all_its_attributes() -> None:
    constants = {"b": _x(3, 5), "c": _x(3)}
    model = _graph([_node("Gemm", "x b c", alpha=0.5, beta=2.0, transB=1)], ["n", 5], constants=constants)
    _same(model, _x(4, 5))


def test_normalisations() -> None:
    scales = {name: np.abs(_x(4)) + 0.1 for name in ("s", "b", "m", "v")}
    _same(_graph([_node("BatchNormalization", "x s b m v")], ["n", 4, 3], constants=scales), _x(5, 4, 3))
    _same(_graph([_node("InstanceNormalization", "x s b")], ["n", 4, 6], constants=scales), _x(5, 4, 6))
    _same(_graph([_node("LayerNormalization", "x s b")], ["n", 3, 4], constants=scales), _x(5, 3, 4))


SHAPED: list[tuple[str, list[onnx.NodeProto], dict[str, np.ndarray]]] = [
    ("reshape", [_node("Reshape", "x c")], {"c": np.array([0, -1])}),
    ("squeeze", [_node("Unsqueeze", "x c", "u"), _node("Squeeze", "u c")], {"c": np.array([1, -1])}),
    (
        "slice", [_node("Slice", "x s e a t")],
        {"s": np.array([-1, 0]), "e": np.array([-99, 3]), "a": np.array([2, 1]), "t": np.array([-2, 2])},
    ),
    ("gather", [_node("Gather", "x c", axis=2)], {"c": np.array([[0, -1], [2, 1]])}),
    ("gather-elements", [_node("GatherElements", "x c", axis=1)], {"c": np.zeros((2, 2, 6), np.int64) - 1}),
    ("split", [_node("Split", "x c", "a y", axis=2)], {"c": np.array([2, 4])}),
    ("pad", [_node("Pad", "x c v")], {"c": np.array([0, 1, 2, 0, 0, 1]), "v": np.array(0.5, np.float32)}),
    ("pad-reflect", [_node("Pad", "x c", mode="reflect")], {"c": np.array([0, 0, 2, 0, 0, 1])}),
    ("pad-edge", [_node("Pad", "x c", mode="edge")], {"c": np.array([0, 1, 2, 0, 1, 1])}),
    ("expand", [_node("Expand", "x c")], {"c": np.array([3, 1, 4, 6])}),
    ("tile", [_node("Tile", "x c")], {"c": np.array([1, 2, 2])}),
    ("concat", [_node("Concat", "x x", axis=1)], {}),
    ("reduce-sum", [_node("ReduceSum", "x c", keepdims=0)], {"c": np.array([1])}),
    ("trilu", [_node("Trilu", "x c", upper=0)], {"c": np.array(1)}),
    ("dropout", [_node("Dropout", "x", "y m")], {}),
    ("clip", [_node("Clip", "x l h")], {"l": np.array(-0.5, np.float32), "h": np.array(0.5, np.float32)}),
    ("clip-above", [helper.make_node("Clip", ["x", "", "h"], ["y"])], {"h": np.array(0.5, np.float32)}),
    (
        "batch-of-shape",
        [
            _node("Shape", "x", "s"), _node("Gather", "s i", "n"), _node("Unsqueeze", "n z", "u"),
            _node("Concat", "u m", "t", axis=0), _node("Reshape", "x t"),
        ],
        {"i": np.array(0), "z": np.array([0]), "m": np.array([-1])},
    ),
    (
        "constant-of-shape",
        [
            _node("Shape", "x", "s"),
            _node("ConstantOfShape", "s", "o", value=numpy_helper.from_array(np.float32([2.5]))),
            _node("Mul", "x o"),
        ],
        {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "nodes", "constants"), SHAPED, ids=[name for name, _, _ in SHAPED])
def test_operators_that_move_data(name: str, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> None:
    _same(_graph(nodes, ["n", 4, 6], constants=constants), _x(2, 4, 6))


@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
def test_arg(kind: str) -> None:
    _same(_graph([_node(kind, axis=1, keepdims=0)], ["n", 5], output=TensorProto.INT64), _x(3, 5))


def test_old_opsets_give_axes_as_attributes_and_flatten_softmax() -> None:
    nodes = [
        _node("Unsqueeze", "x", "u", axes=[1]), _node("Slice", "u", "s", starts=[0], ends=[3], axes=[2]),
        _node("Pad", "s", "p", pads=[0, 0, 1, 0, 0, 1]), _node("Clip", "p", "c", min=-1.0, max=1.0),
        _node("Softmax", "c"),
    ]  # fmt: skip
    _same(_graph(nodes, ["n", 4], opset=9), _x(3, 4))


@pytest.mark.parametrize(
    ("mode", "place", "factor"),
    [("nearest", "asymmetric", 2.0), ("linear", "half_pixel", 1.5), ("linear", "align_corners", 2.0)],
)
def test_resize(mode: str, place: str, factor: float) -> None:
    constants = {"s": np.array([1, 1, factor, factor], np.float32)}
    node = helper.make_node(
        "Resize", ["x", "", "s"], ["y"], mode=mode, coordinate_transformation_mode=place, nearest_mode="floor"
    )
    _same(_graph([node], ["n", 3, 6, 4], constants=constants), _x(2, 3, 6, 4))


def test_an_unknown_operator_is_named() -> None:
    with pytest.raises(UnsupportedGraph, match=r"Hardmax, ai\.example\.Magic"):
        TorchGraph(
            _graph([_node("Hardmax", "x", "h"), helper.make_node("Magic", ["h"], ["y"], domain="ai.example")], ["n", 3])
        )


def test_a_graph_of_two_inputs_is_refused() -> None:
    model = _graph([_node("Add", "x z")], ["n", 3])
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 3]))
    with pytest.raises(UnsupportedGraph, match="2 inputs"):
        TorchGraph(model)


class _Residual(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.SiLU())
        self.body = nn.Sequential(
            nn.Conv2d(8, 8, 3, 1, 1, groups=4), nn.GroupNorm(2, 8), nn.GELU(), nn.AvgPool2d(3, 1, 1)
        )
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 5), nn.Softmax(-1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.body(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(tokens.mean(1))


def export(module: torch.nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about its own exporter
        torch.onnx.export(
            module.eval(), (example,), buffer, dynamo=False, input_names=["x"], output_names=["y"],
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, opset_version=17,
        )  # fmt: skip
    return onnx.load_from_string(buffer.getvalue())


def test_an_exported_network_and_its_gradient() -> None:
    torch.manual_seed(0)
    module = _Residual()
    model = export(module, torch.zeros(2, 3, 16, 16))
    x = _x(5, 3, 16, 16)
    _same(model, x)
    ours = torch.from_numpy(x).requires_grad_()
    theirs = torch.from_numpy(x).requires_grad_()
    (a,) = torch.autograd.grad(TorchGraph(model)(ours)[:, 1].sum(), ours)
    (b,) = torch.autograd.grad(module(theirs)[:, 1].sum(), theirs)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_the_value_before_a_final_softmax_is_found() -> None:
    model = _graph(
        [_node("Mul", "x c", "z"), _node("Softmax", "z", "y", axis=-1)], ["n", 3], constants={"c": np.float32([2])}
    )
    x = torch.from_numpy(_x(4, 3))
    graph = TorchGraph(model)
    torch.testing.assert_close(graph(x, logits=True), 2 * x)
    torch.testing.assert_close(graph(x), torch.softmax(2 * x, -1))
