"""What corruptions of images share: sampling between pixels, zooming, smooth random fields, streaks.

Images are (n, channels, height, width), float64, in [0, 1]. Lengths of the source are for images of 32 pixels; they
grow with the shorter side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float64]
Fields = npt.NDArray[np.float64]
#: From images, severity 1..5 and a generator to corrupted images of the same shape; the caller clips.
Corruption = Callable[[Images, int, np.random.Generator], Images]

#: The side of the images that the source's lengths are for.
REFERENCE_SIDE = 32


def scale_of(images: Images) -> float:
    """Pixels of these images for one pixel of the source's."""
    return float(min(images.shape[2:])) / REFERENCE_SIDE


def sample(images: Images, rows: Fields, columns: Fields) -> Images:
    """Images read at fractional places (n, height, width), bilinear; beyond the border the border counts."""
    height, width = images.shape[2:]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (rows - top)[:, None], (columns - left)[:, None]
    n = np.arange(images.shape[0])[:, None, None]
    channels_last = np.moveaxis(images, 1, -1)

    def at(row: npt.NDArray[np.int64], column: npt.NDArray[np.int64]) -> Images:
        return np.moveaxis(channels_last[n, row, column], -1, 1)

    upper = at(top, left) * (1 - across) + at(top, right) * across
    lower = at(bottom, left) * (1 - across) + at(bottom, right) * across
    return np.asarray(upper * (1 - down) + lower * down, dtype=np.float64)


def grid(n: int, height: int, width: int) -> tuple[Fields, Fields]:
    """Row and column of every pixel, each (n, height, width)."""
    rows, columns = np.meshgrid(np.arange(height, dtype=np.float64), np.arange(width, dtype=np.float64), indexing="ij")
    return np.broadcast_to(rows, (n, height, width)), np.broadcast_to(columns, (n, height, width))


def zoomed(images: Images, factor: float) -> Images:
    """The middle of each image, enlarged to its size."""
    rows, columns = grid(images.shape[0], *images.shape[2:])
    middle_row, middle_column = (images.shape[2] - 1) / 2, (images.shape[3] - 1) / 2
    return sample(images, middle_row + (rows - middle_row) / factor, middle_column + (columns - middle_column) / factor)


def streaked(images: Images, length: float, sigma: float, angles: npt.NDArray[np.float64]) -> Images:
    """Each image smeared along its own angle (n,), backwards over `length` pixels with weights of a half Gaussian."""
    taps = np.linspace(0.0, length, max(2, int(np.ceil(length)) + 1))
    weights = np.exp(-0.5 * (taps / max(sigma, 1e-6)) ** 2)
    weights /= weights.sum()
    rows, columns = grid(images.shape[0], *images.shape[2:])
    down, across = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    out = np.zeros_like(images)
    for tap, weight in zip(taps, weights, strict=True):
        out += weight * sample(images, rows - tap * down, columns - tap * across)
    return out


def clouds(n: int, height: int, width: int, decay: float, rng: np.random.Generator) -> Fields:
    """Smooth random fields (n, height, width) in [0, 1]: octaves, each `decay` times weaker than the coarser."""
    total = np.zeros((n, height, width))
    weight, cells = 1.0, 2
    while cells <= max(height, width):
        coarse = rng.uniform(-1, 1, size=(n, 1, cells + 1, cells + 1))
        rows, columns = grid(n, height, width)
        total += weight * sample(coarse, rows * cells / max(height - 1, 1), columns * cells / max(width - 1, 1))[:, 0]
        weight, cells = weight / decay, cells * 2
    low, high = total.min(axis=(1, 2), keepdims=True), total.max(axis=(1, 2), keepdims=True)
    return np.asarray((total - low) / np.where(high > low, high - low, 1.0), dtype=np.float64)
