"""Runs each attack beside what it is compared with, in one process with one thread. See `bench.attacks`."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits

from bench import resnet
from bench.rounds import alternate, say
from runners.adapters.torch_model import AskedModule
from runners.attacks.geometry import distance
from runners.models.base import Gradient
from runners.models.onnx_torch import TorchGraph
from runners.models.weights_server import _LOSSES, TorchModel
from runners.registry import get_attack

_EPS = 0.1
_MEMORY = 16 * 2**30
_PGD_STEPS = 20
_TRAINED = 1200


class Counted:
    """A frozen torch module as a `Model`, and what it was asked; the module itself serves the libraries."""

    access = frozenset({"queries", "gradients"})

    def __init__(self, net: torch.nn.Module) -> None:
        self.net = net.eval().requires_grad_(False)
        self.queries = self.calls = 0
        net.register_forward_hook(self._count)

    def _count(self, _net: Any, given: tuple[torch.Tensor, ...], _answer: Any) -> None:
        self.queries += given[0].shape[0]
        self.calls += 1

    def predict(self, x: Any) -> Any:
        with torch.inference_mode():
            return torch.softmax(self.net(torch.from_numpy(x)).double(), dim=1).numpy()

    def gradient(self, x: Any, y: Any, *, loss: Any = "cross_entropy") -> Gradient:
        variable = torch.from_numpy(x).requires_grad_()
        z = self.net(variable)
        losses = _LOSSES[loss](z.double(), torch.from_numpy(y))
        (gradient,) = torch.autograd.grad(losses.sum(), variable)
        return Gradient(losses.detach().numpy(), gradient.numpy(), z.detach().double().numpy())

    pulls = True

    def pull(self, x: Any, weights: Any) -> Gradient:
        return self.gradient(x, weights, loss="weighted")


class Weights:
    """An ONNX file as the platform's own server differentiates it, without the sandbox and the way there."""

    access = frozenset({"queries", "gradients"})

    def __init__(self, path: Path) -> None:
        self.queries = self.calls = 0
        self._model = TorchModel(TorchGraph(onnx.load(path)), probabilities=False, memory=_MEMORY, batch=None)

    def _count(self, x: Any) -> None:
        self.queries += len(x)
        self.calls += 1

    def predict(self, x: Any) -> Any:
        self._count(x)
        return torch.softmax(torch.from_numpy(self._model.predict(x)).double(), dim=1).numpy()

    def gradient(self, x: Any, y: Any, *, loss: Any = "cross_entropy") -> Gradient:
        self._count(x)
        losses, gradient, z = self._model.gradient(x, y, loss)
        return Gradient(losses, gradient, z)


class _Whole(torch.nn.Module):
    """The network as one module: of a sequence ART calls the parts themselves, and nothing would be counted."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> Any:
        return self.net(x)


def _digits() -> tuple[Counted, Any, Any]:
    """A small convolutional network trained on scikit-learn's digits, and images (1, 8, 8) that it gets right."""
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype(np.float32).reshape(-1, 1, 8, 8), y.astype(np.int64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 3, 2, padding=1), torch.nn.ReLU(),
            torch.nn.Flatten(), torch.nn.Linear(512, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10),
        )  # fmt: skip
        _train(net, torch.from_numpy(x[:_TRAINED]), torch.from_numpy(y[:_TRAINED]))
    model = Counted(_Whole(net))
    x, y = x[_TRAINED:], y[_TRAINED:]
    right = model.predict(x).argmax(axis=1) == y
    return model, x[right], y[right]


def _train(net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, *, epochs: int = 15, batch: int = 100) -> None:
    """On noisy images, so that some of them hold out."""
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(batch):
            optimiser.zero_grad()
            noisy = (x[chosen] + 0.2 * torch.randn_like(x[chosen])).clamp(0, 1)
            torch.nn.functional.cross_entropy(net(noisy), y[chosen]).backward()
            optimiser.step()


def _ours(name: str, model: Any, x: Any, y: Any, *, norm: str = "linf", eps: float = _EPS, **parameters: Any) -> Any:
    rng = np.random.default_rng(0)
    return get_attack(name).function(
        model, x, y, norm=norm, eps=eps, value_range=(0.0, 1.0), rng=rng, **parameters
    )  # fmt: skip


def _timed(model: Any, x: Any, y: Any, attack: Callable[[], Any], norm: str = "linf") -> dict[str, float]:
    """CPU seconds, questions, round trips, and what is left: robust accuracy, and the median distance of examples."""
    before, calls, started = model.queries, model.calls, time.process_time()
    found = np.asarray(attack(), dtype=np.float32)
    seconds = time.process_time() - started
    asked, called = model.queries - before, model.calls - calls
    wrong = model.predict(found).argmax(axis=1) != y
    reach = distance(found, x, norm)[wrong]  # type: ignore[arg-type]
    return {
        "seconds": seconds, "queries": asked, "calls": called, "robust_accuracy": float(1 - wrong.mean()),
        "median_distance": float(np.median(reach)) if wrong.any() else 0.0,
    }  # fmt: skip


