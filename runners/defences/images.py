"""What defences on images share: which inputs are images, and numbers as grey levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runners.errors import ScorerFault

Inputs = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
ValueRange = tuple[float, float]


def check_images(x: Inputs, who: str, *, channels: tuple[int, ...] = ()) -> None:
    """Raises `ScorerFault` unless x is (n, channels, height, width) with a number of channels among `channels`."""
    if x.ndim != 4 or (channels and x.shape[1] not in channels):
        wanted = f"[{' or '.join(map(str, channels)) or 'channels'}, height, width]"
        raise ScorerFault(
            f"{who} is for images of the shape {wanted}, not {list(x.shape[1:])}.",
            hint="Remove it, or declare the input as an image.",
        )


def to_bytes(x: Inputs, value_range: ValueRange) -> Bytes:
    """Numbers of the value range as grey levels 0..255, rounded."""
    low, high = value_range
    return np.rint(np.clip((x.astype(np.float64) - low) / (high - low), 0.0, 1.0) * 255).astype(np.uint8)


def from_bytes(levels: Bytes, value_range: ValueRange) -> Inputs:
    """Grey levels 0..255 as numbers of the value range, float32."""
    low, high = value_range
    return np.asarray(low + levels.astype(np.float64) / 255 * (high - low), dtype=np.float32)
