"""Models of many kinds to doubt: other data, other networks and other defences than those of `broken_models`.

They tell how often the validity report is right on models that none of its thresholds was chosen on. Each kind is
trained anew for each seed, on other items.
"""

from __future__ import annotations

from collections.abc import Callable
from csv import DictReader
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from runners.defences.defended import defended
from runners.models.base import Gradient
from tests.factories.broken_models import TorchModel, Wrapped

_GARMENTS = Path(__file__).parents[2] / "competitions" / "garments" / "data"
UNIT = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class World:
    """Images (n, 1, height, width) in [0, 1] to train on and to attack, and the budget in linf."""

    train: np.ndarray
    labels: np.ndarray
    x: np.ndarray
    y: np.ndarray
    eps: float
    seed: int
    epochs: int


@cache
def garments(seed: int, train: int = 2500, items: int = 200, epochs: int = 8) -> World:
    """Garments averaged to 14 x 14; items drawn by the seed."""
    draw = np.random.default_rng([seed, 1])
    (x, y), (test, truth) = (_read(name) for name in ("train", "validation"))
    chosen, asked = draw.permutation(len(x))[:train], draw.permutation(len(test))[:items]
    return World(x[chosen], y[chosen], test[asked], truth[asked], 0.1, seed, epochs)


@cache
def digits(seed: int, train: int = 1300, items: int = 200, epochs: int = 8) -> World:
    """The digits of scikit-learn, 8 x 8, split by the seed."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng([seed, 2]).permutation(len(x))
    images, labels = (x[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8), y[order].astype(np.int64)
    held = slice(train, train + items)
    return World(images[:train], labels[:train], images[held], labels[held], 0.15, seed, epochs)


@cache
def _read(split: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(_GARMENTS / split / "inputs.npz") as found:
        x = found["x"].astype(np.float32) / 255
    with (_GARMENTS / split / "labels.csv").open() as file:
        names = [row["label"] for row in DictReader(file)]
    return x.reshape(-1, 1, 14, 2, 14, 2).mean(axis=(3, 5)), np.unique(names, return_inverse=True)[1].astype(np.int64)


class Winners(nn.Module):
    """Only the largest fifth of each item's activations passes (Xiao, Zhong and Zheng 2020): gradients jump."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        flat = z.flatten(1)
        least = flat.topk(max(1, flat.shape[1] // 5), dim=1).values[:, -1:]
        return (flat * (flat >= least)).reshape(z.shape)


def perceptron(world: World) -> nn.Module:
    size = world.x[0].size
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, 10))


def convolutions(world: World, active: Callable[[], nn.Module] = nn.ReLU) -> nn.Module:
    """Three layers of convolutions and two of the usual kind."""
    side = world.x.shape[-1] // 2
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), active(), nn.Conv2d(12, 16, 3, stride=2, padding=1), active(),
        nn.Conv2d(16, 16, 3, padding=1), active(), nn.Flatten(), nn.Linear(16 * side * side, 48), active(),
        nn.Linear(48, 10),
    )  # fmt: skip


def trained(
    world: World, build: Callable[[World], nn.Module] = convolutions, *, eps: float = 0.0, temperature: float = 1.0,
    epochs: int | None = None,
) -> TorchModel:  # fmt: skip
    """A network of this world; with eps > 0 trained on PGD examples within it. Weights are float32 and frozen."""
    return TorchModel(_trained(world, build, eps, temperature, world.epochs if epochs is None else epochs))


@cache
def _trained(
    world: World, build: Callable[[World], nn.Module], eps: float, temperature: float, epochs: int
) -> nn.Module:
    generator = torch.Generator().manual_seed(world.seed)
    with torch.random.fork_rng():
        torch.manual_seed(world.seed)
        net = build(world)
    images, labels = torch.from_numpy(world.train), torch.from_numpy(world.labels)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(64):
            point = _worst(net, images[batch], labels[batch], eps, generator) if eps else images[batch]
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(point) / temperature, labels[batch]).backward()
            optimiser.step()
    return net.requires_grad_(False)


def _worst(net: nn.Module, clean: torch.Tensor, y: torch.Tensor, eps: float, generator: torch.Generator):
    point = (clean + eps * (2 * torch.rand(clean.shape, generator=generator) - 1)).clamp(0, 1)
    for _ in range(4):
        point = point.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(point), y), point)
        point = (clean + (point.detach() + 0.4 * eps * gradient.sign() - clean).clamp(-eps, eps)).clamp(0, 1)
    return point.detach()


class Scaled(nn.Module):
    """Logits that are multiplied: the same classes, and probabilities that leave nothing to follow."""

    def __init__(self, net: nn.Module, scale: float):
        super().__init__()
        self.net, self.scale = net, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) * self.scale


class Steps(nn.Module):
    """Inputs rounded to a few levels, differentiated as they are: the derivative is zero."""

    def __init__(self, net: nn.Module, levels: int = 5):
        super().__init__()
        self.net, self.levels = net, levels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(torch.round(x * self.levels) / self.levels)


class Shifted(Wrapped):
    """Moves each image by a place or none, drawn anew for each question (in the manner of Xie et al. 2018)."""

    def __init__(self, inner, seed):
        super().__init__(inner)
        self._rng = np.random.default_rng([seed, 3])

    def _changed(self, x):
        moves = self._rng.integers(-1, 2, size=(len(x), 2))
        return np.stack([np.roll(image, tuple(move), (1, 2)) for image, move in zip(x, moves, strict=True)])

    def predict(self, x):
        return self.inner.predict(self._changed(x))

    def gradient(self, x, y, *, loss="cross_entropy"):
        return self.inner.gradient(self._changed(x), y, loss=loss)


