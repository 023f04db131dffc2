"""Digital: contrast, elastic transform, pixelate, JPEG."""

from __future__ import annotations

import numpy as np

from runners.defences.jpeg import compressed
from runners.metrics.robustness.corrupt import Images, sample


def contrast(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Every value drawn towards the mean of its channel."""
    keep = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    mean = images.mean(axis=(2, 3), keepdims=True)
    return np.asarray((images - mean) * keep + mean, dtype=np.float64)


def pixelate(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Made smaller by averaging, and large again in blocks."""
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1]
    height, width = images.shape[2:]
    rows, columns = _averaging(height, share), _averaging(width, share)
    small = np.einsum("ah,nchw,bw->ncab", rows, images, columns, optimize=True)
    # Each pixel takes the block that its middle lies in.
    up_row = (2 * np.arange(height) + 1) * rows.shape[0] // (2 * height)
    up_column = (2 * np.arange(width) + 1) * columns.shape[0] // (2 * width)
    return np.asarray(small[:, :, up_row][:, :, :, up_column], dtype=np.float64)


def _averaging(size: int, share: float) -> Images:
    """Weights (smaller, size) that average `size` values into fewer; a value on an edge counts for both sides."""
    smaller = max(1, int(size * share))
    edges = np.linspace(0, size, smaller + 1)
    low = np.maximum(edges[:-1, None], np.arange(size)[None])
    high = np.minimum(edges[1:, None], np.arange(1, size + 1)[None])
    weights = np.clip(high - low, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def jpeg_compression(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Written as JPEG and read again."""
    quality = (80, 65, 58, 50, 40)[severity - 1]
    return compressed(images.astype(np.float32), value_range=(0.0, 1.0), quality=quality).astype(np.float64)


def elastic_transform(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """A small affine change, and a smooth random shift of every place."""
    from scipy.ndimage import gaussian_filter

    strength, smooth, affine = (
        (0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03),
    )[severity - 1]  # fmt: skip
    n, _, height, width = images.shape
    side = min(height, width)
    rows, columns = (axis.copy() for axis in np.broadcast_arrays(*_unit_grid(n, height, width)))
    # Three corners of a square are moved; the affine map that moves them so moves everything.
    corners = np.array([[-1.0, -1.0, 1.0], [-1.0, 1.0, 1.0], [1.0, -1.0, 1.0]])
    moved = corners[None, :, :2] + rng.uniform(-affine, affine, (n, 3, 2)) * 3
    matrix = np.linalg.solve(np.broadcast_to(corners, (n, 3, 3)), moved)
    flat = np.stack([rows, columns, np.ones_like(rows)], axis=-1) @ matrix[:, None]
    rows, columns = flat[..., 0], flat[..., 1]
    shift = rng.uniform(-1, 1, (2, n, height, width))
    if strength:
        shift = gaussian_filter(shift, (0, 0, smooth * side, smooth * side), mode="reflect", truncate=3)
    # The shift is in pixels; a square of two units is a third of the side wide on either side of the middle.
    unit = side / 3
    to_row = rows * unit + (height - 1) / 2 + strength * side * shift[0]
    to_column = columns * unit + (width - 1) / 2 + strength * side * shift[1]
    return sample(images, to_row, to_column)


def _unit_grid(n: int, height: int, width: int) -> tuple[Images, Images]:
    """Places around the middle, in thirds of the shorter side: (n, height, width) each."""
    unit = min(height, width) / 3
    rows = (np.arange(height) - (height - 1) / 2) / unit
    columns = (np.arange(width) - (width - 1) / 2) / unit
    return np.broadcast_to(rows[:, None], (n, height, width)), np.broadcast_to(columns[None], (n, height, width))
