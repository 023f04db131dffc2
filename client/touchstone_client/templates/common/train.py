"""Fits a linear classifier on the public data and writes what this folder submits. Replace it by your own training.

    python train.py

Needs NumPy, and touchstone-client for reading the data.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from touchstone_client.linear import Linear, fit_linear, write_onnx
from touchstone_client.reading import read_split

HERE = Path(__file__).parent
KIND = "code"
CLASSES = ("no", "yes")
FEATURES: tuple[str, ...] = ()
ITEM = (2,)
RANGE = (0.0, 1.0)
OUTPUT = "probabilities"
#: The labelled split that is learned from, and the one that this phase is scored on.
TRAIN = "train"
SCORED = "validation"


def main() -> None:
    """Fit, and write the file of this kind."""
    data = read_split(HERE / "data" / TRAIN, classes=CLASSES, features=FEATURES, range=RANGE)
    if data.y is None:
        raise SystemExit(f"data/{TRAIN} has no labels: nothing can be learned from it")
    model = fit_linear(data.x, data.y, len(CLASSES))
    right = np.mean(model.logits(data.x).argmax(axis=1) == data.y)
    print(f"fitted on {len(data.y)} items of {TRAIN}, {right:.3f} of them right")  # noqa: T201
    if KIND == "predictions":
        write_predictions(model)
    elif KIND == "model":
        write_onnx(HERE / "model.onnx", model, item=ITEM, probabilities=OUTPUT == "probabilities")
    else:
        np.savez_compressed(HERE / "weights.npz", weight=model.weight, bias=model.bias)


def write_predictions(model: Linear) -> None:
    """A row for each item that the phase asks for: a probability for each class."""
    asked = read_split(HERE / "data" / SCORED, classes=CLASSES, features=FEATURES, range=RANGE)
    with (HERE / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *(f"p_{name}" for name in CLASSES)])
        for item, row in zip(asked.ids, model.probabilities(asked.x), strict=True):
            writer.writerow([item, *(f"{share:.6f}" for share in row)])


if __name__ == "__main__":
    main()
