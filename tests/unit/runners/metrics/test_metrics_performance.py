import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from runners.context import MetricContext
from runners.measure import measure
from runners.spec.models import TaskSpec
from tests.factories.runner_models import context


def one(ctx: MetricContext, name: str, **parameters):
    results = list(measure(name, name, parameters, ctx))
    assert len(results) == 1
    return results[0]


def task(classes: int) -> TaskSpec:
    names = tuple(f"c{i}" for i in range(classes))
    return TaskSpec(kind="binary" if classes == 2 else "multiclass", classes=names)


@st.composite
def answered(draw):
    classes = draw(st.integers(2, 5))
    n = draw(st.integers(classes, 40))
    labels = [*range(classes), *draw(st.lists(st.integers(0, classes - 1), min_size=n - classes, max_size=n - classes))]
    # Few distinct scores, so that ties are common.
    scores = draw(st.lists(st.lists(st.integers(1, 5), min_size=classes, max_size=classes), min_size=n, max_size=n))
    p = np.array(scores, dtype=float)
    p /= p.sum(axis=1, keepdims=True)
    return context(labels, p.argmax(axis=1), task=task(classes), probabilities=p, seed=draw(st.integers(0, 9)))


@settings(max_examples=40, deadline=None)
@given(answered())
def test_values_are_scikit_learns(ctx):
    labels, p = ctx.labels, ctx.probabilities
    everyone = list(range(len(ctx.task.classes)))
    assert one(ctx, "performance.accuracy").value == pytest.approx(sk.accuracy_score(labels, ctx.predictions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert one(ctx, "performance.balanced_accuracy").value == pytest.approx(
            sk.balanced_accuracy_score(labels, ctx.predictions)
        )
    loss = one(ctx, "performance.log_loss").value
    assert loss == pytest.approx(sk.log_loss(labels, p, labels=everyone), abs=1e-9)
    auc = one(ctx, "performance.roc_auc")
    scores = p[:, 1] if len(everyone) == 2 else p
    # Scikit-learn sums floats in another order: rounding may break or make ties, so both get exact ranks.
    expected = sk.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert auc.value == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(answered())
def test_intervals_hold_the_value_and_stay_in_range(ctx):
    for name in ("accuracy", "balanced_accuracy", "roc_auc", "log_loss"):
        result = one(ctx, f"performance.{name}")
        if result.low is not None:
            assert result.low - 1e-9 <= result.value <= result.high + 1e-9 or name == "balanced_accuracy"
            assert result.low >= 0.0
            assert name == "log_loss" or result.high <= 1.0


def test_delong_interval_agrees_with_the_bootstrap():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    score = 1 / (1 + np.exp(-(labels + rng.normal(size=400))))
    result = one(context(labels, probabilities=np.column_stack([1 - score, score])), "performance.roc_auc")
    draws = []
    for _ in range(500):
        pick = rng.integers(0, 400, 400)
        draws.append(sk.roc_auc_score(labels[pick], score[pick]))
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.01)


def test_multiclass_auc_interval_agrees_with_the_bootstrap():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 300)
    p = rng.dirichlet([1, 1, 1], 300)
    p[np.arange(300), labels] += 0.4
    p /= p.sum(axis=1, keepdims=True)
    result = one(context(labels, task=task(3), probabilities=p), "performance.roc_auc")
    draws = []
    for _ in range(400):
        pick = rng.integers(0, 300, 300)
        draws.append(sk.roc_auc_score(labels[pick], p[pick], multi_class="ovr"))
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.015)


def test_clusters_widen_every_interval():
    rng = np.random.default_rng(2)
    # Frames of one video are right or wrong together.
    labels = np.repeat(rng.integers(0, 2, 60), 10)
    score = np.clip(np.repeat(rng.random(60) * 0.5, 10) + 0.35 * labels, 0.01, 0.99)
    p = np.column_stack([1 - score, score])
    clusters = np.repeat([f"v{i}" for i in range(60)], 10).astype(object)
    alone = context(labels, p.argmax(axis=1), probabilities=p)
    joint = context(labels, p.argmax(axis=1), probabilities=p, clusters=clusters)
    for name in ("accuracy", "balanced_accuracy", "roc_auc", "log_loss"):
        a, b = one(alone, f"performance.{name}"), one(joint, f"performance.{name}")
        assert a.value == b.value
        assert (b.high - b.low) > 2 * (a.high - a.low)


