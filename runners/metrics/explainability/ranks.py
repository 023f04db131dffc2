"""Agreement of orders, row by row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runners.metrics.performance.roc_auc import midranks

FloatArray = npt.NDArray[np.float64]


def spearman(a: FloatArray, b: FloatArray) -> FloatArray:
    """Spearman's rank correlation of each pair of rows (n, k): (n,), NaN where a row is all equal."""
    ranks = [np.apply_along_axis(midranks, 1, part) for part in (a, b)]
    first, second = (part - part.mean(axis=1, keepdims=True) for part in ranks)
    spread = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return _share((first * second).sum(axis=1), spread)


def kendall(a: FloatArray, b: FloatArray) -> FloatArray:
    """Kendall's tau-b of each pair of rows (n, k), k small: (n,), NaN where a row is all equal."""
    i, j = np.triu_indices(a.shape[1], 1)
    first, second = np.sign(a[:, i] - a[:, j]), np.sign(b[:, i] - b[:, j])
    spread = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return _share((first * second).sum(axis=1), spread)


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    """part / whole, NaN where whole is zero."""
    found = np.divide(part, whole, out=np.full(whole.size, np.nan), where=whole > 0)
    return np.asarray(found, dtype=np.float64)
