"""Operations of ONNX graphs: published and hand-counted totals, and refusals that name what is not counted."""

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from runners.models.onnx_torch.flops import Uncounted, flops, parameters
from runners.models.weights_server import size_of


def graph(nodes, inputs, outputs, weights=(), *, opset=18, domains=()):
    """A model of nodes; `inputs` and `outputs` map names to shapes, `weights` names to shapes or arrays."""
    made = [
        numpy_helper.from_array(w if isinstance(w, np.ndarray) else np.zeros(w, np.float32), name)
        for name, w in dict(weights).items()
    ]
    shown = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in named.items()]
        for named in (inputs, outputs)
    ]
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(helper.make_graph(nodes, "g", *shown, made), opset_imports=opsets)


class Block(nn.Module):
    def __init__(self, into, out, stride):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        same = stride == 1 and into == out
        self.side = nn.Sequential() if same else nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False))

    def forward(self, x):
        return torch.relu(self.main(x) + self.side(x))


def exported(net, *shape, batch=None):
    file = io.BytesIO()
    axes = {} if batch else {"x": {0: "n"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), torch.zeros(batch or 1, *shape), file, dynamo=False, input_names=["x"], dynamic_axes=axes
        )
    return onnx.load_from_string(file.getvalue())


def resnet18():
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    into = 64
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(into, out, stride), Block(out, out, 1)]
        into = out
    return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(512, 10))


def test_resnet18_on_cifar_has_the_published_count():
    """555 422 720 multiply-adds; counters that print 556 to 558 million count normalisation as well."""
    assert flops(exported(resnet18(), 3, 32, 32)) == 2 * 555_422_720 == 1_110_845_440


def test_a_fixed_batch_is_shared_among_its_items():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 5))
    by_hand = 2 * (8 * 36 * 27 + 8 * 36 * 5)
    assert flops(exported(net, 3, 8, 8)) == flops(exported(net, 3, 8, 8, batch=4)) == by_hand


@pytest.mark.parametrize("opset", [23, 24])
def test_attention(opset):
    shape = [1, 4, 64, 32]
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"])
    model = graph([node], {"q": shape}, {"y": shape}, {"k": shape, "v": shape}, opset=opset)
    assert flops(model) == 2 * 2 * 4 * 64 * 64 * 32 == 2_097_152


def test_attention_written_out_and_packed():
    shape = [1, 4, 64, 32]
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["x", "t"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"]),
        helper.make_node("MatMul", ["p", "x"], ["y"]),
    ]
    assert flops(graph(nodes, {"x": shape}, {"y": shape})) == 2_097_152
    packed = helper.make_node("Attention", ["q", "k", "v"], ["y"], q_num_heads=4, kv_num_heads=4)
    flat = [1, 64, 128]
    assert flops(graph([packed], {"q": flat}, {"y": flat}, {"k": flat, "v": flat}, opset=23)) == 2_097_152


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("both", [1, 2])
def test_recurrent_layers(kind, gates, both):
    node = helper.make_node(
        kind, ["t", "w", "r"], ["y"], hidden_size=32, direction="bidirectional" if both == 2 else "forward"
    )
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), node]
    weights = {"w": (both, gates * 32, 32), "r": (both, gates * 32, 32)}
    model = graph(nodes, {"x": ["n", 16, 32]}, {"y": [16, both, "n", 32]}, weights)
    assert flops(model) == both * 16 * 2 * gates * 32 * 64
    if (kind, both) == ("LSTM", 1):
        assert flops(model) == 262_144


def test_torchs_lstm():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(32, 32, batch_first=True), nn.Linear(32, 2)

        def forward(self, x):
            return self.out(self.lstm(x)[0][:, -1])

    told = size_of(exported(Last(), 16, 32))
    assert told["flops"] == 262_144 + 2 * 64
    # ONNX joins the two biases of each gate, and keeps states of zeros that are made at run time.
    assert told["parameters"] >= 2 * 4 * 32 * 32 + 2 * 4 * 32 + 66


CONVOLUTIONS = [
    nn.Conv2d(4, 6, 3, 2, 1),
    nn.Conv2d(4, 8, 3, groups=4),
    nn.ConvTranspose2d(4, 6, 3, 2),
    nn.Conv2d(4, 6, 5, dilation=2),
]


