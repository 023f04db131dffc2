"""Noise: gaussian, shot, impulse."""

from __future__ import annotations

import numpy as np

from runners.metrics.robustness.corrupt import Images


def gaussian_noise(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """A normal number added to every value: of a sensor in low light."""
    return images + rng.normal(0.0, (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1], images.shape)


def shot_noise(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Poisson counts in the place of brightness: light comes in photons."""
    photons = (500, 250, 100, 75, 50)[severity - 1]
    return rng.poisson(np.clip(images, 0, 1) * photons) / photons


def impulse_noise(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """A share of the values becomes black or white: bit errors."""
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    draw = rng.random(images.shape)
    return np.where(draw < share / 2, 0.0, np.where(draw < share, 1.0, images))
