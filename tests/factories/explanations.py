"""Models and contexts for metrics of explanations, and one that explains itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runners.context import MetricContext
from runners.measure import measure
from runners.spec.models import TaskSpec
from tests.factories.runner_models import NetModel, digits, linear_model, model_context

PILLAR = (
    "explainability.average_drop",
    "explainability.deletion_insertion",
    "explainability.sparsity",
    "explainability.stability",
    "explainability.randomisation",
    "explainability.rank_agreement",
)
RANKS = PILLAR[-1]
NEEDED = {"explainability.stability": {"radius": 0.1}}
W = np.array([3.0, -2.0, 1.0, 0.5])
DIGITS = TaskSpec(kind="multiclass", classes=tuple("0123456789"))


def run(ctx: MetricContext, name: str, **parameters):
    """Results by key of a metric of the pillar, named with or without it."""
    name = name if name in PILLAR else f"explainability.{name}"
    return {r.key: r for r in measure(name, "x", {**NEEDED.get(name, {}), **parameters}, ctx)}


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, dtype=float)))


def ones_context(n=4, *, w=W, b=-0.5, model=None, **more) -> MetricContext:
    """Items of ones under a linear model: at baseline 0 each input is worth its weight."""
    x = np.ones((n, len(w)), dtype=np.float32)
    return model_context(model or linear_model(w, b), x, np.ones(n, dtype=int), **more)


def digits_context(n=40, **more) -> MetricContext:
    model, x, y = digits()
    return model_context(model, x[:n], y[:n], task=DIGITS, **more)


@dataclass
class Explaining(NetModel):
    """A model without gradients that explains itself by `maps(x, target)`, and counts as one that is served."""

    access: frozenset = frozenset({"queries", "explanations"})
    maps: Callable = lambda x, _target: np.zeros(x.shape)
    explained: int = 0

    def explain(self, x, target):
        self._count(x)
        self.explained += len(x)
        return np.asarray(self.maps(x, target), dtype=np.float64)


def explaining(w, b=0.0, *, maps) -> Explaining:
    """A linear model of two classes that explains itself."""
    plain = linear_model(np.asarray(w), b)
    return Explaining(plain.weights, plain.biases, maps=maps)
