"""Models whose smallest perturbations are known, and what the tests of attacks have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runners.registry import get_attack
from tests.factories.runner_models import QUERIES, NetModel, digits, linear_model

WIDE = (-100.0, 100.0)


def rng(seed=7):
    return np.random.default_rng(seed)


def attacked(name, model, x, y, *, norm="linf", eps=1.0, value_range=WIDE, seed=7, **parameters):
    """What the attack of this name returns."""
    function = get_attack(name).function
    return function(model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng(seed), **parameters)


def wrong(model, x, y):
    return model.predict(x).argmax(axis=1) != y


def linear(size=30, n=40, b=0.3, *, classes=None):
    """Two classes, items in [-1, 1], their labels, and the exact distance of each to the boundary by norm."""
    draw = np.random.default_rng(3)
    w = draw.normal(size=size)
    x = draw.uniform(-1, 1, size=(n, size)).astype(np.float32)
    model = linear_model(w, b)
    y = model.predict(x).argmax(axis=1)
    keep = np.isin(y, (0, 1) if classes is None else classes)
    x, y = x[keep], y[keep]
    model.queries = model.calls = 0
    reach = np.abs(x.astype(np.float64) @ w + b)
    return model, x, y, {"linf": reach / np.abs(w).sum(), "l2": reach / np.linalg.norm(w)}


def planted():
    """A network that is flat but for its sixth input, which has to rise from 0.01 to 0.025: model, x, y."""
    first = np.zeros((16, 2))
    first[5, 0], first[5, 1] = 4.0, -4.0
    model = NetModel([first, np.array([[0.0, 1.0], [0.0, -1.0]])], [np.zeros(2), np.array([0.0, -0.1])])
    x = np.full((8, 16), 0.5, dtype=np.float32)
    x[:, 5] = 0.01
    return model, x, np.zeros(8, dtype=np.int64)


def right_digits(n, shape=(1, 8, 8)):
    """The network of the digits, and n images that it gets right."""
    model, x, y = digits()
    right = np.flatnonzero(model.predict(x).argmax(axis=1) == y)[:n]
    model.queries = model.calls = 0
    return model, x[right].reshape(-1, *shape), y[right]


def torch_digits(model):
    """The same network as a torch module that counts its calls and the items in them; parameters are frozen."""
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = self.items = 0
            layers = []
            for w, b in zip(model.weights, model.biases, strict=True):
                layer = torch.nn.Linear(*w.shape)
                layer.weight.data = torch.tensor(w.T.astype("f4"))
                layer.bias.data = torch.tensor(b.astype("f4"))
                layers += [layer, torch.nn.ReLU()]
            self.net = torch.nn.Sequential(*layers[:-1]).requires_grad_(False)

        def forward(self, x):
            self.calls += 1
            self.items += len(x)
            return self.net(x.reshape(len(x), -1))

    return Net()


@dataclass
class OneOutput:
    """The probability of the second class alone, (n, 1), of a model of two."""

    model: NetModel
    access: frozenset = QUERIES

    @property
    def queries(self):
        return self.model.queries

    @property
    def calls(self):
        return self.model.calls

    def predict(self, x):
        return self.model.predict(x)[:, 1:]

    def gradient(self, x, y, *, loss="cross_entropy"):
        raise NotImplementedError