class Switching(Wrapped):
    """Answers each question with one of two networks, drawn by chance."""

    def __init__(self, inner, other, seed):
        super().__init__(inner)
        self._both, self._rng = (inner, other), np.random.default_rng([seed, 4])

    def _one(self):
        return self._both[self._rng.integers(2)]

    def predict(self, x):
        return self._one().predict(x)

    def gradient(self, x, y, *, loss="cross_entropy"):
        return self._one().gradient(x, y, loss=loss)


class Squeezing(Wrapped):
    """Answers evenly where smoothing changes the answer by much (feature squeezing: Xu, Evans and Qi 2018).

    The most that it does to nine in ten clean images passes. There is no gradient where it does not.
    """

    def __init__(self, inner, clean):
        super().__init__(inner)
        self._smooth = defended(inner, "median_smoothing", value_range=UNIT, parameters={"window": 3})
        self._most = float(np.quantile(self._moved(clean), 0.9))

    def _moved(self, x):
        return np.abs(self.inner.predict(x) - self._smooth.predict(x)).sum(axis=1)

    def predict(self, x):
        answers = self.inner.predict(x)
        answers[self._moved(x) > self._most] = 1 / answers.shape[1]
        return answers

    def gradient(self, x, y, *, loss="cross_entropy"):
        answer, caught = self.inner.gradient(x, y, loss=loss), self._moved(x) > self._most
        gradient, logits = answer.gradient.copy(), answer.logits.copy()
        gradient[caught], logits[caught] = 0, 0
        return Gradient(answer.loss, gradient, logits)


class Rounding(Wrapped):
    """Tells probabilities rounded to tenths, and their gradient: zero."""

    def predict(self, x):
        answers = np.rint(self.inner.predict(x) * 10) + 1e-6 * self.inner.predict(x)
        return answers / answers.sum(axis=1, keepdims=True)

    def gradient(self, x, y, *, loss="cross_entropy"):
        answer = self.inner.gradient(x, y, loss=loss)
        return replace(answer, gradient=np.zeros_like(answer.gradient))


class FalseWayBack(Wrapped):
    """Rounds the image and gives the gradient back with its places in another order."""

    def __init__(self, inner, seed):
        super().__init__(inner)
        self._order = None
        self._seed = seed

    def predict(self, x):
        return self.inner.predict((np.rint(x * 12) / 12).astype(np.float32))

    def gradient(self, x, y, *, loss="cross_entropy"):
        answer = self.inner.gradient((np.rint(x * 12) / 12).astype(np.float32), y, loss=loss)
        order = np.random.default_rng([self._seed, 5]).permutation(x[0].size)
        flat = answer.gradient.reshape(len(x), -1)[:, order]
        return replace(answer, gradient=flat.reshape(x.shape))


class Stale(Wrapped):
    """Answers with the last network and gives the gradients of one that was never trained."""

    def __init__(self, inner, early):
        super().__init__(inner)
        self._early = early

    def gradient(self, x, y, *, loss="cross_entropy"):
        early = self._early.gradient(x, y, loss=loss)
        logits = np.log(np.maximum(self.inner.predict(x), 1e-300))
        rows = np.arange(len(y))
        if loss == "cross_entropy":
            value = -logits[rows, y]
        else:
            others = logits.copy()
            others[rows, y] = -np.inf
            value = others.max(axis=1) - logits[rows, y]
        return Gradient(value, early.gradient, logits)


class Gaussian(Wrapped):
    """A tenth of fresh noise on every input, and the mean answer of four draws: smooth, and still by chance."""

    def __init__(self, inner, seed):
        super().__init__(inner)
        self._rng = np.random.default_rng([seed, 6])

    def _changed(self, x):
        return (x + self._rng.normal(0, 0.1, x.shape)).astype(np.float32)

    def predict(self, x):
        return np.mean([self.inner.predict(self._changed(x)) for _ in range(4)], axis=0)

    def gradient(self, x, y, *, loss="cross_entropy"):
        return self.inner.gradient(self._changed(x), y, loss=loss)


def behind(name: str, **parameters) -> Callable[[World], object]:
    """A network behind a defence of this repository, attacked through its way back."""
    return lambda w: defended(trained(w), name, value_range=UNIT, parameters=parameters)


#: What anybody may hand in, by how to make it.
HONEST: dict[str, Callable[[World], object]] = {
    "perceptron": lambda w: trained(w, perceptron),
    "convolutions": trained,
    "adversarially trained, half the budget": lambda w: trained(w, eps=w.eps / 2),
    "adversarially trained, the budget": lambda w: trained(w, eps=w.eps),
    "adversarially trained perceptron": lambda w: trained(w, perceptron, eps=w.eps),
    "JPEG, way back": behind("jpeg", quality=75),
    "median smoothing, way back": behind("median_smoothing", window=3),
}
BROKEN: dict[str, Callable[[World], object]] = {
    "saturated": lambda w: TorchModel(Scaled(trained(w).net, 1e3)),
    "distilled at temperature 50": lambda w: trained(w, temperature=50.0, epochs=3 * w.epochs),
    "shifted by chance": lambda w: Shifted(trained(w), w.seed),
    "one of two networks by chance": lambda w: Switching(trained(w), trained(w, perceptron), w.seed),
    "noise, averaged": lambda w: Gaussian(trained(w), w.seed),
    "detector (feature squeezing)": lambda w: Squeezing(trained(w), w.train[:300]),
    "inputs in steps": lambda w: TorchModel(Steps(trained(w).net)),
    "answers in tenths": lambda w: Rounding(trained(w)),
    "winners take all": lambda w: trained(w, lambda v: convolutions(v, Winners)),
    "false way back": lambda w: FalseWayBack(trained(w), w.seed),
    "stale gradient": lambda w: Stale(trained(w), trained(w, epochs=0)),
}  # fmt: skip
