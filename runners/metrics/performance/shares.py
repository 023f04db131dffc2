"""The interval of a share of items, clustered or not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runners.context import Names
from runners.statistics.bootstrap import cluster_codes, mean_interval
from runners.statistics.intervals import Interval, wilson


def share_interval(hits: npt.NDArray[np.bool_], clusters: Names | None, *, rng: np.random.Generator) -> Interval:
    """Wilson where items are independent; else clusters are drawn whole.

    A share of 0 or 1 has no spread to resample: then Wilson over the number of clusters stands in.
    """
    codes = cluster_codes(clusters)
    if codes is None:
        return wilson(int(hits.sum()), hits.size)
    share, units = float(hits.mean()), int(codes.max()) + 1
    if share in (0.0, 1.0):
        return wilson(share * units, units)
    return mean_interval(hits.astype(np.float64), codes, rng=rng)
