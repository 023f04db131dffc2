"""Subjects that no ready-made competition has: surrogates, private trainings, sequences of any length."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace

import numpy as np

from runners.context import MetricContext, SubmissionFacts
from runners.metrics.privacy.accountant import Mechanism, numeric_epsilon
from runners.metrics.robustness.crafting import craft, order_of
from runners.models.base import Gradient, Loss, Model
from runners.registry import MetricValue, get_metric, parse_parameters
from runners.spec.models import AttributeSpec, InputSpec, SizesSpec, TaskSpec
from runners.surrogates import Examples
from scripts.metric_docs import networks
from scripts.metric_docs.networks import Floats, Inputs, Ints
from scripts.metric_docs.subjects import SEED, Subject, garment_models, garments, people_items

#: What the page on transferred examples is measured with.
TRANSFER = {"surrogates": ["mlp", "cnn"], "attack": "pgd", "eps": 0.1, "items": 200}
#: Of the private trainings: noise multipliers from the most private on, sampling rate, steps, delta.
NOISE, RATE, STEPS, DELTA = (8.0, 4.0, 2.0, 1.0, 0.7), 0.05, 300, 1e-5


@dataclass
class _Made:
    """Examples made against models at hand, the same for every submission."""

    ctx: MetricContext
    models: dict[str, Model]
    found: dict[str, Examples] = field(default_factory=dict)

    def examples(self, name: str, key: str) -> Examples | MetricValue:
        """Made when they are first asked for."""
        if name not in self.found:
            order = order_of(parse_parameters(get_metric("robustness.transfer"), TRANSFER))
            self.found[name] = craft(self.ctx, self.models[name], order)
        return self.found[name]


def transferred() -> list[Subject]:
    """The garments' networks under examples that were made against two surrogates, one of which is among them."""
    found = garments()
    train = found[0].ctx.validation
    if train is None or train.inputs is None:
        raise RuntimeError("garments have a validation split")
    surrogate = networks.fit(np.asarray(train.inputs), train.labels, hidden=64, epochs=30, seed=SEED)
    models: dict[str, Model] = {"mlp": networks.TorchSurrogate(surrogate), "cnn": garment_models()["cnn"]}
    made = _Made(found[0].ctx, models)
    return [Subject(subject.name, replace(subject.ctx, surrogates=made)) for subject in found]


def _private(x: Floats, y: Ints, noise: float, rng: np.random.Generator) -> tuple[Floats, float]:
    """Logistic regression by DP-SGD with gradients clipped to length 1; without noise where `noise` is 0."""
    weight, bias = np.zeros(x.shape[1]), 0.0
    for _ in range(STEPS):
        chosen = rng.random(len(y)) < RATE
        score = 1 / (1 + np.exp(-(x[chosen] @ weight + bias)))
        each = np.column_stack([x[chosen], np.ones(int(chosen.sum()))]) * (score - y[chosen])[:, None]
        each /= np.maximum(1.0, np.linalg.norm(each, axis=1))[:, None]
        total = each.sum(axis=0) + noise * rng.standard_normal(x.shape[1] + 1)
        step = 2.0 * total / (RATE * len(y))
        weight, bias = weight - step[:-1], bias - float(step[-1])
    return weight, bias


def private() -> list[Subject]:
    """Answers of logistic regressions at five privacy levels and without privacy, trained on all or on 400 people."""
    train, test = people_items("train"), people_items("test")
    levels = [str(round(_epsilon(noise), 3)) for noise in NOISE]
    out = []
    for name, size in (("4,000 people", len(train.y)), ("400 people", 400)):
        x, y, rng = train.x[:size].astype(np.float64), train.y[:size], np.random.default_rng(SEED)
        fitted = [_private(x, y, noise, rng) for noise in (*NOISE, 0.0)]
        score = np.concatenate([1 / (1 + np.exp(-(test.x @ weight + bias))) for weight, bias in fitted])
        chances, n = np.column_stack([1 - score, score]), len(test.y)
        values = np.repeat([*levels, "inf"], n).astype(object)
        ctx = MetricContext(
            task=TaskSpec(kind="binary", classes=("no_recidivism", "recidivism"), positive="recidivism"),
            ids=np.array([f"{i}@{level}" for level in [*levels, "inf"] for i in range(n)], dtype=object),
            labels=np.tile(test.y, len(fitted)), predictions=chances.argmax(axis=1), probabilities=chances,
            attributes={"epsilon": values}, attribute_specs={"epsilon": AttributeSpec(privileged="inf")},
            clusters=np.tile(np.array(test.ids, dtype=object), len(fitted)), seed=SEED,
        )  # fmt: skip
        out.append(Subject(name, ctx))
    return out


def _epsilon(noise: float) -> float:
    found = numeric_epsilon(Mechanism(noise=noise, rate=RATE, steps=STEPS), DELTA)
    if found is None:
        raise RuntimeError("the accountant gives no epsilon for this training")
    return found.high


#: Answers the garments with one network in a process of its own, and says the most memory that it held. Not by
#: `getrusage`: a process inherits that peak from the one that started it.
_ALONE = """
from scripts.metric_docs.subjects import garment_models, garments_items
garment_models()[{name!r}].predict(garments_items("test").x)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


def remembered() -> list[Subject]:
    """The garments' networks, with the peak memory of a process that answers the split."""
    out = []
    for subject in garments():
        code = _ALONE.format(name=subject.name)
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        facts = replace(subject.ctx.facts or SubmissionFacts(), peak_memory=int(told.stdout))
        out.append(Subject(subject.name, replace(subject.ctx, facts=facts)))
    return out


@dataclass
class _Sequences:
    """Two classes from (tokens, 16): every token looks at every other, or each by itself."""

    attends: bool
    access: frozenset[str] = networks.QUERIES
    queries: int = 0
    calls: int = 0

    def predict(self, x: Inputs) -> Floats:
        """Probabilities (n, 2)."""
        self.queries, self.calls = self.queries + len(x), self.calls + 1
        rng = np.random.default_rng(1)
        mixed = np.maximum(x @ rng.standard_normal((16, 256)).astype(np.float32), 0)
        if self.attends:
            scores = mixed @ mixed.transpose(0, 2, 1) / 256
            weights = np.exp(scores - scores.max(axis=2, keepdims=True))
            mixed = weights @ mixed / weights.sum(axis=2, keepdims=True)
        return networks.softmax((mixed.mean(axis=1) @ rng.standard_normal((256, 2)) / 50).astype(np.float64))

    def gradient(self, x: Inputs, y: Ints, *, loss: Loss = "cross_entropy") -> Gradient:
        """It gives none."""
        raise NotImplementedError


def sequences() -> list[Subject]:
    """Random sequences: only the time of the answers is looked at."""
    given = InputSpec(kind="array", shape=(256, 16), sizes=SizesSpec(axes=(0,), least=64, most=2048))
    x = np.random.default_rng(SEED).random((20, 256, 16), dtype=np.float32)
    out = []
    for name, attends in (("attention", True), ("token by token", False)):
        model = _Sequences(attends)
        chances = model.predict(x)
        ctx = MetricContext(
            task=TaskSpec(kind="binary", classes=("no", "yes")),
            ids=np.array([f"s{i}" for i in range(20)], dtype=object),
            labels=chances.argmax(axis=1), predictions=chances.argmax(axis=1), probabilities=chances, inputs=x,
            input=given, model=model, seed=SEED,
        )  # fmt: skip
        out.append(Subject(name, ctx))
    return out
