"""Intervals where little varies: rare errors, few clusters, groups that are equal, sizes that noise makes larger."""

import math

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.fairness.gaps import gap
from runners.metrics.performance.influence import share_like_interval
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context, group_context

EOD = "fairness.equal_opportunity_difference"
GENERALIZED = "fairness.generalized_true_positive_rate_difference"


def only(name, ctx, **parameters):
    (result,) = measure(name, "x", parameters, ctx)
    return result


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize(("name", "value"), [("difference", 0.0), ("ratio", 1.0)])
def test_as_many_false_negatives_as_false_positives_still_vary(name, value, clustered):
    """Odds of one are no proportion of one: nothing says that they could not be others."""
    counts = np.full((2, 2, 2), 40)
    clusters = np.random.default_rng(0).integers(0, 160, 320).astype(str).astype(object) if clustered else None
    result = only(f"fairness.treatment_equality_{name}", group_context(counts, clusters=clusters), attribute="a")
    assert result.value == value
    assert result.low < value < result.high


def test_rates_near_one_are_covered():
    """Fifty items on each side, of which one or two are missed: resampling them covers in 77 % of such tables."""
    rng, hits = np.random.default_rng(0), []
    for _ in range(150):
        u, p = rng.binomial(50, [0.97, 0.98])
        result = only(EOD, group_context(np.array([[[30, 20], [50 - u, u]], [[30, 20], [50 - p, p]]])), attribute="a")
        hits.append(result.low <= -0.01 <= result.high)
    assert np.mean(hits) >= 0.93


def test_rare_misses_of_all_have_a_score_interval_too():
    ctx = context([0] * 100 + [1] * 100, [0] * 99 + [1] + [1] * 99 + [0])
    result = only("performance.balanced_accuracy", ctx)
    assert result.value == pytest.approx(0.99)
    # Newcombe's method for the mean of two proportions of 99 in 100, whose Wilson interval is 0.9455 to 0.9982.
    assert result.low == pytest.approx(0.99 - math.sqrt(2) * 0.5 * (0.99 - 0.94554), abs=1e-4)
    assert result.high == pytest.approx(0.99 + math.sqrt(2) * 0.5 * (0.99823 - 0.99), abs=1e-4)


def test_few_units_have_the_point_of_student():
    """Eight of ten: logit(0.8) plus and minus 2.2622 standard errors of 1 / sqrt(10 * 0.8 * 0.2)."""
    influence = (np.array([1.0] * 8 + [0.0] * 2) - 0.8) / 10
    half = 2.26216 / math.sqrt(10 * 0.8 * 0.2)
    expected = [1 / (1 + math.exp(-(math.log(4) + sign * half))) for sign in (-1, 1)]
    assert share_like_interval(0.8, influence, None, 10) == pytest.approx(expected, abs=1e-5)


def test_a_rate_of_few_clusters_says_so():
    """Positives of the one side are in three videos only, however many there are of the other."""
    sizes, shares = [20] * 23, [0.5, 0.9, 0.7] + [0.6, 0.8] * 10
    yhat = np.concatenate([np.arange(n) < round(n * s) for n, s in zip(sizes, shares, strict=True)]).astype(int)
    video = np.repeat(np.arange(23), 20)
    ctx = context(
        np.ones(460, dtype=int), yhat, task=binary_task(favourable="yes"), clusters=video.astype(str).astype(object),
        attributes={"a": np.where(video < 3, "u", "p").astype(object)},
        attribute_specs={"a": AttributeSpec(privileged="p")},
    )  # fmt: skip
    result = only(EOD, ctx, attribute="a")
    # Three videos with 0.5, 0.7 and 0.9: nothing narrower than from the lowest to the highest, and the others vary too.
    assert result.low < 0.5 - 0.73
    assert result.high > 0.9 - 0.66


def test_an_observed_gap_of_zero_is_not_certain():
    found = gap(np.array([0.5, 0.5]), np.array([30.0, 30.0]), draws=2000, rng=np.random.default_rng(0))
    assert (found.raw, found.low) == (0.0, 0.0)
    assert 0.15 < found.high < 0.4


def test_equal_groups_have_an_inequality_that_may_be_nothing():
    """No difference at all is the smallest there is, so that every replicate lies above it."""
    rng, lows = np.random.default_rng(1), []
    for _ in range(40):
        cells = rng.multinomial(400, [0.3, 0.2, 0.2, 0.3], size=2).reshape(2, 2, 2)
        index = only("fairness.between_group_theil_index", group_context(cells), attribute="a")
        ratio = only("fairness.smoothed_empirical_differential_fairness", group_context(cells), attribute=["a"])
        assert index.low <= index.value <= index.high
        lows.append((index.low == 0.0, ratio.low == 0.0))
    assert np.mean(lows, axis=0) == pytest.approx([0.95, 0.95], abs=0.1)


def test_calibrated_scores_of_a_small_group_may_have_no_error():
    rng, lows = np.random.default_rng(2), []
    for _ in range(60):
        scores = rng.random(80)
        ctx = context(
            (rng.random(80) < scores).astype(int), (scores > 0.5).astype(int), task=binary_task(),
            probabilities=np.column_stack([1 - scores, scores]), attributes={"a": np.full(80, "u", dtype=object)},
            attribute_specs={"a": AttributeSpec(privileged="u")},
        )  # fmt: skip
        result = only("fairness.calibration_within_groups", ctx, attribute="a")
        assert result.low <= result.value <= result.high
        assert result.details["debiased"] < result.value
        lows.append(result.low == 0.0)
    assert np.mean(lows) >= 0.93


def scored(sizes, scores):
    """Positive items of the two sides with these scores."""
    s = np.asarray(scores, dtype=float)
    return context(
        np.ones(s.size, dtype=int), (s > 0.5).astype(int), task=binary_task(favourable="yes"),
        probabilities=np.column_stack([1 - s, s]), attributes={"a": np.repeat(["u", "p"], sizes).astype(object)},
        attribute_specs={"a": AttributeSpec(privileged="p", minimum=1)},
    )  # fmt: skip


def test_mean_scores_stay_in_range_and_one_item_says_nothing_of_its_spread():
    result = only(GENERALIZED, scored([3, 3], [1.0, 1.0, 0.7, 0.0, 0.0, 0.3]), attribute="a")
    assert result.value == pytest.approx(0.8)
    assert 0 < result.low < 0.8 < result.high <= 1.0
    single = only(GENERALIZED, scored([1, 5], [0.9, 0.1, 0.5, 0.3, 0.2, 0.4]), attribute="a")
    assert single.value == pytest.approx(0.6)
    assert (single.low, single.high) == (None, None)
