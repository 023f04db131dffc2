"""How much of a model can be had by asking it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.attacks.geometry import Inputs, logits, probabilities
from runners.context import FloatArray, IntArray, MetricContext
from runners.metrics.performance.counts import answers
from runners.metrics.performance.shares import share_interval
from runners.metrics.privacy.groups import halves
from runners.metrics.privacy.learner import learn, narrow
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval

COLUMNS = (
    Column("", title="Extraction fidelity"),
    Column("gain", title="Extraction: gain from the answers", range=(-1.0, 1.0)),
)
#: Fewer items than this on a side tell nothing.
_LEAST = 20
#: More inputs than this are mixed down by a random projection.
_WIDEST = 1024
#: Log-probabilities below this are the noise of a saturated model.
_LOWEST = -30.0


def _cost(parameters: Mapping[str, Any], _items: int) -> Cost:
    """The whole budget; of a split that is too small, or of too few clusters, nothing is asked."""
    return Cost(least=0, typical=parameters["budget"])


@metric(
    "privacy.extraction_fidelity",
    title="Extraction fidelity",
    direction="minimise",
    range=(0.0, 1.0),
    needs=("queries", "predictions"),
    results=COLUMNS,
    reference="Fidelity on the data's distribution: Jagielski et al. 2020; equation solving: Tramèr et al. 2016",
    formula="fidelity = share of held-back items to which a copy learned from `budget` answers gives the same "
    "class\n"
    "gain = fidelity − that of a copy learned from the true labels alone",
    interval="Wilson score interval, over clusters a bootstrap; gain: bootstrap of the mean.",
    limits="A lower bound: a stronger attacker may copy more. A model that always answers the same is copied too, "
    "and one that is right is agreed with by any good model: read `gain` and `details.most_frequent_answer`.",
    queries=_cost,
)
def extraction_fidelity(
    ctx: MetricContext, *, budget: Annotated[int, Field(ge=10, le=1_000_000)] = 1000
) -> MetricReturn:
    """Share of the items to which a copy of the model, learned from `budget` of its answers, gives the same class.

    The attacker has half of the items: it asks about them and, where the budget goes on, about mixtures of two of them.
    Its copy (ridge regression of the log-probabilities, linear or on random rectified features, whichever does better
    on answers held back) is compared on the other half. A linear model is found exactly with a few more questions than
    it has inputs. 1 is a perfect copy. `gain` is how much more the copy agrees than one that is learned from
    the true labels of the same items, without asking: what the answers gave away. A stronger attacker may copy more.
    """
    if ctx.model is None or ctx.inputs is None:
        raise RuntimeError("a metric that asks the model must declare the need `queries`")
    rng = ctx.rng("privacy.extraction_fidelity")
    codes = cluster_codes(ctx.clusters)
    mine = halves(np.zeros(ctx.n, dtype=bool), codes, rng)
    if min(int(mine.sum()), int((~mine).sum())) < _LEAST:
        reason = f"{ctx.n} items: each half needs {_LEAST}"
        return {column.key: undefined(reason, n=ctx.n, state="too_few") for column in COLUMNS}
    own, rest = rng.permutation(np.flatnonzero(mine)), np.flatnonzero(~mine)
    asked = _questions(ctx.inputs[own], budget, rng)
    own = own[:budget]
    ctx.progress(f"extraction: {budget} questions", 0.0)
    said = np.maximum(logits(probabilities(ctx.model, asked)), _LOWEST)
    ctx.progress("extraction: learning a copy", 0.5)
    truth = answers(ctx)[rest]
    copied = _copy(asked, said, ctx.inputs[rest], ctx.rng("privacy.extraction.learner"))
    labels = np.eye(len(ctx.task.classes))[ctx.labels[own]]
    unasked = _copy(ctx.inputs[own], labels, ctx.inputs[rest], ctx.rng("privacy.extraction.learner"))
    same, before = copied == truth, unasked == truth
    clusters = None if ctx.clusters is None else ctx.clusters[rest]
    low, high = share_interval(same, clusters, rng=ctx.rng("privacy.extraction.interval"))
    changes = same.astype(np.float64) - before
    gain = mean_interval(changes, cluster_codes(clusters), rng=ctx.rng("privacy.extraction.gain"))
    details: dict[str, JsonValue] = {
        "budget": budget, "of_items": int(own.size), "mixtures": budget - int(own.size),
        "learned_from_labels": float(before.mean()),
        "most_frequent_answer": float(np.bincount(truth).max() / rest.size),
        "copy_accuracy": float((copied == ctx.labels[rest]).mean()),
        "accuracy": float((truth == ctx.labels[rest]).mean()),
    }  # fmt: skip
    return {
        "": MetricValue(float(same.mean()), low=low, high=high, n=int(rest.size), details=details),
        "gain": MetricValue(float(changes.mean()), low=gain[0], high=gain[1], n=int(rest.size)),
    }


def _questions(pool: Inputs, budget: int, rng: np.random.Generator) -> Inputs:
    """`budget` inputs: the items in their order, then mixtures of two, which stay in the value range."""
    first = pool[:budget]
    more = budget - first.shape[0]
    if more == 0:
        return np.ascontiguousarray(first)
    a, b = rng.integers(0, pool.shape[0], size=(2, more))
    share = rng.random(more).astype(np.float32).reshape((-1,) + (1,) * (pool.ndim - 1))
    return np.concatenate([first, share * pool[a] + (1 - share) * pool[b]])


def _copy(asked: Inputs, targets: FloatArray, x: Inputs, rng: np.random.Generator) -> IntArray:
    """Classes that a learner of these targets gives to x."""
    columns = narrow(math.prod(x.shape[1:]), _WIDEST, rng)
    centred = targets - targets.mean(axis=1, keepdims=True)
    model = learn(columns(asked), centred, rng, quality=_agreement)
    return np.asarray(model(columns(x)).argmax(axis=1), dtype=np.int64)


def _agreement(targets: npt.NDArray[np.float64], guess: npt.NDArray[np.float64]) -> float:
    return float((targets.argmax(axis=1) == guess.argmax(axis=1)).mean())
