"""A downloaded data split as NumPy arrays, for training: the ids, the inputs and, where they are there, the labels.

    from touchstone_client.reading import read_split

    split = read_split("data/train", classes=("no", "yes"), features=("age", "height"))
    split.x, split.y

CSV and npz need NumPy only; Parquet needs pyarrow, pictures need Pillow.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})


@dataclass(frozen=True)
class SplitArrays:
    """Row i of each is item `ids[i]`. `x` (n, *shape), float32; `y` (n,) class indices, None without labels."""

    ids: tuple[str, ...]
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64] | None = None


def read_split(
    folder: str | Path,
    *,
    classes: Sequence[str],
    features: Sequence[str] = (),
    range: Sequence[float] = (0.0, 1.0),  # noqa: A002 - the competition's word
) -> SplitArrays:
    """Read `inputs` and `labels` of a split as the competition gives them out.

    Args:
        classes: their names in order; labels become indices of it.
        features: columns of tabular inputs, in order.
        range: `input.range`; bytes of pictures and arrays are scaled from 0..255 into it.

    Raises `FileNotFoundError` where the folder has no inputs.
    """
    folder = Path(folder)
    ids, x = _inputs(folder, list(features), (float(range[0]), float(range[1])))
    labels = _labels(folder)
    if labels is None:
        return SplitArrays(ids, x)
    index = {name: number for number, name in enumerate(classes)}
    return SplitArrays(ids, x, np.array([index[labels[item]] for item in ids], dtype=np.int64))


def _inputs(folder: Path, features: list[str], span: tuple[float, float]) -> tuple[tuple[str, ...], Any]:
    if (folder / "inputs.npz").is_file():
        with np.load(folder / "inputs.npz", allow_pickle=False) as arrays:
            return tuple(map(str, arrays["id"].tolist())), _scaled(arrays["x"], span)
    if (folder / "inputs").is_dir():
        return _pictures(folder / "inputs", span)
    for name in ("inputs.csv", "inputs.parquet"):
        if (folder / name).is_file():
            table = _table(folder / name)
            columns = features or [key for key in table if key != "id"]
            rows = [[float(value) for value in table[key]] for key in columns]
            return tuple(table["id"]), np.array(rows, dtype=np.float32).T.copy()
    raise FileNotFoundError(f"{folder} holds no inputs: touchstone competitions download COMPETITION")


def _labels(folder: Path) -> dict[str, str] | None:
    for name in ("labels.csv", "labels.parquet"):
        if (folder / name).is_file():
            table = _table(folder / name)
            return dict(zip(table["id"], table["label"], strict=True))
    return None


def _table(path: Path) -> dict[str, list[str]]:
    """Columns by name, as text."""
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = csv.reader(file)
        return {name: [row[number] for row in rows] for number, name in enumerate(header)}
    import pyarrow.parquet as parquet

    found = parquet.read_table(path)
    return {name: [str(value) for value in found[name].to_pylist()] for name in found.column_names}


def _scaled(x: npt.NDArray[Any], span: tuple[float, float]) -> npt.NDArray[np.float32]:
    low, high = span
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255) * np.float32(high - low) + np.float32(low)
    return x.astype(np.float32)


def _pictures(folder: Path, span: tuple[float, float]) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    from PIL import Image

    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)
    found = []
    for path in files:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("L" if picture.mode in ("1", "L", "I;16") else "RGB"))
        found.append(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
    return tuple(path.stem for path in files), _scaled(np.stack(found), span)
