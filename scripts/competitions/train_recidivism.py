"""Baselines of `competitions/recidivism`, trained on its public split only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from scripts.competitions import measures
from scripts.competitions.common import COMPETITIONS, csv_bytes, npz_bytes
from scripts.competitions.export import export_onnx
from scripts.competitions.splits import Items, read_items

FOLDER = COMPETITIONS / "recidivism"
CLASSES = ("no_recidivism", "recidivism")
#: Weight of the squared gap between the mean scores of the two groups, for the parity baseline.
PARITY = 20.0

Floats = npt.NDArray[np.float64]


def load(split: str) -> Items:
    """A split of this competition."""
    return read_items(FOLDER / "data" / split, CLASSES)


class Network(nn.Module):
    """6 features → 16 → 16 → 2 probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.layers(x), dim=1)


def train_network(train: Items, *, parity: float) -> Network:
    """Full-batch training; `parity` pulls the mean scores of African-American and Caucasian people together."""
    torch.manual_seed(7)
    network = Network()
    x, y = torch.from_numpy(train.x), torch.from_numpy(train.y)
    race = train.attributes["race"]
    one, other = torch.from_numpy(race == "African-American"), torch.from_numpy(race == "Caucasian")
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=1e-3)
    for _ in range(600):
        logits = network.layers(x)
        score = torch.softmax(logits, dim=1)[:, 1]
        gap = score[one].mean() - score[other].mean()
        loss = nn.functional.cross_entropy(logits, y) + parity * gap**2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def expected(items: Items, probabilities: Floats | None, predicted: npt.NDArray[np.int64]) -> dict[str, float]:
    """What the platform must find for these answers, by result key."""
    favourable = predicted == 0
    found = {
        "performance.accuracy": measures.accuracy(items.y, predicted),
        "performance.balanced_accuracy": measures.balanced_accuracy(items.y, predicted),
    }
    if probabilities is not None:
        found["performance.roc_auc"] = measures.roc_auc(items.y, probabilities[:, 1])
        found["performance.log_loss"] = measures.log_loss(items.y, probabilities)
    for attribute, one, other in (("race", "African-American", "Caucasian"), ("sex", "Male", "Female")):
        groups = items.attributes[attribute]
        gap = measures.selection_rate(favourable[groups == one]) - measures.selection_rate(favourable[groups == other])
        found[f"fairness.statistical_parity_difference[{attribute}]"] = gap
    return found


def _answers(items: Items, network: Network) -> Floats:
    with torch.no_grad():
        return network(torch.from_numpy(items.x)).numpy().astype(np.float64)


def write_all() -> list[dict[str, object]]:
    """Train and write every artifact; return the entries of baselines.yml."""
    train, validation = load("train"), load("validation")
    out = FOLDER / "baselines"
    regression = LogisticRegression(C=100, max_iter=5000).fit(train.x.astype(np.float64), train.y)
    entries = [_majority(out, train, validation), _regression_file(out, regression, validation)]
    for name, parity, message in (
        ("mlp", 0.0, "Small neural network, trained for accuracy alone"),
        ("parity-mlp", PARITY, "The same network with a penalty on the gap between races"),
    ):
        network = train_network(train, parity=parity)
        export_onnx(network, out / f"{name}.onnx", shape=(6,))
        answers = _answers(validation, network)
        entries.append(_entry(name, "model", f"{name}.onnx", message, validation, answers, answers.argmax(1)))
    return entries + _served(out, regression, validation)


def _majority(out: Path, train: Items, validation: Items) -> dict[str, object]:
    largest = int(np.bincount(train.y).argmax())
    predicted = np.full(len(validation.ids), largest, dtype=np.int64)
    rows = ((key, CLASSES[largest]) for key in validation.ids)
    (out / "majority.csv").write_bytes(csv_bytes(("id", "prediction"), rows))
    message = "The larger class for everybody: fair by definition, useless by the gate"
    return _entry("majority", "predictions", "majority.csv", message, validation, None, predicted)


def _regression_file(out: Path, regression: LogisticRegression, validation: Items) -> dict[str, object]:
    answers = np.round(regression.predict_proba(validation.x.astype(np.float64)), 6)
    header = ("id", *(f"p_{name}" for name in CLASSES))
    rows = ((key, f"{row[0]:.6f}", f"{row[1]:.6f}") for key, row in zip(validation.ids, answers, strict=True))
    (out / "logistic.csv").write_bytes(csv_bytes(header, rows))
    message = "Logistic regression, answers computed at home"
    return _entry("logistic", "predictions", "logistic.csv", message, validation, answers, answers.argmax(1))


def _served(out: Path, regression: LogisticRegression, validation: Items) -> list[dict[str, object]]:
    weight, bias = regression.coef_[0], regression.intercept_[0]
    (out / "logistic-code" / "weights.npz").write_bytes(npz_bytes(weight=weight, bias=np.array(bias)))
    score = 1 / (1 + np.exp(-(validation.x.astype(np.float64) @ weight + bias)))
    answers = np.stack([1 - score, score], axis=1)
    return [
        _entry(f"logistic-{kind}", kind, "logistic-code", message, validation, answers, answers.argmax(1))
        for kind, message in (
            ("code", "Logistic regression in numpy, asked by the judge"),
            ("container", "The same logistic regression in an image of its own"),
        )
    ]


def _entry(
    name: str, kind: str, file: str, message: str, items: Items, probabilities: Floats | None,
    predicted: npt.NDArray[np.int64],
) -> dict[str, object]:  # fmt: skip
    values = {key: round(value, 6) for key, value in expected(items, probabilities, predicted).items()}
    return {
        "name": name, "kind": kind, "file": file, "phase": "development", "message": message, "expected": values,
    }  # fmt: skip
