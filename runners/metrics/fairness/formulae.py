"""What is compared between the unprivileged and the privileged, as one table of formulae.

Conventions are AIF360's: unprivileged minus, or over, privileged. Undefined is NaN here, and a state
with a reason in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.context import IntArray
from runners.metrics.fairness.shares import SHARES
from runners.statistics.intervals import FEW, Interval, mover, mover_ratio

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Formula:
    """A comparison of counts `[..., side, y, yhat]`, side 0 unprivileged, with what it reads.

    `weights`: a weighted sum of differences of `shares`; None: the ratio of the only one. `inverse`: the
    other side's over this one's.
    """

    shares: tuple[str, ...]
    weights: tuple[float, ...] | None
    inverse: bool = False

    def value(self, tables: npt.NDArray[Any]) -> FloatArray:
        """One number for each table; NaN where a share has nothing to divide by, or the ratio divides by zero."""
        pairs = [(SHARES[s].of(tables[..., 0, :, :]), SHARES[s].of(tables[..., 1, :, :])) for s in self.shares]
        if self.weights is None:
            u, p = reversed(pairs[0]) if self.inverse else pairs[0]
            return np.asarray(np.divide(u, p, out=np.full(np.shape(u), np.nan), where=p > 0), dtype=np.float64)
        parts = [weight * (u - p) for weight, (u, p) in zip(self.weights, pairs, strict=True)]
        return np.asarray(sum(parts[1:], parts[0]), dtype=np.float64)

    @property
    def of_proportions(self) -> bool:
        """Whether score intervals are known of all it reads; not of odds-like ratios."""
        return all(SHARES[s].proportion for s in self.shares)

    def flat(self, counts: IntArray) -> bool:
        """Whether every proportion it reads is 0 or 1 on both sides, so that a bootstrap has nothing to vary."""
        return self.of_proportions and all(bool(np.isin(SHARES[s].of(counts), (0, 1)).all()) for s in self.shares)

    def sparse(self, counts: IntArray) -> bool:
        """Whether a proportion it reads has few hits or few misses on a side, so that a bootstrap is too narrow."""
        both = [SHARES[s].counts(counts) for s in self.shares]
        return self.of_proportions and any(bool((np.minimum(part, whole - part) < FEW).any()) for part, whole in both)

    def score_interval(self, counts: IntArray) -> Interval:
        """Interval from the counts of proportions alone."""
        both = [SHARES[s].counts(counts) for s in self.shares]
        hits = [(int(part[0]), int(part[1])) for part, _ in both]
        trials = [(int(whole[0]), int(whole[1])) for _, whole in both]
        if self.weights is None:
            return mover_ratio(*((hits[0][::-1], trials[0][::-1]) if self.inverse else (hits[0], trials[0])))
        signed = [sign * weight for weight in self.weights for sign in (1, -1)]
        return mover(signed, [k for pair in hits for k in pair], [n for pair in trials for n in pair])

    def why_undefined(self, counts: IntArray) -> str:
        """In words, for counts whose value is NaN."""
        for share in self.shares:
            for side, name in enumerate(("unprivileged", "privileged")):
                if int(SHARES[share].counts(counts[side])[1]) == 0:
                    return f"the {name} group {SHARES[share].empty}, so it has no {SHARES[share].title}"
        if self.shares == ("selection_rate",):
            return "no privileged item is given the favourable outcome, so the ratio divides by zero"
        return f"the {SHARES[self.shares[0]].title} of the privileged group is 0, so the ratio divides by zero"


def difference(share: str) -> Formula:
    """The share of the unprivileged minus that of the privileged."""
    return Formula((share,), (1.0,))


def ratio(share: str) -> Formula:
    """The share of the unprivileged over that of the privileged."""
    return Formula((share,), None)


@dataclass(frozen=True)
class Folded:
    """Differences or ratios without their sign, combined: opposite ones cannot cancel.

    `fold` takes a part to its distance from equality (or nearness to it); it is applied to the ends of
    the parts' intervals too, which is why `combine` must grow with each of its arguments.
    """

    parts: tuple[Formula, ...]
    combine: Callable[[Sequence[float]], float]
    of_ratios: bool = False

    def turned(self, counts: IntArray) -> tuple[Formula, ...]:
        """The parts, a ratio the other way round where only so it is defined: both ways have the same distance."""
        if not self.of_ratios:
            return self.parts
        other = [replace(part, inverse=True) for part in self.parts]
        return tuple(
            b if np.isnan(a.value(counts)) and not np.isnan(b.value(counts)) else a
            for a, b in zip(self.parts, other, strict=True)
        )

    def fold(self, value: float) -> float:
        """|d| of a difference; of a ratio r the smaller of r and 1/r."""
        if not self.of_ratios:
            return abs(value)
        return min(value, 1.0 / value) if value > 0 else 0.0

    def fold_interval(self, interval: Interval) -> Interval:
        """The folded values that an interval of the part holds."""
        low, high = interval
        if self.of_ratios:
            ends = (0.0 if low is None else self.fold(low), 0.0 if high is None else self.fold(high))
            holds = (low is None or low <= 1) and (high is None or high >= 1)
            return min(ends), 1.0 if holds else max(ends)
        if low is None or high is None:
            return None, None
        return (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))


#: Differences that are not of one share alone. AIF360's average predictive value: PPV and FOR.
COMBINED: Mapping[str, Formula] = MappingProxyType(
    {
        "average_odds_difference": Formula(("false_positive_rate", "true_positive_rate"), (0.5, 0.5)),
        "average_predictive_value_difference": Formula(
            ("positive_predictive_value", "false_omission_rate"), (0.5, 0.5)
        ),
    }
)
