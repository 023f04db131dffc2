"""How much an item looks like one the model was trained on: the larger, the more."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from runners.attributes import Attribute
from runners.context import IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.fairness.groups import attribute_values
from runners.metrics.performance.counts import distribution

FloatArray = npt.NDArray[np.float64]
Method = Literal["loss", "population", "lira"]

_TINY = float(np.finfo(np.float64).tiny)
#: Fewer reference items of a class than this, and the class is judged by all of them.
_LEAST = 10


def confidence(probabilities: FloatArray, labels: IntArray) -> FloatArray:
    """Log odds of the true class, (n,), finite: ordered as minus the cross-entropy, and nearer to normal.

    The other classes are summed, not taken from one: where a sure model's probability rounds to 1, what is left to
    them still tells items apart (Carlini et al. 2022, section VI-A).
    """
    rows = np.arange(labels.size)
    others = probabilities.copy()
    others[rows, labels] = 0.0
    rest = others.sum(axis=1)
    return np.asarray(np.log(np.maximum(probabilities[rows, labels], _TINY)) - np.log(np.maximum(rest, _TINY)))


def membership_scores(ctx: MetricContext, method: Method, reference: tuple[str, str] | None) -> FloatArray | str:
    """The score of each item, (n,), NaN where its reference is unknown; or why there are none.

    `loss`: log odds of the true class. `population`: the same, in standard deviations from the validation items of
    the class. `lira`: in standard deviations from what models without the item say, which the two attributes of
    `reference` hold as numbers.

    Raises:
        ScorerFault: an attribute of `reference` is not declared, or holds something else than numbers.
    """
    own = confidence(distribution(ctx), ctx.labels)
    if method == "loss":
        return own
    if method == "population":
        return _by_class(ctx, own)
    if reference is None:
        return (
            "`lira` needs what models trained without each item say of it: name two attributes in `reference`, the "
            "mean and the standard deviation of the log odds of the true class"
        )
    centre, spread = (_numbers(ctx, name) for name in reference)
    if centre is None or spread is None:
        return f"the data split lacks one of the attributes {' and '.join(reference)}"
    if (spread <= 0).any():
        raise ScorerFault(f"The attribute {reference[1]!r} holds standard deviations; each must be above 0.")
    return np.asarray((own - centre) / spread)


def _by_class(ctx: MetricContext, own: FloatArray) -> FloatArray | str:
    other = ctx.validation
    if other is None or other.probabilities is None:
        return ctx.missing(("validation",)) or "the answers for the validation split are classes only"
    base = confidence(other.probabilities, other.labels)
    if base.size < _LEAST or base.std() == 0:
        return f"the {base.size} validation items do not tell how sure the model is of items it has not seen"
    centre, spread = np.full(len(ctx.task.classes), base.mean()), np.full(len(ctx.task.classes), base.std(ddof=1))
    for k in range(centre.size):
        mine = base[other.labels == k]
        if mine.size >= _LEAST and mine.std() > 0:
            centre[k], spread[k] = mine.mean(), mine.std(ddof=1)
    return np.asarray((own - centre[ctx.labels]) / spread[ctx.labels])


def _numbers(ctx: MetricContext, name: str) -> FloatArray | None:
    """An attribute whose values are numbers, (n,), NaN where unknown; None where the split has no such column."""
    found = attribute_values(ctx, name)
    return None if found is None else _parsed(name, found[1])


def _parsed(name: str, values: Attribute) -> FloatArray:
    try:
        numbers = np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    except ValueError as error:
        raise ScorerFault(f"The attribute {name!r} must hold numbers: {error}.") from error
    if np.isinf(numbers).any():
        raise ScorerFault(f"The attribute {name!r} must hold finite numbers.")
    return numbers
