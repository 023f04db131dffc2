"""Intervals of what changes between two answers to the same items: drawn in pairs, for the items are the same."""

from __future__ import annotations

import numpy as np

from runners.attacks.geometry import Bools, Floats, Ints
from runners.context import MetricContext
from runners.metrics.performance.balanced_accuracy import mean_recall
from runners.metrics.performance.roc_auc import auc_with_influence
from runners.statistics.bootstrap import cluster_codes, group_sums, table_interval
from runners.statistics.intervals import Interval, Z


def balanced_accuracy_change(part: MetricContext, after: Floats, before: Floats) -> Interval:
    """Balanced accuracy of the answers `after` less that of `before`: bootstrap of the table of both outcomes.

    None where no item's outcome differs: a bootstrap would claim certainty.
    """
    hits = [answers.argmax(axis=1) == part.labels for answers in (after, before)]
    if bool((hits[0] == hits[1]).all()):
        return None, None
    classes = len(part.task.classes)
    cells = part.labels * 4 + hits[0] * 2 + hits[1]

    def change(tables: Ints) -> Floats:
        return mean_recall(tables.sum(axis=-1)) - mean_recall(tables.sum(axis=-2))

    rng = part.rng("robustness.change.balanced_accuracy")
    return table_interval(change, cells.astype(np.int64), (classes, 2, 2), cluster_codes(part.clusters), rng=rng)


def auc_change(part: MetricContext, after: Floats, before: Floats) -> Interval:
    """AUC of `after` less that of `before`: normal interval from DeLong's components of both, summed in clusters.

    None where nothing differs, or a class has fewer than two items.
    """
    counts = np.bincount(part.labels, minlength=len(part.task.classes))
    if counts.min() < 2:
        return None, None
    chosen = [part.task.positive_index] if part.task.kind == "binary" else range(counts.size)
    value, influence = 0.0, np.zeros(part.n)
    for k in chosen:
        positive = part.labels == k
        pair = [auc_with_influence(answers[:, k], positive) for answers in (after, before)]
        value += (pair[0][0] - pair[1][0]) / len(chosen)
        influence += (pair[0][1] - pair[1][1]) / len(chosen)
    codes = cluster_codes(part.clusters)
    units = influence if codes is None else group_sums(codes, influence[:, None])[:, 0]
    variance = float((units**2).sum()) * (1 if codes is None else units.size / max(units.size - 1, 1))
    if variance == 0.0:
        return None, None
    half = Z * float(np.sqrt(variance))
    return max(-1.0, value - half), min(1.0, value + half)


def share_change(part: MetricContext, after: Bools, before: Bools) -> Interval:
    """Share of true in `after` less that in `before`; None where no item differs."""
    if bool((after == before).all()):
        return None, None
    cells = (after * 2 + before).astype(np.int64)

    def change(tables: Ints) -> Floats:
        return np.asarray((tables[:, 1, 0] - tables[:, 0, 1]) / tables.sum(axis=(1, 2)), dtype=np.float64)

    rng = part.rng("robustness.change.positive_rate")
    return table_interval(change, cells, (2, 2), cluster_codes(part.clusters), rng=rng)
