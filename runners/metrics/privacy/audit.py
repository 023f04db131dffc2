"""From what a membership attack achieves to the least epsilon that allows it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runners.metrics.privacy.binomial import lower_bound, upper_bound
from runners.metrics.privacy.groups import Bools

FloatArray = npt.NDArray[np.float64]

#: No epsilon above this is told apart from no privacy at all.
_LARGEST = 50.0
#: A fair coin leaves this many standard deviations once in 15 000 times.
_FAIR = 4.0
#: Thresholds that are tried at most, about.
_THRESHOLDS = 4000


def rates_bound(
    hits: npt.ArrayLike, members: int, wrong: npt.ArrayLike, others: int, *, delta: float, error: float
) -> FloatArray:
    """The epsilon that a test with these true and false positives refutes, elementwise; 0 where it refutes none.

    (epsilon, delta)-privacy bounds every test: TPR <= e^eps FPR + delta and TNR <= e^eps FNR + delta (Kairouz et al.
    2015). Both rates are replaced by their Clopper-Pearson bounds, each with half of `error`; one pair of bounds serves
    both inequalities (Jagielski et al. 2020, Nasr et al. 2021).
    """
    tpr, fpr = lower_bound(hits, members, error / 2), upper_bound(wrong, others, error / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(np.maximum(tpr - delta, 0.0) / fpr)
        missed = np.log(np.maximum(1 - fpr - delta, 0.0) / (1 - tpr))
    return np.asarray(np.maximum(0.0, np.maximum(found, missed)), dtype=np.float64)


@dataclass(frozen=True)
class Threshold:
    """Items above `value` are called members; `gain` is what the rates of the items it was chosen on refute."""

    value: float
    gain: float


def best_test(scores: FloatArray, member: Bools, *, delta: float, error: float) -> Threshold:
    """The threshold whose rates refute the largest epsilon on these items."""
    order = np.argsort(-scores, kind="stable")
    ordered, side = scores[order], member[order]
    ends = _thinned(np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True]))
    hits, wrong = np.cumsum(side)[ends], np.cumsum(~side)[ends]
    bounds = rates_bound(hits, int(side.sum()), wrong, int((~side).sum()), delta=delta, error=error)
    best = int(bounds.argmax())
    end = int(ends[best])
    threshold = -math.inf if end == ordered.size - 1 else float((ordered[end] + ordered[end + 1]) / 2)
    return Threshold(threshold, float(bounds[best]))


def _thinned(ends: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The outermost thresholds and, the nearer to the middle, ever fewer: what refutes most lies near an end."""
    if ends.size <= _THRESHOLDS:
        return ends
    steps = np.unique(np.geomspace(1, ends.size, _THRESHOLDS // 2).astype(np.intp)) - 1
    return ends[np.union1d(steps, ends.size - 1 - steps)]


def fair_coin(members: int, items: int) -> bool:
    """Whether members may have been drawn by a fair coin."""
    return abs(members - items / 2) <= _FAIR * math.sqrt(items) / 2


def one_run_p(items: int, guesses: int, right: int, eps: float, delta: float) -> float:
    """How likely an (eps, delta)-private training lets at least `right` of `guesses` be right (Steinke et al. 2023).

    Each of `items` was a member by a fair coin of its own; the attacker guesses where it likes.
    """
    from scipy.stats import binom

    q = 1 / (1 + math.exp(-eps))
    p = float(binom.sf(right - 1, guesses, q))
    if delta > 0 and right > 0:
        below = np.cumsum(binom.pmf(np.arange(right - 1, -1, -1), guesses, q))
        p += 2 * items * delta * float((below / np.arange(1, right + 1)).max())
    return min(p, 1.0)


def one_run_bound(items: int, guesses: int, right: int, *, delta: float, error: float) -> float:
    """The largest epsilon that these guesses refute with confidence 1 - `error`; 0 where they refute none."""
    if guesses == 0 or one_run_p(items, guesses, right, 0.0, delta) > error:
        return 0.0
    low, high = 0.0, _LARGEST
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if one_run_p(items, guesses, right, middle, delta) <= error else (low, middle)
    return low


def right_guesses(scores: FloatArray, member: Bools, guesses: int) -> int:
    """Right ones of `guesses`: the upper half of them for the highest scores, "member", the rest for the lowest.

    Of equal scores the first come first: the order of the items must tell nothing.
    """
    order = np.argsort(-scores, kind="stable")
    upper = guesses // 2
    return int(member[order[:upper]].sum() + (~member[order[scores.size - (guesses - upper) :]]).sum())


def best_share(scores: FloatArray, member: Bools, *, delta: float, error: float) -> float:
    """The share of the items to guess about that refutes the largest epsilon on these items."""
    shares = np.geomspace(min(1.0, 4 / scores.size), 1.0, 24)
    bounds = [
        one_run_bound(
            scores.size, count, right_guesses(scores, member, count), delta=delta, error=error
        )
        for count in (int(share * scores.size) for share in shares)
    ]  # fmt: skip
    return float(shares[int(np.argmax(bounds))])