def test_a_perfect_answer_is_not_certain():
    labels = [0, 1] * 10
    p = np.eye(2)[labels]
    ctx = context(labels, labels, probabilities=p)
    for name in ("accuracy", "balanced_accuracy", "roc_auc"):
        result = one(ctx, f"performance.{name}")
        assert result.value == 1.0
        assert result.high == 1.0
        assert 0.6 < result.low < 1.0


def test_a_class_without_items_is_undefined_not_zero():
    ctx = context([0, 0, 0], [0, 1, 0], probabilities=np.full((3, 2), 0.5))
    for name in ("balanced_accuracy", "roc_auc"):
        result = one(ctx, f"performance.{name}")
        assert (result.value, result.state) == (None, "undefined")
        assert "yes" in result.reason


def test_classes_only_is_not_applicable_to_probabilities():
    result = one(context([0, 1], [0, 1]), "performance.log_loss")
    assert (result.value, result.state) == (None, "not_applicable")
    assert "probability" in result.reason


def test_a_sure_mistake_stays_finite_and_is_counted():
    result = one(context([0, 1], probabilities=np.array([[0.0, 1.0], [0.5, 0.5]])), "performance.log_loss")
    assert result.details["clipped"] == 1
    assert result.value == pytest.approx((-np.log(1e-15) + np.log(2)) / 2)


def test_auc_below_one_half_is_reported_as_it_is():
    p = np.array([[0.1, 0.9], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    assert one(context([0, 1, 0, 1], probabilities=p), "performance.roc_auc").value == 0.0


def test_a_constant_answer_has_balanced_accuracy_one_half():
    assert one(context([0, 0, 0, 1], [1, 1, 1, 1]), "performance.balanced_accuracy").value == 0.5


def test_a_perfect_answer_is_not_certain_in_clusters_either():
    """Five videos of 20 frames: what varies is videos, not frames."""
    labels = np.repeat([0, 1, 0, 1, 1], 20)
    p = np.where(np.eye(2)[labels] > 0, 0.9, 0.1)
    clusters = np.repeat(np.array(list("abcde"), dtype=object), 20)
    ctx = context(labels, labels, probabilities=p, clusters=clusters)
    balanced, auc = one(ctx, "performance.balanced_accuracy"), one(ctx, "performance.roc_auc")
    assert balanced.value == auc.value == 1.0
    assert balanced.high == auc.high == 1.0
    assert balanced.low < 0.75  # two and three videos
    assert auc.low < 0.5


def test_one_positive_item_says_little_about_auc():
    """Its rank has no spread to go by: DeLong's variance would come from the negatives alone."""
    labels = [1] + [0] * 500
    scores = np.linspace(0.001, 0.999, 501)
    scores[0] = 0.9
    ctx = context(labels, (scores > 0.5).astype(int), probabilities=np.stack([1 - scores, scores], axis=1))
    auc = one(ctx, "performance.roc_auc")
    assert auc.low < 0.3 < auc.value < auc.high


def test_a_log_loss_without_spread_has_no_interval():
    p = np.eye(2)[[0, 1, 1]]
    result = one(context([0, 1, 1], [0, 1, 1], probabilities=p), "performance.log_loss")
    assert (result.low, result.high) == (None, None)


@pytest.mark.parametrize("clustered", [False, True])
def test_many_classes_take_little_memory(clustered):
    """Counts of all pairs of 1000 classes, for each replicate or cluster, would take gigabytes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 50_000)
    predictions = np.where(rng.random(50_000) < 0.7, labels, rng.integers(0, 1000, 50_000))
    clusters = np.array([f"v{i}" for i in rng.integers(0, 2000, 50_000)], dtype=object) if clustered else None
    ctx = context(labels, predictions, task=task(1000), clusters=clusters)
    tracemalloc.start()
    try:
        result = one(ctx, "performance.balanced_accuracy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.low < result.value < result.high
    assert result.high - result.low == pytest.approx(0.008, abs=0.002)
    assert peak < 400 * 2**20
