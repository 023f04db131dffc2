"""Intervals of changes between two answers to the same items."""

import numpy as np

from runners.metrics.robustness.paired import auc_change, balanced_accuracy_change, share_change
from tests.factories.runner_models import context


def coverage(change, exact, draws=200):
    """How often a nominal 95 % interval holds the true change, over repeated samples of 200 items."""
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(draws):
        labels = rng.integers(0, 2, 200)
        common = rng.normal(labels * 1.5, 1.0)
        before, after = common + rng.normal(0, 0.3, 200), common + rng.normal(-0.5 * labels, 0.3)
        scores = [1 / (1 + np.exp(-(s - 0.75))) for s in (after, before)]
        answers = [np.column_stack([1 - s, s]) for s in scores]
        low, high = change(context(labels, seed=int(rng.integers(1 << 30))), *answers)
        hits += low <= exact <= high
    return hits / draws


def test_paired_intervals_cover():
    from scipy.stats import norm

    spread = np.sqrt(1.09)
    before_auc, after_auc = norm.cdf(1.5 / (spread * np.sqrt(2))), norm.cdf(1.0 / (spread * np.sqrt(2)))
    assert 0.90 <= coverage(auc_change, after_auc - before_auc) <= 0.99
    hit = norm.cdf(0.75 / spread)
    assert 0.90 <= coverage(balanced_accuracy_change, (norm.cdf(0.25 / spread) - hit) / 2) <= 0.99


def test_paired_intervals_of_nothing_changed_claim_nothing():
    answers = np.array([[0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
    ctx = context([1, 0, 0])
    assert balanced_accuracy_change(ctx, answers, answers) == (None, None)
    assert auc_change(ctx, answers, answers) == (None, None)
    same = np.array([True, False, True])
    assert share_change(ctx, same, same) == (None, None)
    low, high = share_change(ctx, np.ones(3, dtype=bool), same)
    assert low <= 1 / 3 <= high
