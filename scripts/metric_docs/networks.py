"""Models that answer in this process: the baselines of the ready-made competitions, and small ones trained here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import nn

from runners.models.base import Access, Gradient, Loss
from runners.models.onnx_torch import TorchGraph
from runners.models.weights_server import TorchModel
from scripts.competitions.train_garments import BATCH, perturbed

Floats = npt.NDArray[np.float64]
Inputs = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BOTH: frozenset[Access] = frozenset({"queries", "gradients"})
QUERIES: frozenset[Access] = frozenset({"queries"})
_MEMORY = 2**30


def softmax(z: Floats) -> Floats:
    """Rows that sum to one."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass
class OnnxModel:
    """An ONNX file as the judge would ask it: the platform's own forward and gradient, without sandbox and protocol."""

    path: Path
    logits: bool
    access: frozenset[Access] = BOTH
    queries: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        graph = TorchGraph(onnx.load(self.path))
        self._model = TorchModel(graph, probabilities=not self.logits, memory=_MEMORY, batch=None)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0].name
        # As the judge's own server: the runtime answers, and torch gives the gradients.
        self._model.forward = lambda x: np.asarray(session.run(None, {given: x})[0])

    def predict(self, x: Inputs) -> Floats:
        """Probabilities (n, classes)."""
        self.queries, self.calls = self.queries + len(x), self.calls + 1
        answer = self._model.predict(np.ascontiguousarray(x)).astype(np.float64)
        return softmax(answer) if self.logits else answer / answer.sum(axis=1, keepdims=True)

    def gradient(self, x: Inputs, y: Ints, *, loss: Loss = "cross_entropy") -> Gradient:
        """Loss of x against y, its gradient, and the logits."""
        self.queries, self.calls = self.queries + len(x), self.calls + 1
        losses, gradient, logits = self._model.gradient(np.ascontiguousarray(x), y, loss)
        return Gradient(loss=losses, gradient=gradient, logits=logits)


@dataclass
class TorchSurrogate:
    """A network of `dense` with its gradients."""

    network: nn.Sequential
    access: frozenset[Access] = BOTH
    queries: int = 0
    calls: int = 0

    def predict(self, x: Inputs) -> Floats:
        """Probabilities (n, classes)."""
        self.queries, self.calls = self.queries + len(x), self.calls + 1
        with torch.no_grad():
            return softmax(self.network(torch.from_numpy(np.ascontiguousarray(x))).double().numpy())

    def gradient(self, x: Inputs, y: Ints, *, loss: Loss = "cross_entropy") -> Gradient:
        """Loss of x against y, its gradient, and the logits."""
        self.queries, self.calls = self.queries + len(x), self.calls + 1
        variable = torch.from_numpy(np.ascontiguousarray(x)).requires_grad_()
        logits, rows = self.network(variable), torch.arange(len(y))
        labels = torch.from_numpy(y)
        if loss == "cross_entropy":
            losses = nn.functional.cross_entropy(logits, labels, reduction="none")
        else:
            others = logits.clone()
            others[rows, labels] = -torch.inf
            losses = others.amax(dim=1) - logits[rows, labels]
        (gradient,) = torch.autograd.grad(losses.sum(), variable)
        return Gradient(losses.detach().double().numpy(), gradient.numpy(), logits.detach().double().numpy())


@dataclass
class NumpyModel:
    """Dense layers with rectifiers between, given as (weight, bias) pairs; `sigmoid` for one output of two classes."""

    layers: list[tuple[Floats, Floats]]
    sigmoid: bool = False
    access: frozenset[Access] = QUERIES
    queries: int = 0
    calls: int = 0

    def predict(self, x: Inputs) -> Floats:
        """Probabilities (n, classes)."""
        self.queries, self.calls = self.queries + len(x), self.calls + 1
        h = x.reshape(len(x), -1).astype(np.float64)
        for place, (weight, bias) in enumerate(self.layers):
            h = (np.maximum(h, 0) if place else h) @ weight + bias
        if self.sigmoid:
            h = np.column_stack([np.zeros(len(x)), h])
        return softmax(h)

    def gradient(self, x: Inputs, y: Ints, *, loss: Loss = "cross_entropy") -> Gradient:
        """It gives none."""
        raise NotImplementedError


def dense(hidden: int) -> nn.Sequential:
    """784 → hidden → 10; answers logits."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def fit(x: Inputs, y: Ints, *, hidden: int, epochs: int, seed: int) -> nn.Sequential:
    """A network with one hidden layer, by Adam and nothing that would keep it from learning items by heart."""
    torch.manual_seed(seed)
    network = dense(hidden)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    _epochs(network, optimiser, x, y, epochs, adversarial=False)
    return network.eval()


def checkpoints(x: Inputs, y: Ints, epochs: list[int], *, decay: float, seed: int) -> list[nn.Sequential]:
    """The same network after each of `epochs` epochs of adversarial training."""
    torch.manual_seed(seed)
    network = dense(128)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=decay)
    found, done = [], 0
    for epoch in epochs:
        _epochs(network, optimiser, x, y, epoch - done, adversarial=True)
        copy = dense(128)
        copy.load_state_dict(network.state_dict())
        found.append(copy.eval())
        done = epoch
    return found


def _epochs(
    network: nn.Module, optimiser: torch.optim.Optimizer, x: Inputs, y: Ints, epochs: int, *, adversarial: bool
) -> None:
    items, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(epochs):
        for part in torch.randperm(len(labels)).split(BATCH):
            given = perturbed(network, items[part], labels[part]) if adversarial else items[part]
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(given), labels[part]).backward()
            optimiser.step()


def weights(network: nn.Sequential) -> list[tuple[Floats, Floats]]:
    """The layers of `dense` for a `NumpyModel`."""
    state = {key: value.double().numpy() for key, value in network.state_dict().items()}
    return [(state["1.weight"].T, state["1.bias"]), (state["3.weight"].T, state["3.bias"])]


def answers_under_attack(network: nn.Sequential, x: Inputs, y: Ints, *, seed: int) -> Floats:
    """Probabilities for items that PGD changed against this network."""
    torch.manual_seed(seed)
    moved = perturbed(network, torch.from_numpy(x), torch.from_numpy(y), steps=10)
    with torch.no_grad():
        return softmax(network(moved).double().numpy())
