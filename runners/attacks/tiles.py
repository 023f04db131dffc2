"""Rectangles of an image at a place of their own for each item, and the patterns that Square draws in them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from runners.attacks.geometry import Bools, Floats, Inputs, Ints

#: After how many of 10 000 rounds the rectangles are halved in area (Andriushchenko et al. 2020, section 3.2).
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def planes(x: Inputs) -> Inputs:
    """Items as (n, channels, height, width): images as they are, flat ones as one row, others as one channel."""
    if x.ndim == 4:
        return x
    rest = (1, x.shape[1]) if x.ndim == 2 else (x.shape[1], math.prod(x.shape[2:]))
    return x.reshape(x.shape[0], 1, *rest)


def share(first: float, number: int, rounds: int) -> float:
    """Share of the image that the rectangle of a round takes."""
    at = number * 10_000 / rounds
    return float(first / 2 ** sum(at > halving for halving in _HALVINGS))


def sides(part: float, height: int, width: int, least: int = 1) -> tuple[int, int]:
    """Height and width of a rectangle of about that share: a square, or longer where the image is too low for one."""
    area = part * height * width
    side = max(round(math.sqrt(area)), least)
    return (
        (min(side, height), min(max(round(area / height), side), width)) if side > height else (side, min(side, width))
    )


def places(n: int, size: int, whole: int, rng: np.random.Generator) -> Ints:
    """Where a stretch of `size` begins in `whole`, for each of n items."""
    return rng.integers(0, whole - size + 1, size=n)


def inside(top: Ints, left: Ints, size: tuple[int, int], height: int, width: int) -> Bools:
    """The rectangles as masks (n, 1, height, width)."""
    rows = np.arange(height) - top[:, None]
    columns = np.arange(width) - left[:, None]
    tall, wide = (rows >= 0) & (rows < size[0]), (columns >= 0) & (columns < size[1])
    return np.asarray(tall[:, None, :, None] & wide[:, None, None, :])


Window = tuple[npt.NDArray[np.int64], ...]


def window(n: int, channels: int, top: Ints, left: Ints, size: tuple[int, int]) -> Window:
    """Indices that take or set the rectangles of an array (n, channels, height, width) as (n, channels, *size)."""
    rows, columns = top[:, None] + np.arange(size[0]), left[:, None] + np.arange(size[1])
    return (
        np.arange(n)[:, None, None, None], np.arange(channels)[None, :, None, None],
        rows[:, None, :, None], columns[:, None, None, :],
    )  # fmt: skip


def _pyramid(height: int, width: int) -> Floats:
    """Concentric squares about the middle, the k-th weighing 1/k², of unit l2 norm."""
    far = np.maximum(np.abs(np.arange(height) - height // 2)[:, None], np.abs(np.arange(width) - width // 2)[None, :])
    weights = 1.0 / np.arange(1, max(height // 2, width // 2) + 2) ** 2
    heights = np.cumsum(weights[::-1])[::-1][far]
    return np.asarray(heights / np.sqrt((heights**2).sum()))


def twin_peaks(height: int, width: int) -> Floats:
    """One pyramid up and one down beside it, of unit l2 norm; a single one where there is no room for two."""
    if height == 1 and width > 1:
        return twin_peaks(width, 1).T
    half = height // 2
    pattern = -_pyramid(height - half, width)
    if half:
        pattern = np.vstack([_pyramid(half, width), pattern])
    return np.asarray(pattern / np.sqrt((pattern**2).sum()))
