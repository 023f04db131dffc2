"""Baselines of `competitions/garments`, trained on its public split only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn.functional import cross_entropy

from scripts.competitions import measures
from scripts.competitions.build_garments import CLASSES
from scripts.competitions.common import COMPETITIONS, npz_bytes
from scripts.competitions.export import export_onnx
from scripts.competitions.splits import Items, read_items

FOLDER = COMPETITIONS / "garments"
EPS = 0.1
BATCH = 64

Floats = npt.NDArray[np.float64]


def load(split: str) -> Items:
    """A split of this competition."""
    return read_items(FOLDER / "data" / split, CLASSES)


def convolutional() -> nn.Sequential:
    """Two convolutions and two dense layers, 106,154 parameters; answers logits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def perceptron() -> nn.Sequential:
    """784 → 64 → 10; answers logits."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))


def perturbed(network: nn.Module, x: torch.Tensor, y: torch.Tensor, *, steps: int = 5) -> torch.Tensor:
    """PGD from a random start inside the L∞ ball of radius `EPS` and [0, 1] (Madry et al. 2018)."""
    low, high = (x - EPS).clamp(min=0), (x + EPS).clamp(max=1)
    start = x + EPS * (2 * torch.rand_like(x) - 1)
    moved = torch.min(torch.max(start, low), high)
    for _ in range(steps):
        moved = moved.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(cross_entropy(network(moved), y), moved)
        moved = torch.min(torch.max(moved.detach() + 2.5 * EPS / steps * gradient.sign(), low), high)
    return moved.detach()


def _batches(train: Items, epochs: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    x, y = torch.from_numpy(train.x), torch.from_numpy(train.y)
    for _ in range(epochs):
        for part in torch.randperm(len(y)).split(BATCH):
            mirrored = torch.rand(len(part), 1, 1, 1) < 0.5
            yield torch.where(mirrored, x[part].flip(3), x[part]), y[part]


def train_network(network: nn.Module, train: Items, *, epochs: int, adversarial: bool = False) -> nn.Module:
    """AdamW with a one-cycle learning rate on mirrored images; `adversarial` trains on PGD examples instead."""
    rate, steps = 2e-3, epochs * -(-len(train.ids) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    smoothing = 0.0 if adversarial else 0.05
    for x, y in _batches(train, epochs):
        given = perturbed(network, x, y) if adversarial else x
        optimiser.zero_grad()
        cross_entropy(network(given), y, label_smoothing=smoothing).backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def _answers(items: Items, network: nn.Module) -> Floats:
    with torch.no_grad():
        return torch.softmax(network(torch.from_numpy(items.x)).double(), dim=1).numpy()


def write_all() -> list[dict[str, object]]:
    """Train and write every artifact; return the entries of baselines.yml."""
    train, validation = load("train"), load("validation")
    out = FOLDER / "baselines"
    entries = [_linear(out, train, validation)]
    for name, adversarial, epochs, message in (
        ("cnn", False, 20, "Convolutional network, trained for accuracy alone"),
        ("robust-cnn", True, 15, "The same network, trained on PGD examples with eps 0.1"),
    ):
        torch.manual_seed(11)
        network = train_network(convolutional(), train, epochs=epochs, adversarial=adversarial)
        export_onnx(network, out / f"{name}.onnx", shape=(1, 28, 28))
        entries.append(_entry(name, "model", f"{name}.onnx", message, validation, _answers(validation, network)))
    return entries + _served(out, train, validation)


def _linear(out: Path, train: Items, validation: Items) -> dict[str, object]:
    flat = train.x.reshape(len(train.x), -1).astype(np.float64)
    regression = LogisticRegression(C=0.01, max_iter=300).fit(flat, train.y)
    answers = regression.predict_proba(validation.x.reshape(len(validation.x), -1).astype(np.float64))
    columns = {f"p_{name}": answers[:, index].astype(np.float32) for index, name in enumerate(CLASSES)}
    pq.write_table(pa.table({"id": validation.ids, **columns}), out / "linear.parquet", compression="zstd")
    stored = np.stack(list(columns.values()), axis=1).astype(np.float64)
    return _entry("linear", "predictions", "linear.parquet", "Softmax regression on pixels", validation, stored)


def _served(out: Path, train: Items, validation: Items) -> list[dict[str, object]]:
    torch.manual_seed(11)
    network = train_network(perceptron(), train, epochs=12)
    names = {"1.weight": "hidden_weight", "1.bias": "hidden_bias", "3.weight": "weight", "3.bias": "bias"}
    weights = {names[key]: value.numpy() for key, value in network.state_dict().items()}
    (out / "perceptron-code" / "weights.npz").write_bytes(npz_bytes(**weights))
    answers = _answers(validation, network)
    return [
        _entry(f"perceptron-{kind}", kind, "perceptron-code", message, validation, answers)
        for kind, message in (
            ("code", "One hidden layer in numpy, asked by the judge"),
            ("container", "The same perceptron in an image of its own"),
        )
    ]


def expected(items: Items, probabilities: Floats) -> dict[str, float]:
    """What the platform must find for these answers, by result key."""
    predicted = probabilities.argmax(1)
    return {
        "performance.accuracy": measures.accuracy(items.y, predicted),
        "performance.balanced_accuracy": measures.balanced_accuracy(items.y, predicted),
        "performance.log_loss": measures.log_loss(items.y, probabilities),
    }


def _entry(name: str, kind: str, file: str, message: str, items: Items, probabilities: Floats) -> dict[str, object]:
    values = {key: round(value, 6) for key, value in expected(items, probabilities).items()}
    return {
        "name": name, "kind": kind, "file": file, "phase": "development", "message": message, "expected": values,
    }  # fmt: skip
