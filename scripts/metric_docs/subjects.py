"""Whom the pages measure: real items, and two or three submissions that answer them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runners.context import MetricContext, SubmissionFacts
from runners.models.base import Model
from runners.models.weights_server import size_of
from runners.spec.models import AttributeSpec, InputSpec, TaskSpec
from scripts.competitions.build_garments import CLASSES as GARMENTS
from scripts.competitions.build_replay import FIXTURES
from scripts.competitions.common import COMPETITIONS
from scripts.competitions.splits import Items, read_items
from scripts.metric_docs import networks

SEED = 2026
Names = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Subject:
    """One line of a figure: a submission (or an attribute of a replay) and what a metric sees of it."""

    name: str
    ctx: MetricContext


_RACE = AttributeSpec(privileged="Caucasian", unprivileged=("African-American",))
_PEOPLE = TaskSpec(
    kind="binary", classes=("no_recidivism", "recidivism"), positive="recidivism", favourable="no_recidivism"
)
_PEOPLE_ATTRIBUTES = {
    "race": _RACE,
    "sex": AttributeSpec(privileged="Female", unprivileged=("Male",)),
    "age_group": AttributeSpec(privileged="Greater than 45", unprivileged=("Less than 25",)),
}
_PEOPLE_INPUT = InputSpec(
    kind="tabular", shape=(6,), range=(0.0, 1.0),
    features=("age", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count", "charge_degree_felony"),
)  # fmt: skip
_IMAGES = TaskSpec(kind="multiclass", classes=GARMENTS)
_IMAGE_INPUT = InputSpec(kind="image", shape=(1, 28, 28), range=(0.0, 1.0))


def _context(items: Items, model: Model, task: TaskSpec, given: InputSpec, **more: object) -> MetricContext:
    chances = model.predict(items.x)
    attributes = {name: values.astype(object) for name, values in items.attributes.items()}
    ctx = MetricContext(
        task=task, ids=np.array(items.ids, dtype=object), labels=items.y, predictions=chances.argmax(axis=1),
        probabilities=chances, inputs=items.x, input=given, model=model, attributes=attributes, seed=SEED,
    )  # fmt: skip
    return replace(ctx, **more)


@cache
def _split(competition: str, name: str, classes: tuple[str, ...]) -> Items:
    return read_items(COMPETITIONS / competition / "data" / name, classes)


def people_items(split: str) -> Items:
    """A split of the recidivism competition as it is."""
    return _split("recidivism", split, _PEOPLE.classes)


def garments_items(split: str) -> Items:
    """A split of the garments competition as it is."""
    return _split("garments", split, GARMENTS)


def _numbers(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float64) for name in arrays.files}


@cache
def people_models() -> dict[str, Model]:
    folder = COMPETITIONS / "recidivism" / "baselines"
    logistic = _numbers(folder / "logistic-code" / "weights.npz")
    layers = [(logistic["weight"].reshape(-1, 1), logistic["bias"].reshape(1))]
    return {
        "logistic": networks.NumpyModel(layers, sigmoid=True),
        "mlp": networks.OnnxModel(folder / "mlp.onnx", logits=False),
        "parity-mlp": networks.OnnxModel(folder / "parity-mlp.onnx", logits=False),
    }


@cache
def garment_models() -> dict[str, Model]:
    folder = COMPETITIONS / "garments" / "baselines"
    found = _numbers(folder / "perceptron-code" / "weights.npz")
    layers = [(found["hidden_weight"].T, found["hidden_bias"]), (found["weight"].T, found["bias"])]
    return {
        "perceptron": networks.NumpyModel(layers),
        "cnn": networks.OnnxModel(folder / "cnn.onnx", logits=True),
        "robust-cnn": networks.OnnxModel(folder / "robust-cnn.onnx", logits=True),
    }


def people(names: tuple[str, ...] = ("logistic", "mlp", "parity-mlp")) -> list[Subject]:
    """COMPAS: the test split, with the validation split for what is fitted."""
    test, held = (_split("recidivism", name, _PEOPLE.classes) for name in ("test", "validation"))
    out = []
    for name in names:
        model = people_models()[name]
        common = {"attribute_specs": _PEOPLE_ATTRIBUTES}
        validation = _context(held, model, _PEOPLE, _PEOPLE_INPUT, **common)
        out.append(Subject(name, _context(test, model, _PEOPLE, _PEOPLE_INPUT, validation=validation, **common)))
    return out


def garments(names: tuple[str, ...] = ("perceptron", "cnn", "robust-cnn")) -> list[Subject]:
    """Fashion-MNIST: the test split, and what is known of each file."""
    test, held = (_split("garments", name, GARMENTS) for name in ("test", "validation"))
    out = []
    for name in names:
        model = garment_models()[name]
        validation = _context(held, model, _IMAGES, _IMAGE_INPUT)
        facts = _facts(model)
        out.append(Subject(name, _context(test, model, _IMAGES, _IMAGE_INPUT, validation=validation, facts=facts)))
    return out


def _facts(model: Model) -> SubmissionFacts:
    if not isinstance(model, networks.OnnxModel):
        folder = COMPETITIONS / "garments" / "baselines" / "perceptron-code"
        size = sum(path.stat().st_size for path in folder.iterdir())
        return SubmissionFacts(model_bytes=size, uncounted="only the file of a `model` submission can be looked into")
    import onnx

    told = size_of(onnx.load(model.path))
    return SubmissionFacts(
        model_bytes=model.path.stat().st_size, parameters=told["parameters"], flops=told["flops"],
        uncounted=told["uncounted"],
    )  # fmt: skip


def detector() -> list[Subject]:
    """The replay of a deepfake detector on FaceForensics++: one line for each attribute."""
    cases = json.loads((FIXTURES / "ffpp" / "cases.json").read_text())["attributes"]
    task = TaskSpec(kind="binary", classes=("pristine", "deepfake"), positive="deepfake", favourable="deepfake")
    out = []
    for attribute, case in cases.items():
        y, yhat, side = [], [], []
        for group in ("unprivileged", "privileged"):
            for key, truth, answer in (("tp", 1, 1), ("fn", 1, 0), ("fp", 0, 1), ("tn", 0, 0)):
                count = int(case[group][key])
                y += [truth] * count
                yhat += [answer] * count
                side += [group] * count
        ctx = MetricContext(
            task=task, ids=np.array([f"v{i}" for i in range(len(y))], dtype=object), labels=np.array(y),
            predictions=np.array(yhat), attributes={"group": np.array(side, dtype=object)},
            attribute_specs={"group": AttributeSpec(privileged="privileged")}, seed=SEED,
        )  # fmt: skip
        out.append(Subject(attribute.replace("_", " "), ctx))
    return out


def members() -> list[Subject]:
    """Fashion-MNIST images that were trained on and images that were not, the same for all three networks."""
    train, test = (_split("garments", name, GARMENTS) for name in ("train", "test"))
    rng = np.random.default_rng(SEED)
    chosen = rng.choice(len(train.y), size=1000, replace=False)
    inside = Items([train.ids[i] for i in chosen], train.x[chosen], train.y[chosen], {})
    outside = rng.choice(len(test.y), size=1000, replace=False)
    both = Items(
        inside.ids + [test.ids[i] for i in outside], np.concatenate([inside.x, test.x[outside]]),
        np.concatenate([inside.y, test.y[outside]]), {"member": np.array(["yes"] * 1000 + ["no"] * 1000)},
    )  # fmt: skip
    heart = networks.fit(inside.x, inside.y, hidden=256, epochs=60, seed=SEED)
    models: dict[str, Model] = {
        "by-heart": networks.NumpyModel(networks.weights(heart)),
        **{name: garment_models()[name] for name in ("cnn", "robust-cnn")},
    }
    specs = {"member": AttributeSpec(privileged="no")}
    return [
        Subject(name, _context(both, model, _IMAGES, _IMAGE_INPUT, attribute_specs=specs))
        for name, model in models.items()
    ]


def forgotten() -> list[Subject]:
    """A network that was trained on all, and one trained anew without the items to be forgotten."""
    train, test = (_split("garments", name, GARMENTS) for name in ("train", "test"))
    rng = np.random.default_rng(SEED + 1)
    chosen = rng.choice(len(train.y), size=1500, replace=False)
    x, y = train.x[chosen], train.y[chosen]
    unseen = rng.choice(len(test.y), size=500, replace=False)
    whole = networks.fit(x, y, hidden=256, epochs=60, seed=SEED)
    anew = networks.fit(x[500:], y[500:], hidden=256, epochs=60, seed=SEED)
    groups = np.array(["forget"] * 500 + ["retain"] * 1000 + ["unseen"] * 500)
    items = Items([f"u{i}" for i in range(2000)], np.concatenate([x, test.x[unseen]]),
                  np.concatenate([y, test.y[unseen]]), {"unlearning": groups})  # fmt: skip
    retrained = networks.NumpyModel(networks.weights(anew)).predict(items.x).argmax(axis=1)
    items.attributes["retrained"] = np.array([GARMENTS[k] for k in retrained])
    specs = {name: AttributeSpec(privileged=value) for name, value in (("unlearning", "unseen"), ("retrained", "coat"))}
    return [
        Subject(name, _context(items, networks.NumpyModel(networks.weights(net)), _IMAGES, _IMAGE_INPUT,
                               attribute_specs=specs))
        for name, net in (("kept", whole), ("retrained", anew))
    ]  # fmt: skip


def training() -> list[Subject]:
    """Answers under attack of the checkpoints of two adversarial trainings, with and without weight decay."""
    train, test = (_split("garments", name, GARMENTS) for name in ("train", "test"))
    epochs, items = [2, 5, 10, 20, 40, 60], 500
    x, y = train.x[:1000], train.y[:1000]
    out = []
    for name, decay in (("no decay", 0.0), ("decay", 0.3)):
        found = networks.checkpoints(x, y, epochs, decay=decay, seed=SEED)
        chances = np.concatenate(
            [networks.answers_under_attack(net, test.x[:items], test.y[:items], seed=SEED) for net in found]
        )
        ctx = MetricContext(
            task=_IMAGES, ids=np.array([f"{i}@{e}" for e in epochs for i in range(items)], dtype=object),
            labels=np.tile(test.y[:items], len(epochs)), predictions=chances.argmax(axis=1), probabilities=chances,
            attributes={"epoch": np.repeat([str(e) for e in epochs], items).astype(object)},
            attribute_specs={"epoch": AttributeSpec(privileged=str(epochs[-1]))},
            clusters=np.tile([f"i{i}" for i in range(items)], len(epochs)).astype(object), seed=SEED,
        )  # fmt: skip
        out.append(Subject(name, ctx))
    return out
