"""Reads the splits of the ready-made competitions for training and for measuring baselines.

Kept apart from the platform's own loader on purpose: two readers that agree test each other.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scripts.competitions.common import read_column


@dataclass(frozen=True)
class Items:
    """`x`: (n, *shape) float32 in [0, 1]; `y`: (n,) class indices; `attributes`: name to n strings."""

    ids: list[str]
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    attributes: dict[str, npt.NDArray[np.str_]]


def read_items(folder: Path, classes: tuple[str, ...]) -> Items:
    """One split. Raises `ValueError` where its files do not name the same items in the same order."""
    npz = folder / "inputs.npz"
    ids, x = _images(npz) if npz.exists() else _table(folder / "inputs.csv")
    if read_column(folder / "labels.csv", "id") != ids:
        raise ValueError(f"{folder.name}: labels.csv does not name the items of the inputs in their order")
    y = np.array([classes.index(label) for label in read_column(folder / "labels.csv", "label")], dtype=np.int64)
    return Items(ids=ids, x=x, y=y, attributes=_attributes(folder / "attributes.csv"))


def _images(path: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["id"].tolist(), arrays["x"].astype(np.float32) / np.float32(255)


def _table(path: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=np.float32)


def _attributes(path: Path) -> dict[str, npt.NDArray[np.str_]]:
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        names = next(csv.reader(file))[1:]
    return {name: np.array(read_column(path, name)) for name in names}
