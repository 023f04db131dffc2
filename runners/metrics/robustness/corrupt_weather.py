"""Weather: snow, frost, fog, brightness."""

from __future__ import annotations

import numpy as np

from runners.metrics.robustness.corrupt import Images, clouds, scale_of, streaked, zoomed


def _grey(images: Images) -> Images:
    """Brightness as the eye weighs colours, (n, 1, height, width)."""
    if images.shape[1] == 1:
        return images
    return np.tensordot(images, np.array([0.299, 0.587, 0.114]), axes=([1], [0]))[:, None]


def snow(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Bright flakes smeared by falling, over a picture that has lost its contrast."""
    mean, deviation, size, threshold, length, sigma, keep = (
        (0.1, 0.2, 1.0, 0.6, 8, 3, 0.95), (0.1, 0.2, 1.0, 0.5, 10, 4, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85), (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    )[severity - 1]  # fmt: skip
    scale = scale_of(images)
    n, _, height, width = images.shape
    layer = zoomed(rng.normal(mean, deviation, (n, 1, height, width)), size)
    layer = np.clip(np.where(layer < threshold, 0.0, layer), 0, 1)
    falling = rng.uniform(np.pi / 4, 3 * np.pi / 4, size=(n,))
    layer = streaked(layer, length * scale, sigma * scale, falling)
    pale = keep * images + (1 - keep) * np.maximum(images, _grey(images) * 1.5 + 0.5)
    return np.asarray(pale + layer + layer[:, :, ::-1, ::-1], dtype=np.float64)


def frost(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Ice crystals over a darkened picture, drawn by the program: the source lays photographs of frost over it.

    The crystals are the ridges of smooth random fields stretched along a direction, brighter towards the border.
    """
    keep, strength = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[severity - 1]
    n, _, height, width = images.shape
    ice = np.zeros((n, height, width))
    for _ in range(3):
        field = clouds(n, height, width, 1.4, rng)
        angles = rng.uniform(0, np.pi, size=(n,))
        # A ridge is where the field crosses its middle: thin, branching and long, as needles are.
        ridge = np.clip(1 - 6 * np.abs(field - 0.5), 0, 1)[:, None]
        ice = np.maximum(ice, streaked(ridge, 4 * scale_of(images), 3 * scale_of(images), angles)[:, 0])
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    border = 0.6 + 0.4 * np.maximum(np.abs(rows), np.abs(columns))
    veil = 0.35 + 0.65 * np.clip(ice * 1.6, 0, 1)
    tint = np.array([0.92, 0.97, 1.0])[:, None, None] if images.shape[1] == 3 else np.ones((1, 1, 1))
    return np.asarray(keep * images + strength * (veil * border)[:, None] * tint, dtype=np.float64)


def fog(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Clouds added, and the whole brought back to the brightest value it had."""
    amount, decay = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))[severity - 1]
    n, _, height, width = images.shape
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    misty = images + amount * clouds(n, height, width, decay, rng)[:, None]
    return np.asarray(misty * brightest / (brightest + amount), dtype=np.float64)


def brightness(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Brighter by a constant in HSV: each colour keeps its hue and its saturation."""
    more = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
    value = images.max(axis=1, keepdims=True)
    raised = np.clip(value + more, 0, 1)
    # The three channels share one factor; black has no hue and turns grey.
    factor = np.divide(raised, value, out=np.zeros_like(value), where=value > 0)
    return np.asarray(np.where(value > 0, images * factor, raised), dtype=np.float64)
