"""Models that answer in this process, and contexts to measure them in."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from runners.context import MetricContext
from runners.models.base import Gradient
from runners.spec.models import AttributeSpec, InputSpec, TaskSpec

BOTH = frozenset({"queries", "gradients"})
QUERIES = frozenset({"queries"})


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@dataclass
class NetModel:
    """Layers of weights and biases with ReLU between; one layer is a linear model. Counts what it is asked."""

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    access: frozenset = BOTH
    queries: int = 0
    calls: int = 0
    seen: list[int] = field(default_factory=list)

    def _logits(self, x):
        h, masks = x.reshape(x.shape[0], -1).astype(np.float64), []
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = h @ w + b
            masks.append(h > 0)
            h = h * masks[-1]
        return h @ self.weights[-1] + self.biases[-1], masks

    def _count(self, x):
        self.queries += x.shape[0]
        self.calls += 1
        self.seen.append(x.shape[0])

    def predict(self, x):
        self._count(x)
        return softmax(self._logits(x)[0])

    def gradient(self, x, y, *, loss="cross_entropy"):
        if "gradients" not in self.access:
            raise NotImplementedError
        self._count(x)
        z, masks = self._logits(x)
        rows = np.arange(len(y))
        if loss == "cross_entropy":
            p = softmax(z)
            value = -np.log(p[rows, y])
            back = p.copy()
            back[rows, y] -= 1
        else:
            other = z.copy()
            other[rows, y] = -np.inf
            best = other.argmax(axis=1)
            value = z[rows, best] - z[rows, y]
            back = np.zeros_like(z)
            back[rows, best] = 1
            back[rows, y] = -1
        for w, mask in zip(reversed(self.weights), [*reversed(masks), None], strict=True):
            back = back @ w.T
            if mask is not None:
                back = back * mask
        return Gradient(value, back.reshape(x.shape).astype(np.float32), z)


def linear_model(w, b=0.0, *, access=BOTH) -> NetModel:
    """Two classes: class 1 where w·x + b > 0."""
    return NetModel([np.column_stack([np.zeros_like(w), w])], [np.array([0.0, b])], access=access)


@cache
def _digits() -> tuple[NetModel, np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net = MLPClassifier((48,), max_iter=30, random_state=0).fit(x[:1200], y[:1200])
    return NetModel(net.coefs_, net.intercepts_), x[1200:], y[1200:].astype(np.int64)


def digits() -> tuple[NetModel, np.ndarray, np.ndarray]:
    """A small network trained on the digits of scikit-learn, and 597 items it has not seen: model, x, y."""
    net, x, y = _digits()
    return NetModel(net.weights, net.biases), x, y


def binary_task(**more) -> TaskSpec:
    return TaskSpec(kind="binary", classes=("no", "yes"), **{"positive": "yes", **more})


def context(labels, predictions=None, *, task=None, **more) -> MetricContext:
    """A context; arrays are made from lists."""
    labels = np.asarray(labels, dtype=np.int64)
    if predictions is not None:
        predictions = np.asarray(predictions, dtype=np.int64)
    ids = np.array([f"i{i}" for i in range(labels.size)], dtype=object)
    return MetricContext(task=task or binary_task(), ids=ids, labels=labels, predictions=predictions, **more)


def model_context(model, x, labels, *, value_range=(0.0, 1.0), task=None, **more) -> MetricContext:
    """A context whose model may be asked."""
    spec = InputSpec(kind="array", shape=x.shape[1:], range=value_range)
    probabilities = model.predict(x)
    return context(
        labels, probabilities.argmax(axis=1), task=task, probabilities=probabilities, inputs=x, input=spec,
        model=model, **more,
    )  # fmt: skip


def group_context(counts, *, minimum=30, **more) -> MetricContext:
    """Items with the counts `[side, y, yhat]`; side 0 is unprivileged ("u"), side 1 privileged ("p")."""
    side, y, yhat = (np.repeat(axis.ravel(), np.ravel(counts)) for axis in np.indices((2, 2, 2)))
    return context(
        y, yhat, task=more.pop("task", binary_task(favourable="yes")),
        attributes={"a": np.array(["u", "p"], dtype=object)[side]},
        attribute_specs={"a": AttributeSpec(privileged="p", minimum=minimum)}, **more,
    )  # fmt: skip


@dataclass
class Clock:
    """A clock that only moves when told."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class TimedModel:
    """Answers evenly, and moves the clock by `cost(n)` seconds for n items."""

    clock: Clock
    cost: Callable[[int], float]
    access: frozenset = QUERIES
    queries: int = 0
    calls: int = 0

    def predict(self, x):
        self.queries += x.shape[0]
        self.calls += 1
        self.clock.now += self.cost(x.shape[0])
        return np.full((x.shape[0], 2), 0.5)

    def gradient(self, x, y, *, loss="cross_entropy"):
        raise NotImplementedError
