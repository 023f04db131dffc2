"""Blur: defocus, glass, motion, zoom."""

from __future__ import annotations

import numpy as np

from runners.metrics.robustness.corrupt import Images, scale_of, streaked, zoomed


def defocus_blur(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """A disc in the place of each point, its edge softened: out of focus."""
    from scipy.ndimage import convolve, gaussian_filter

    radius, soft = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))[severity - 1]
    scale = scale_of(images)
    half = int(np.ceil(radius * scale)) + 2
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1]
    # A pixel at the rim belongs to the disc by the part of it that is inside, or small discs would be squares.
    disc = np.clip(radius * scale + 0.5 - np.hypot(rows, columns), 0, 1)
    kernel = gaussian_filter(disc, soft * scale, mode="constant")
    kernel /= kernel.sum()
    return np.asarray(convolve(images, kernel[None, None], mode="mirror"), dtype=np.float64)


def glass_blur(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Neighbouring pixels change places at random between two slight blurs: frosted glass."""
    from scipy.ndimage import gaussian_filter

    sigma, reach, rounds = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))[severity - 1]
    scale = scale_of(images)
    reach = max(1, round(reach * scale))
    out = gaussian_filter(images, (0, 0, sigma * scale, sigma * scale))
    n, _, height, width = images.shape
    items = np.arange(n)
    for _ in range(rounds):
        for row in range(height - 1, -1, -1):
            for column in range(width - 1, -1, -1):
                other_row = np.clip(row + rng.integers(-reach, reach + 1, n), 0, height - 1)
                other_column = np.clip(column + rng.integers(-reach, reach + 1, n), 0, width - 1)
                here = out[:, :, row, column].copy()
                out[:, :, row, column] = out[items, :, other_row, other_column]
                out[items, :, other_row, other_column] = here
    return np.asarray(gaussian_filter(out, (0, 0, sigma * scale, sigma * scale)), dtype=np.float64)


def motion_blur(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """A streak along a direction of each image's own, within 45 degrees of level: a moving camera."""
    length, sigma = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[severity - 1]
    scale = scale_of(images)
    angles = rng.uniform(-np.pi / 4, np.pi / 4, size=images.shape[:1])
    return streaked(images, length * scale, sigma * scale, angles)


def zoom_blur(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """The mean of the image and of enlargements of it: moving towards what is seen."""
    largest = (1.05, 1.10, 1.15, 1.20, 1.25)[severity - 1]
    factors = np.arange(1.0, largest + 0.005, 0.01)
    total = images.copy()
    for factor in factors:
        total += zoomed(images, float(factor))
    return total / (len(factors) + 1)