def pgd(size: int, images: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """PGD-20 on items that hold out, and the least it can cost: as many forward and input-backward passes."""
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as folder:
        resnet.write(Path(folder) / "model.onnx", size=size)
        model = Weights(Path(folder) / "model.onnx")
    torch.manual_seed(0)  # as `write` does: the same weights
    net = resnet.resnet18().requires_grad_(False)
    x = np.random.default_rng(0).random((images, 3, size, size), dtype=np.float32)
    y = model.predict(x).argmax(axis=1)

    def limit() -> dict[str, float]:
        labels, started = torch.from_numpy(y), time.process_time()
        for _ in range(_PGD_STEPS):
            variable = torch.from_numpy(x).requires_grad_()
            torch.autograd.grad(torch.nn.functional.cross_entropy(net(variable), labels, reduction="sum"), variable)
        return {"seconds": time.process_time() - started}

    # So small a budget changes no answer: no item leaves early, and every step is paid for.
    steps = partial(_ours, "pgd", model, x, y, eps=1e-7, steps=_PGD_STEPS, restarts=0, bisections=0)
    cases = {"native": partial(_timed, model, x, y, steps), "limit": limit}
    for case in cases.values():
        case()
    return alternate(cases, rounds=rounds)


def square(items: int, art_rounds: int, queries: int) -> dict[str, list[dict[str, float]]]:
    model, x, y = _digits()
    x, y = x[:items], y[:items]
    found = {"art": _timed(model, x, y, partial(_ours, "square", model, x, y, queries=art_rounds, engine="art"))}
    found["native"] = _timed(model, x, y, partial(_ours, "square", model, x, y, queries=queries))
    return {name: [told] for name, told in found.items()}


def hop_skip_jump(items: int, queries: int) -> dict[str, list[dict[str, float]]]:
    model, x, y = _digits()
    x, y = x[:items], y[:items]
    return {
        engine: [_timed(model, x, y, partial(
            _ours, "hop_skip_jump", model, x, y, norm="l2", queries=queries, engine=engine), "l2")]
        for engine in ("native", "art")
    }  # fmt: skip


def autoattack(items: int, share: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """The standard version, pyautoattack on the bare module, and ART's default; `share` divides all budgets."""
    model, x, y = _digits()
    x, y = x[:items], y[:items]
    cases = _ensembles(model, x, y, {"steps": 100 // share, "queries": 5000 // share})
    for case in _ensembles(model, x[:2], y[:2], {"steps": 2, "queries": 4}).values():
        case()  # nobody is charged with what is loaded and compiled once
    return alternate(cases, rounds=rounds)


def _ensembles(model: Counted, x: Any, y: Any, budget: dict[str, int]) -> dict[str, Callable[[], dict[str, float]]]:
    return {
        "native": partial(_timed, model, x, y, partial(_ours, "autoattack", model, x, y, **budget)),
        "pyautoattack": partial(_timed, model, x, y, partial(_reference, model, x, y, **budget)),
        "art": partial(_timed, model, x, y, partial(_art, model, x, y, **budget)),
    }


def _reference(model: Counted, x: Any, y: Any, *, steps: int, queries: int) -> Any:
    from pyautoattack import AutoAttack

    from runners.adapters.autoattack import Settings, _configure

    attack = AutoAttack(model.net, eps=_EPS, norm="Linf", seed=0, device="cpu")
    idle = AskedModule(model, x.shape[1:], (0.0, 1.0))
    _configure(attack, idle, Settings("linf", _EPS, (0.0, 1.0), 0, steps, queries), classes=10)
    return attack.run_standard_evaluation(torch.from_numpy(x), torch.from_numpy(y))[0].numpy()


def _art(model: Counted, x: Any, y: Any, *, steps: int, queries: int) -> Any:
    from art.attacks.evasion import AutoAttack, AutoProjectedGradientDescent, DeepFool, SquareAttack
    from art.estimators.classification import PyTorchClassifier

    # Imported by ART without being declared, and not used without a pool.
    sys.modules.setdefault("multiprocess", types.ModuleType("multiprocess"))
    net = PyTorchClassifier(
        model.net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), device_type="cpu"
    )
    climbing = {"eps": _EPS, "eps_step": 0.1, "max_iter": steps, "nb_random_init": 5, "batch_size": 32}
    parts = [
        AutoProjectedGradientDescent(net, loss_type=loss, verbose=False, **climbing)
        for loss in ("cross_entropy", "difference_logits_ratio")
    ]
    parts.append(DeepFool(net, max_iter=steps, epsilon=1e-3, nb_grads=10, batch_size=32, verbose=False))
    parts.append(SquareAttack(net, max_iter=queries, eps=_EPS, p_init=0.8, nb_restarts=5, verbose=False))
    np.random.seed(0)
    return AutoAttack(net, eps=_EPS, eps_step=0.1, attacks=parts).generate(x=x, y=y)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    import art.attacks.evasion  # noqa: F401 - here, so that no attack is charged with it
    import pyautoattack  # noqa: F401

    question = json.load(sys.stdin)
    found = {}
    for part in (pgd, square, hop_skip_jump, autoattack):
        say(f"attacks: {part.__name__}")
        found[part.__name__] = part(**question[part.__name__])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
