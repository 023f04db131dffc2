"""Median smoothing as a defence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from runners.defences.images import Inputs, ValueRange, check_images
from runners.registry import defence


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("a window has a middle only where its width is odd")
    return value


@defence(
    "median_smoothing",
    title="Median smoothing",
    path="exact",
    reference="Xu, Evans and Qi, Feature Squeezing, NDSS 2018",
    limits="It removes single pixels, not smooth changes: an adaptive attack loses little by it. Its gradient is "
    "exact, and sparse. On small images it removes what the classes differ in. Time grows with the square of "
    "`window`.",
)
def median_smoothing(
    x: Inputs, *, value_range: ValueRange, window: Annotated[int, Field(ge=3, le=31), AfterValidator(_odd)] = 3
) -> tuple[Inputs, Callable[[Inputs], Inputs]]:
    """Each pixel becomes the median of the square around it, in its own channel; borders are mirrored.

    The way back is exact: a median is one of its pixels, and the gradient goes to that one.

    Args:
        window: width of the square in pixels, odd.

    Raises:
        ScorerFault: x are no images.
    """
    check_images(x, "median_smoothing")
    half = window // 2
    edges = ((0, 0), (0, 0), (half, half), (half, half))
    padded = np.pad(x, edges, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(2, 3))
    flat = windows.reshape(*x.shape, window * window)
    middle = window * window // 2
    # The median by itself is several times faster than the place where it stands, which only the way back needs.
    smoothed = np.partition(flat, middle, axis=-1)[..., middle]

    def back(gradient: Inputs) -> Inputs:
        place = np.argpartition(flat, middle, axis=-1)[..., middle]
        source = np.pad(np.arange(x[0].size).reshape(x.shape[1:]), edges[1:], mode="symmetric")
        sources = np.lib.stride_tricks.sliding_window_view(source, (window, window), axis=(1, 2))
        table = sources.reshape(x[0].size, window * window)
        target = table[np.arange(x[0].size), place.reshape(x.shape[0], -1)]
        target += x[0].size * np.arange(x.shape[0])[:, None]
        weights = gradient.astype(np.float64).ravel()
        return np.bincount(target.ravel(), weights, minlength=x.size).reshape(x.shape).astype(np.float32)

    return np.ascontiguousarray(smoothed, dtype=np.float32), back
