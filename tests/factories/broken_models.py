"""Defences that hide instead of holding, and honest models beside them, all on digits as images of 1 x 8 x 8."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from runners.models.base import Gradient
from tests.factories.runner_models import BOTH, NetModel, digits, softmax


def digit_images():
    """The network on digits, and its items as images: model, x (597, 1, 8, 8), y."""
    model, x, y = digits()
    return model, x.reshape(-1, 1, 8, 8), y


class Wrapped:
    """A model around another: counts like the inner one."""

    access = BOTH

    def __init__(self, inner):
        self.inner = inner

    @property
    def queries(self):
        return self.inner.queries

    @property
    def calls(self):
        return self.inner.calls

    def predict(self, x):
        return self.inner.predict(x)

    def gradient(self, x, y, *, loss="cross_entropy"):
        return self.inner.gradient(x, y, loss=loss)


def saturated(model: NetModel, scale=1e3) -> NetModel:
    """The same classes, and probabilities of exactly one and zero: cross-entropy has no gradient."""
    return NetModel([*model.weights[:-1], model.weights[-1] * scale], [*model.biases[:-1], model.biases[-1] * scale])


class Quantising(Wrapped):
    """Rounds its input to a few levels; the derivative of rounding is zero, and so is the gradient."""

    levels = 4

    def _changed(self, x):
        return (np.rint(x * self.levels) / self.levels).astype(np.float32)

    def predict(self, x):
        return self.inner.predict(self._changed(x))

    def gradient(self, x, y, *, loss="cross_entropy"):
        answer = self.inner.gradient(self._changed(x), y, loss=loss)
        return replace(answer, gradient=np.zeros_like(answer.gradient))


class Shattering(Wrapped):
    """Adds a ripple too fine to matter and too steep to see through: gradients point anywhere."""

    def predict(self, x):
        return self.inner.predict(self._changed(x))

    def _changed(self, x):
        return (x + 0.01 * np.sin(4000.0 * x.astype(np.float64))).astype(np.float32)

    def gradient(self, x, y, *, loss="cross_entropy"):
        answer = self.inner.gradient(self._changed(x), y, loss=loss)
        steep = 1 + 40.0 * np.cos(4000.0 * x.astype(np.float64))
        return replace(answer, gradient=(answer.gradient * steep).astype(np.float32))


class Randomised(Wrapped):
    """Adds fresh noise to every input."""

    def __init__(self, inner, scale=0.2):
        super().__init__(inner)
        self._rng, self._scale = np.random.default_rng(0), scale

    def _changed(self, x):
        return (x + self._rng.normal(0, self._scale, x.shape)).astype(np.float32)

    def predict(self, x):
        return self.inner.predict(self._changed(x))

    def gradient(self, x, y, *, loss="cross_entropy"):
        return self.inner.gradient(self._changed(x), y, loss=loss)


class Detecting(Wrapped):
    """Answers evenly as soon as a place that is empty in every digit is not, and has no gradient there."""

    def _caught(self, x):
        flat = x.reshape(x.shape[0], -1)
        return flat[:, [0, 8, 16, 24, 32, 40, 48, 56, 7, 15, 23, 31, 39, 47]].sum(axis=1) > 0.15

    def predict(self, x):
        answers = self.inner.predict(x)
        answers[self._caught(x)] = 1 / answers.shape[1]
        return answers

    def gradient(self, x, y, *, loss="cross_entropy"):
        answer = self.inner.gradient(x, y, loss=loss)
        caught = self._caught(x)
        gradient, logits = answer.gradient.copy(), answer.logits.copy()
        gradient[caught], logits[caught] = 0, 0
        return Gradient(answer.loss, gradient, logits)


@dataclass
class TorchModel:
    """A torch network on images."""

    net: object
    access: frozenset = BOTH
    queries: int = 0
    calls: int = 0

    def _count(self, x):
        self.queries += x.shape[0]
        self.calls += 1

    def predict(self, x):
        import torch

        self._count(x)
        with torch.no_grad():
            return softmax(self.net(torch.from_numpy(np.ascontiguousarray(x))).double().numpy())

    def gradient(self, x, y, *, loss="cross_entropy"):
        import torch

        self._count(x)
        asked = torch.from_numpy(np.ascontiguousarray(x)).requires_grad_()
        labels = torch.from_numpy(y)
        with torch.enable_grad():  # an attack may ask while it switched gradients off for itself
            logits = self.net(asked)
            if loss == "cross_entropy":
                value = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
            else:
                others = logits.scatter(1, labels[:, None], -torch.inf)
                value = others.max(dim=1).values - logits.gather(1, labels[:, None])[:, 0]
            (gradient,) = torch.autograd.grad(value.sum(), asked)
        return Gradient(value.detach().double().numpy(), gradient.numpy(), logits.detach().double().numpy())


@cache
def trained_cnn(eps: float, epochs: int = 12) -> tuple[TorchModel, np.ndarray, np.ndarray]:
    """A small convolutional network; with eps > 0 trained on PGD examples within it: model, x, y unseen items."""
    import torch
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = torch.from_numpy((x / 16).astype(np.float32).reshape(-1, 1, 8, 8))
    labels = torch.from_numpy(y.astype(np.int64))
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
            torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(512, 10),
        )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(1200, generator=generator).split(100):
            clean, target = images[batch], labels[batch]
            point = clean + eps * (2 * torch.rand(clean.shape, generator=generator) - 1)
            for _ in range(5 if eps else 0):
                point = point.detach().requires_grad_()
                loss = torch.nn.functional.cross_entropy(net(point), target)
                (gradient,) = torch.autograd.grad(loss, point)
                point = clean + (point.detach() + 0.4 * eps * gradient.sign() - clean).clamp(-eps, eps)
                point = point.clamp(0, 1)
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(point.detach()), target).backward()
            optimiser.step()
    net.requires_grad_(False)
    return TorchModel(net), images[1200:].numpy(), labels[1200:].numpy()
