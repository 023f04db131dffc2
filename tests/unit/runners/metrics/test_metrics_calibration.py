"""Calibration errors: by hand, against a plain loop, and what chance does to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from runners.errors import ScorerFault
from runners.measure import measure
from runners.spec.models import TaskSpec
from tests.factories.runner_models import binary_task, context

ECE, MCE = "calibration.expected_calibration_error", "calibration.maximum_calibration_error"


def one(ctx, name, **parameters):
    (result,) = measure(name, name, parameters, ctx)
    return result


def scored(labels, scores, **more):
    scores = np.asarray(scores, dtype=float)
    p = np.stack([1 - scores, scores], axis=1)
    return context(labels, p.argmax(axis=1), probabilities=p, **more)


def test_by_hand():
    # Stated 0.6 five times, right four of them; stated 0.9 five times, right three of them.
    labels = [1, 1, 1, 1, 0, 1, 1, 1, 0, 0]
    ctx = scored(labels, [0.6] * 5 + [0.9] * 5)
    result = one(ctx, ECE, bins=10)
    assert result.value == pytest.approx(0.5 * 0.2 + 0.5 * 0.3)
    rows = result.details["diagram"]
    assert [(r["n"], r["stated"], r["right"]) for r in rows] == [
        (5, pytest.approx(0.6), 0.8), (5, pytest.approx(0.9), 0.6),
    ]  # fmt: skip
    assert rows[0]["low"] < 0.8 < rows[0]["high"]
    assert (result.details["bins"], result.details["bins_with_items"]) == (10, 2)
    assert one(ctx, MCE, bins=10, minimum=5).value == pytest.approx(0.3)
    assert one(ctx, MCE, bins=10).state == "undefined"
    # One bin sees 0.75 stated and 0.7 right: gaps of opposite sign cancel.
    assert one(ctx, ECE, bins=2).value == pytest.approx(0.05)


def test_edges_belong_to_the_bin_below():
    ctx = scored([1, 1, 0, 0], [0.5, 1.0, 0.5, 0.0], task=binary_task())
    rows = one(ctx, ECE, bins=2, about="positive").details["diagram"]
    assert [(r["from"], r["to"], r["n"]) for r in rows] == [(0.0, 0.5, 3), (0.5, 1.0, 1)]


def test_equal_mass_bins_hold_about_as_many_and_never_part_equal_values():
    rng = np.random.default_rng(0)
    ctx = scored(rng.integers(0, 2, 1000), rng.random(1000))
    rows = one(ctx, ECE, scheme="equal_mass", about="positive").details["diagram"]
    assert len(rows) == 15
    assert {r["n"] for r in rows} <= {66, 67}
    tied = one(scored([0, 1] * 50, [0.3] * 90 + [0.8] * 10), ECE, scheme="equal_mass", about="positive")
    assert [r["n"] for r in tied.details["diagram"]] == [90, 10]


def loop(stated, right, bins):
    total = 0.0
    for k in range(bins):
        inside = (stated > k / bins) & (stated <= (k + 1) / bins) | ((k == 0) & (stated == 0))
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - stated[inside].mean())
    return total


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 64)), min_size=1, max_size=50), st.sampled_from([2, 4, 8, 16])
)
def test_equals_a_plain_loop(rows, bins):
    labels, scores = np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) / 64
    ctx = scored(labels, scores)
    assert one(ctx, ECE, bins=bins, about="positive").value == pytest.approx(loop(scores, labels, bins))
    stated = ctx.probabilities.max(axis=1)
    assert one(ctx, ECE, bins=bins).value == pytest.approx(loop(stated, ctx.predictions == labels, bins))


def calibrated(rng, n, shift=0.0):
    truth = rng.uniform(0.05, 0.95, n)
    return scored((rng.random(n) < truth).astype(int), np.clip(truth + shift, 0, 1))


def test_chance_is_told_and_taken_off():
    rng = np.random.default_rng(1)
    results = [one(calibrated(rng, 400), ECE, about="positive") for _ in range(60)]
    raw = np.mean([r.value for r in results])
    debiased = np.mean([r.details["debiased"] for r in results])
    assert raw > 0.05  # although the truth is 0
    assert debiased < 0.7 * raw
    assert np.mean([r.details["chance"] for r in results]) == pytest.approx(raw, rel=0.1)
    assert np.mean([r.low == 0.0 for r in results]) > 0.9


def test_the_interval_covers_a_true_error():
    rng = np.random.default_rng(2)
    results = [one(calibrated(rng, 2000, shift=0.04), ECE, about="positive", bins=10) for _ in range(60)]
    assert np.mean([r.low <= 0.04 <= r.high for r in results]) >= 0.9
    assert all(r.low <= r.value <= r.high for r in results)
    assert np.mean([r.high - r.low for r in results]) < 0.06


def test_many_items_are_resampled_in_parts():
    rng = np.random.default_rng(3)
    large = one(calibrated(rng, 200_000, shift=0.04), ECE, about="positive", bins=10)
    assert large.value == pytest.approx(0.04, abs=0.004)
    # The standard deviation of a mean of 200 000 with variance 0.16 or so, times four.
    assert large.high - large.low == pytest.approx(4 * np.sqrt(0.18 / 200_000), rel=0.3)


def test_clusters_widen():
    rng = np.random.default_rng(4)
    truth = rng.uniform(0.1, 0.9, 60)
    labels = np.repeat((rng.random(60) < truth).astype(int), 20)
    scores = np.repeat(np.clip(truth - 0.1, 0, 1), 20)
    clusters = np.repeat([f"v{i}" for i in range(60)], 20).astype(object)
    alone, joint = (one(scored(labels, scores, clusters=c), ECE, bins=4) for c in (None, clusters))
    assert joint.value == alone.value
    assert (alone.low > 0.01, joint.low) == (True, 0.0)
    assert joint.high - joint.value > 2 * (alone.high - alone.value)
    one_video = one(scored(labels, scores, clusters=np.full(1200, "v", dtype=object)), ECE)
    assert (one_video.low, one_video.high) == (None, None)


def test_the_largest_gap_is_that_of_its_bin():
    rng = np.random.default_rng(5)
    scores = np.repeat([0.15, 0.55, 0.95], 400)
    labels = (rng.random(1200) < np.repeat([0.15, 0.85, 0.95], 400)).astype(int)
    result = one(scored(labels, scores), MCE, bins=10, about="positive")
    assert result.value == pytest.approx(abs(labels[400:800].mean() - 0.55))
    assert (result.details["from"], result.details["items"]) == (0.5, 400)
    assert result.low < result.value < result.high
    assert result.high - result.low == pytest.approx(4 * np.sqrt(0.15 * 0.85 / 400), rel=0.2)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4), st.integers(0, 2**31))
def test_brier_scores_are_scikit_learns(classes, seed):
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(classes), rng.integers(0, classes, 20)]
    p = rng.dirichlet(np.ones(classes), labels.size)
    names = tuple("abcd"[:classes])
    task = TaskSpec(kind="binary" if classes == 2 else "multiclass", classes=names)
    result = one(context(labels, task=task, probabilities=p), "calibration.brier_score")
    expected = (
        sk.brier_score_loss(labels, p[:, 1]) if classes == 2 else sk.brier_score_loss(labels, p, labels=range(classes))
    )
    assert result.value == pytest.approx(expected)
    assert result.low <= result.value <= result.high


def test_brier_by_hand():
    result = one(scored([1, 0, 1, 1], [0.8, 0.4, 0.5, 1.0]), "calibration.brier_score")
    assert result.value == pytest.approx((0.04 + 0.16 + 0.25 + 0) / 4)
    assert result.details["constant_answer"] == pytest.approx(0.75 * 0.25)


@pytest.mark.parametrize("name", [ECE, MCE])
def test_several_classes_have_no_positive_one(name):
    ctx = context([0, 1, 2], [0, 1, 2], task=TaskSpec(kind="multiclass", classes=tuple("abc")), probabilities=np.eye(3))
    assert one(ctx, ECE).value == 0.0
    with pytest.raises(ScorerFault, match="no positive class"):
        one(ctx, name, about="positive")


def test_classes_only_say_nothing_about_it():
    assert one(context([0, 1], [0, 1]), ECE).state == "not_applicable"
