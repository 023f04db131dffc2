"""What an attacker who scores items gets: the curve, its points at small false positive rates, the best threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from runners.context import IntArray, Names
from runners.metrics.performance.influence import share_like_interval
from runners.metrics.performance.roc_auc import auc_with_influence
from runners.metrics.performance.shares import share_interval
from runners.metrics.privacy.binomial import clopper_pearson
from runners.metrics.privacy.groups import Bools, halves
from runners.registry import MetricValue, undefined
from runners.statistics.bootstrap import (
    ITEM_DRAWS,
    cluster_codes,
    group_sums,
    groups_of,
    percentile_interval,
    resample_sums,
)
from runners.statistics.intervals import Interval, mover

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Attack:
    """Scores (n,) of items, which of them are members, and the clusters they share (None: independent)."""

    scores: FloatArray
    member: Bools
    clusters: Names | None = None

    @property
    def codes(self) -> IntArray | None:
        return cluster_codes(self.clusters)

    @property
    def n(self) -> int:
        return int(self.member.size)


def area(attack: Attack) -> tuple[float, Interval]:
    """AUC, ties count one half, and its interval: DeLong on the logit scale, summed in clusters."""
    auc, influence = auc_with_influence(attack.scores, attack.member)
    codes, side = attack.codes, attack.member.astype(np.int64)
    units = np.bincount(side, minlength=2) if codes is None else groups_of(codes, side, 2)
    return auc, share_like_interval(auc, influence, codes, int(units.min()))


def floor_at(others: FloatArray, rate: float) -> float | None:
    """The lowest score such that at most `rate` of `others` are above it; None where they are too few to tell."""
    # 0.01 · 300 must be three items, whatever the last bit of the product says.
    allowed = math.floor(rate * others.size * (1 + 1e-12))
    if allowed < 1:
        return None
    ordered = np.sort(others)[::-1]
    return float(ordered[allowed]) if allowed < others.size else -math.inf


def tpr_at(attack: Attack, rate: float, rng: np.random.Generator) -> MetricValue:
    """Share of the members above the lowest threshold that at most `rate` of the non-members pass.

    Clopper-Pearson at that threshold; over clusters a bootstrap.
    """
    others = attack.scores[~attack.member]
    floor = floor_at(others, rate)
    if floor is None:
        reason = f"{others.size} non-members cannot tell a rate of {rate:g}; at least {round(1 / rate)} are needed"
        return undefined(reason, n=attack.n, state="too_few")
    hits = attack.scores[attack.member] > floor
    if attack.codes is None or attack.clusters is None:
        interval: Interval = clopper_pearson(int(hits.sum()), hits.size)
    else:
        interval = share_interval(hits, attack.clusters[attack.member], rng=rng)
    wrong = int((others > floor).sum())
    details: dict[str, JsonValue] = {
        "false_positives": wrong, "non_members": int(others.size), "fpr": wrong / others.size,
    }  # fmt: skip
    return MetricValue(float(hits.mean()), low=interval[0], high=interval[1], n=int(hits.size), details=details)


def best_threshold(scores: FloatArray, member: Bools) -> float:
    """The score above which items are called members so that TPR - FPR is largest; infinite where none helps."""
    order = np.argsort(-scores, kind="stable")
    ordered, side = scores[order], member[order]
    gap = np.cumsum(side) / max(1, side.sum()) - np.cumsum(~side) / max(1, (~side).sum())
    # Only between two different scores is there a threshold.
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    best = int(ends[gap[ends].argmax()])
    if gap[best] <= 0:
        return math.inf
    return -math.inf if best == scores.size - 1 else float(ordered[best + 1])


def advantage(attack: Attack, rng: np.random.Generator) -> MetricValue:
    """TPR - FPR (Yeom et al. 2018) at a threshold found on the other half of the items, both ways.

    The best threshold of the same items would find an advantage in noise.
    """
    codes = attack.codes
    first = halves(attack.member, codes, rng)
    called = np.zeros(attack.n, dtype=bool)
    for part in (first, ~first):
        other = ~part
        if len(np.unique(attack.member[other])) < 2:
            return undefined("one half of the clusters holds only members or only non-members", n=attack.n)
        called[part] = attack.scores[part] > best_threshold(attack.scores[other], attack.member[other])
    hits, wrong = int((called & attack.member).sum()), int((called & ~attack.member).sum())
    members = int(attack.member.sum())
    trials = (members, attack.n - members)
    value = hits / trials[0] - wrong / trials[1]
    interval: Interval = mover((1.0, -1.0), (hits, wrong), trials)
    if codes is not None:
        sides = np.column_stack([called & attack.member, attack.member, called & ~attack.member, ~attack.member])
        sums = resample_sums(group_sums(codes, sides.astype(np.float64)), draws=ITEM_DRAWS, rng=rng)
        with np.errstate(invalid="ignore", divide="ignore"):
            interval = percentile_interval(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])
    details: dict[str, JsonValue] = {"tpr": hits / trials[0], "fpr": wrong / trials[1]}
    return MetricValue(value, low=interval[0], high=interval[1], n=attack.n, details=details)


def curve(attack: Attack) -> list[JsonValue]:
    """TPR at false positive rates from one non-member to all, in steps of a third of a decade."""
    others, mine = attack.scores[~attack.member], np.sort(attack.scores[attack.member])
    points: list[JsonValue] = []
    for rate in sorted({1.0, *(10 ** (-k / 3) for k in range(1, int(3 * math.log10(max(others.size, 1))) + 1))}):
        floor = floor_at(others, rate)
        if floor is not None:
            above = mine.size - int(np.searchsorted(mine, floor, side="right"))
            points.append({"fpr": rate, "tpr": above / mine.size})
    return points
