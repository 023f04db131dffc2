"""Where torch computes: which device is chosen, that everything goes there and comes back, and says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from runners.measure import measure
from runners.models import weights_server
from runners.models.base import Gradient
from runners.models.onnx_torch import TorchGraph, device
from runners.models.onnx_torch import graph as graph_module
from runners.models.weights_server import TorchModel
from tests.factories.runner_models import model_context

RNG = np.random.default_rng(3)
CPU = torch.device("cpu")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


def network() -> onnx.ModelProto:
    """Convolution, padded pooling (it makes a tensor of its own), product, softmax: (n, 1, 8, 8) to two classes."""
    constants = {
        "k": RNG.normal(size=(4, 1, 3, 3)), "b": RNG.normal(size=4), "w": RNG.normal(size=(64, 2)) / 4,
        "half": np.array([0.5]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Sub", ["x", "half"], ["c"]),
        helper.make_node("Conv", ["c", "k", "b"], ["h"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("AveragePool", ["r"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


MODEL = network()


def served(place: torch.device, memory: int = 2**28) -> TorchModel:
    return TorchModel(TorchGraph(MODEL, place), probabilities=True, memory=memory, batch=None)


def images(n: int = 40) -> np.ndarray:
    return np.random.default_rng(1).random((n, 1, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("wanted", "variable", "there", "found"),
    [
        (None, None, True, "cuda"), (None, None, False, "cpu"), ("auto", None, True, "cuda"),
        ("cpu", None, True, "cpu"), ("cuda", None, True, "cuda"), (None, "cpu", True, "cpu"),
        (None, "cuda", True, "cuda"), ("cpu", "cuda", True, "cpu"), (None, "", False, "cpu"),
    ],
)  # fmt: skip
def test_the_device_is_what_is_asked_for_else_what_is_there(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, variable: str | None, there: bool, found: str
) -> None:
    settled = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(device, "settle", lambda: settled.append(True))
    if variable is None:
        monkeypatch.delenv(device.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(device.VARIABLE, variable)
    assert device.chosen_device(wanted).type == found
    assert len(settled) == (found == "cuda")


@pytest.mark.parametrize(("wanted", "words"), [("cuda", "sees none"), ("tpu", "auto, cpu, cuda")])
def test_a_device_that_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch, wanted: str, words: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=words):
        device.chosen_device(wanted)


def test_cuda_is_told_to_answer_alike_and_in_whole_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    torch.set_float32_matmul_precision("medium")
    try:
        device.settle()
        assert torch.get_deterministic_debug_mode() == 1
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cudnn.benchmark
    finally:
        torch.set_deterministic_debug_mode("default")
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before[1:]


def test_what_operators_make_is_made_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with device.made_on(torch.device("meta")):
        assert torch.zeros(2).device.type == "meta"
    with device.made_on(CPU):
        assert torch.zeros(2).device == CPU
    places = []

    def made_on(place: torch.device) -> Any:
        places.append(place)
        return device.made_on(place)

    monkeypatch.setattr(graph_module, "made_on", made_on)
    graph = TorchGraph(MODEL, CPU)
    graph(torch.from_numpy(images(2)))
    assert places == [CPU, CPU]  # what rests on constants only is carried out at once


def test_what_is_asked_goes_to_the_device_and_what_is_answered_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[tuple[tuple[int, ...], torch.device]] = []
    back: list[tuple[int, ...]] = []

    def moved(array: Any, place: torch.device) -> torch.Tensor:
        gone.append((array.shape, place))
        return torch.from_numpy(array).to(place)

    def brought(tensor: torch.Tensor) -> Any:
        back.append(tuple(tensor.shape))
        return tensor.detach().cpu().numpy()

    x, y = images(6), np.array([0, 1, 0, 1, 0, 1])
    plain = served(CPU)
    expected = plain.predict(x), plain.gradient(x, y, "cross_entropy")
    monkeypatch.setattr(weights_server, "moved", moved)
    monkeypatch.setattr(weights_server, "brought", brought)
    model = served(CPU)
    answers, found = model.predict(x), model.gradient(x, y, "cross_entropy")
    assert (answers == expected[0]).all()
    assert [part.dtype for part in found] == [np.float64, np.float32, np.float64]
    assert all((a == b).all() for a, b in zip(found, expected[1], strict=True))
    assert gone == [(x[:1].shape, CPU), (x.shape, CPU), (y.shape, CPU), (x.shape, CPU)]
    assert back == [(6, 2), (6,), x.shape, (6, 2)]


def test_the_room_on_a_device_is_what_is_free_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (123, 456))
    assert device.free_memory(torch.device("cuda"), 7) == 123
    assert device.free_memory(CPU, 7) == 7


def test_the_server_says_what_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(MODEL, tmp_path / "m.onnx")
    told: dict[str, Any] = {}
    monkeypatch.setattr(weights_server, "serve", lambda _predict, **given: told.update(given))
    weights_server.main([str(tmp_path / "m.onnx"), "--device", "cpu"])
    assert told["parameters"]["device"] == "cpu"
    assert told["gradient"] is not None
    json.dumps(told["parameters"])


class _InProcess:
    """A model of this process behind the interface that attacks ask."""

    access = frozenset({"queries", "gradients"})

    def __init__(self, place: torch.device) -> None:
        self._model, self.queries, self.calls = served(place), 0, 0

    def predict(self, x: Any) -> Any:
        self.queries, self.calls = self.queries + len(x), self.calls + 1
        answer = self._model.predict(x).astype(np.float64)
        return answer / answer.sum(axis=1, keepdims=True)

    def gradient(self, x: Any, y: Any, *, loss: str = "cross_entropy") -> Gradient:
        self.queries, self.calls = self.queries + len(x), self.calls + 1
        return Gradient(*self._model.gradient(x, y, loss))


@cuda
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_cuda_answers_and_gradients_are_the_processors(loss: str) -> None:
    device.settle()
    place, x = torch.device("cuda"), images()
    y = np.arange(len(x)) % 2
    np.testing.assert_allclose(served(place).predict(x), served(CPU).predict(x), rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(served(place).gradient(x, y, loss), served(CPU).gradient(x, y, loss), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    again = served(place).gradient(x, y, loss)
    assert all((a == b).all() for a, b in zip(served(place).gradient(x, y, loss), again, strict=True))


@cuda
def test_robust_accuracy_is_the_same_on_cuda() -> None:
    device.settle()
    values = []
    for place in (CPU, torch.device("cuda")):
        model, x = _InProcess(place), images(60)
        labels = served(CPU).predict(x).argmax(axis=1)
        ctx = model_context(model, x, labels)
        given = {"attack": "pgd", "eps": 0.05, "check_items": 0}
        values.append(next(iter(measure("robustness.attack", "a", given, ctx))).value)
    assert values[0] == pytest.approx(values[1], abs=1 / 60)