@pytest.mark.parametrize("net", CONVOLUTIONS)
def test_convolutions_are_torchs_count(net):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 4, 16, 16))
    assert flops(exported(net, 4, 16, 16)) == counter.get_total_flops()


def test_einsum_of_two():
    node = helper.make_node("Einsum", ["x", "w"], ["y"], equation="nij,jk->nik")
    assert flops(graph([node], {"x": ["n", 5, 6]}, {"y": ["n", 5, 7]}, {"w": (6, 7)})) == 2 * 5 * 6 * 7
    three = helper.make_node("Einsum", ["x", "w", "v"], ["y"], equation="ni,ij,jk->nk")
    with pytest.raises(Uncounted, match="Einsum"):
        flops(graph([three], {"x": ["n", 5]}, {"y": ["n", 7]}, {"w": (5, 6), "v": (6, 7)}))


@pytest.mark.parametrize(("kind", "domain"), [("Det", ""), ("TreeEnsembleClassifier", "ai.onnx.ml"), ("Loop", "")])
def test_what_is_not_counted_is_named(kind, domain):
    node = helper.make_node(kind, ["x"], ["y"], domain=domain)
    model = graph([node], {"x": ["n", 4, 4]}, {"y": ["n"]}, domains=[domain] if domain else [])
    name = f"{domain}.{kind}" if domain else kind
    with pytest.raises(Uncounted, match=f"operators {name} are not counted"):
        flops(model)
    assert size_of(model) == {"parameters": 0, "flops": None, "uncounted": f"the operators {name} are not counted"}


def test_every_operator_that_can_be_run_is_counted_or_free():
    from runners.models.onnx_torch.flops import COUNTED, FREE
    from runners.models.onnx_torch.registry import OPERATORS

    assert set(OPERATORS) - FREE - set(COUNTED) == set()
    assert FREE & set(COUNTED) == set()


def test_a_shape_that_follows_from_values_is_known_once_it_has_run():
    """The width of a Reshape is taken from the input: shape inference gives up, a run does not."""
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["i"], to=TensorProto.INT64),
        helper.make_node("Mul", ["i", "zero"], ["none"]),
        helper.make_node("Add", ["none", "wide"], ["shape"]),
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    weights = {
        "zero": np.zeros(2, np.int64), "wide": np.array([-1, 6], np.int64), "w": np.ones((6, 3), np.float32),
    }  # fmt: skip
    model = graph(nodes, {"x": ["n", 2, 3]}, {"y": ["n", 3]}, weights)
    with pytest.raises(Uncounted, match="MatMul"):
        flops(model)
    assert size_of(model) == {"parameters": 18, "flops": 2 * 6 * 3, "uncounted": ""}


def test_what_does_not_depend_on_the_input_costs_nothing():
    nodes = [helper.make_node("MatMul", ["a", "b"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = graph(nodes, {"x": ["n", 4]}, {"y": ["n", 2]}, {"a": (4, 100), "b": (100, 2)})
    assert flops(model) == 2 * 4 * 2
    assert parameters(model) == 600


class Pooled(nn.Module):
    """One matrix for each token, attention without weights, and the mean: 2·L·8·8 + 2·2·L·L·8 + 2·8·3 operations."""

    def __init__(self):
        super().__init__()
        self.each, self.out = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = self.each(x)
        return self.out((torch.softmax(h @ h.transpose(1, 2), dim=-1) @ h).mean(dim=1))


def test_a_graph_of_any_length_is_counted_at_the_usual_one():
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Pooled().eval(), torch.zeros(1, 5, 8), file, dynamo=False, input_names=["x"],
            dynamic_axes={"x": {0: "n", 1: "length"}},
        )  # fmt: skip
    model = onnx.load_from_string(file.getvalue())
    assert size_of(model)["flops"] is None
    for length in (16, 64):
        told = size_of(model, (length, 8))
        assert told["flops"] == 2 * length * 8 * 8 + 2 * 2 * length * length * 8 + 2 * 8 * 3
        assert told["uncounted"] == ""
