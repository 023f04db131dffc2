"""Small PNG pictures of first items, made anew from their pixels: no byte of a stranger's file is shown to anybody."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIZE = 112


def picture_of(item: npt.NDArray[Any]) -> Image.Image | None:
    """An item as a picture; None where its shape is not that of one: (h, w), (1|3, h, w) or (h, w, 3)."""
    if item.ndim == 3 and item.shape[0] in (1, 3) and min(item.shape[1:]) > 1:
        item = item[0] if item.shape[0] == 1 else item.transpose(1, 2, 0)
    elif item.ndim == 3 and item.shape[2] == 1:
        item = item[:, :, 0]
    if item.ndim not in (2, 3) or (item.ndim == 3 and item.shape[2] != 3):
        return None
    if min(item.shape[:2]) < 4 or max(item.shape[:2]) > 8192:
        return None
    return Image.fromarray(_bytes(item))


def _bytes(item: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if item.dtype == np.uint8:
        return np.ascontiguousarray(item)
    values = np.nan_to_num(item.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    with np.errstate(over="ignore"):
        scaled = (values - low) / ((high - low) or 1.0)
    return np.ascontiguousarray(np.clip(np.nan_to_num(scaled) * 255, 0, 255).astype(np.uint8))


def save_picture(picture: Image.Image, out: Path) -> str:
    """Write it, at most 112 pixels wide and high and small ones enlarged; returns the name of the file in `out`."""
    longest = max(picture.size)
    if longest > _SIZE:
        picture.thumbnail((_SIZE, _SIZE))
    elif longest * 2 <= _SIZE:
        times = _SIZE // longest
        picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    held = io.BytesIO()
    picture.save(held, "PNG")
    name = hashlib.sha256(held.getvalue()).hexdigest() + ".png"
    (out / name).write_bytes(held.getvalue())
    return name
