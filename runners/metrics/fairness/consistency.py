"""Individual fairness: do items that are alike get the same answer?"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from runners.context import FloatArray, IntArray, MetricContext
from runners.metrics.performance.counts import answers
from runners.registry import MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval
from runners.statistics.wording import MEAN_INTERVAL

#: A tree of balls finds neighbours faster than looking at all items while items have few numbers.
_FEW = 20
#: Items asked about at once.
_CHUNK = 256


def agreement(inputs: npt.NDArray[Any], predictions: IntArray, chosen: IntArray, neighbours: int) -> FloatArray:
    """Share of each chosen item's nearest items, itself among them, that have its own prediction: (chosen,)."""
    from sklearn.neighbors import NearestNeighbors

    algorithm = "ball_tree" if inputs.shape[1] <= _FEW else "brute"
    found = NearestNeighbors(n_neighbors=neighbours, algorithm=algorithm).fit(inputs)
    parts = []
    for start in range(0, chosen.size, _CHUNK):
        some = chosen[start : start + _CHUNK]
        nearest = found.kneighbors(inputs[some], return_distance=False)
        parts.append((predictions[nearest] == predictions[some][:, None]).mean(axis=1))
    return np.concatenate(parts)


@metric(
    "fairness.consistency",
    title="Consistency",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("predictions",),
    reference="Zemel et al., ICML 2013; as in AIF360, which counts an item among its own neighbours",
    formula="1 − (1/n) Σᵢ |ŷᵢ − mean ŷ of the k items nearest to i, itself among them|,  k = `neighbours`\n"
    "more than two classes: share of the k that have the same answer",
    interval=MEAN_INTERVAL,
    limits="Nearness is Euclidean distance of the inputs as they are: scale them first, or the feature of the "
    "largest range decides. For images it says little. It is at least 1/k, for an item is its own neighbour; one "
    "answer for all is perfectly consistent.",
)
def consistency(
    ctx: MetricContext,
    *,
    neighbours: Annotated[int, Field(ge=2, le=1000)] = 5,
    items: Annotated[int, Field(ge=1)] | None = 2000,
) -> MetricReturn:
    """1 - mean distance of an item's answer from the mean answer of its nearest neighbours: 1 is equal treatment.

    Nearest by Euclidean distance of the inputs as they are: features of larger range weigh more. An item
    is its own first neighbour, so that it is at least 1 / `neighbours`. `items` are drawn by the run's seed and
    compared with all of the split. The interval is over these items, for neighbours as they are.
    """
    if ctx.inputs is None:
        return undefined("the judge does not have the inputs of the items", state="not_applicable")
    if ctx.n < neighbours:
        return undefined(f"the split has {ctx.n} items, and {neighbours} neighbours are asked for", n=ctx.n)
    chosen = np.arange(ctx.n)
    if items is not None and items < ctx.n:
        chosen = np.sort(ctx.rng("fairness.consistency.items").choice(ctx.n, size=items, replace=False))
    found = agreement(ctx.inputs.reshape(ctx.n, -1), answers(ctx), chosen, neighbours)
    clusters = None if ctx.clusters is None else cluster_codes(ctx.clusters[chosen])
    low, high = mean_interval(found, clusters, rng=ctx.rng("fairness.consistency"))
    return MetricValue(float(found.mean()), low=low, high=high, n=int(chosen.size), details={"neighbours": neighbours})
