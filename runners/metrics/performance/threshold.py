"""From scores to decisions: the submission's own, at a fixed threshold, or at one tuned on the validation split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import FloatArray, IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.performance.counts import answers
from runners.registry import MetricValue, undefined

#: `None`: the classes the submission gave. A number: the positive class where its probability is at least that.
#: `tuned`: the number that does best on the validation split.
Threshold = Annotated[float, Field(ge=0, le=1)] | Literal["tuned"] | None

#: A statistic of confusion tables `[..., true, predicted]`, NaN where undefined; larger is better.
Objective = Callable[[IntArray], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Decisions:
    """`predictions`, (n,), and what the details say of how they came about."""

    predictions: IntArray
    details: dict[str, JsonValue] = field(default_factory=dict)


def decide(ctx: MetricContext, threshold: float | str | None, objective: Objective) -> Decisions | MetricValue:
    """The decisions at a threshold, or the value that says why there are none.

    Raises:
        ScorerFault: a threshold for a task of more than two classes.
    """
    if threshold is None:
        return Decisions(answers(ctx))
    if ctx.task.kind != "binary":
        raise ScorerFault(
            "`threshold` is for tasks of two classes; with more, the most probable class is the answer.",
            hint="Remove `threshold`.",
        )
    if ctx.probabilities is None:
        return undefined("classes only: a threshold needs probabilities", n=ctx.n, state="not_applicable")
    if threshold != "tuned":
        return Decisions(decided(ctx, float(threshold)), {"threshold": float(threshold)})
    held = ctx.validation
    if held is None or held.probabilities is None:
        reason = ctx.missing(("validation",)) or "the validation split has no probabilities"
        return undefined(f"the threshold cannot be tuned: {reason}", n=ctx.n, state="not_applicable")
    positive = held.task.positive_index
    found = tune(held.probabilities[:, positive], held.labels, positive, objective)
    if found is None:
        return undefined("the threshold cannot be tuned: the measure has no value on the validation split", n=ctx.n)
    at, reached = found
    details: dict[str, JsonValue] = {
        "threshold": at, "tuned_on": held.n, "value_on_validation": reached,
    }  # fmt: skip
    return Decisions(decided(ctx, at), details)


def decided(ctx: MetricContext, threshold: float) -> IntArray:
    """Class indices, (n,): the positive class where its probability is at least `threshold`. Two classes only."""
    if ctx.probabilities is None:
        raise RuntimeError("the caller checks that there are probabilities")
    positive = ctx.task.positive_index
    chosen = ctx.probabilities[:, positive] >= threshold
    return np.where(chosen, positive, 1 - positive).astype(np.int64)


def tune(scores: FloatArray, labels: IntArray, positive: int, objective: Objective) -> tuple[float, float] | None:
    """The threshold with the largest objective, and the objective there; None where it is undefined everywhere.

    Candidates lie in the middle between neighbouring scores; of equally good ones the nearest to one half is taken.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], (labels[order] == positive).astype(np.int64)
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits = np.r_[0, np.cumsum(truth)[ends]]
    chosen = np.r_[0, ends + 1]
    cuts = np.r_[ranked[ends], 0.0]
    # Above the largest score nothing is chosen; 2 stands for "more than any probability".
    middle = np.r_[(1.0 + cuts[0]) / 2 if cuts[0] < 1.0 else 2.0, (cuts[:-1] + cuts[1:]) / 2]
    middle[-1] = 0.0
    wrong = chosen - hits
    total, others = int(truth.sum()), truth.size - int(truth.sum())
    tables = np.empty((chosen.size, 2, 2), dtype=np.int64)
    negative = 1 - positive
    tables[:, positive, positive], tables[:, positive, negative] = hits, total - hits
    tables[:, negative, positive], tables[:, negative, negative] = wrong, others - wrong
    values = objective(tables)
    if not np.isfinite(values).any():
        return None
    best = float(np.nanmax(values))
    among = np.flatnonzero(values >= best - 1e-12)
    at = among[np.argmin(np.abs(middle[among] - 0.5))]
    return float(middle[at]), best
