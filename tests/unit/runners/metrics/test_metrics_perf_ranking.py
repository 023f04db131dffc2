"""Average precision, TPR at FPR, top-k, positive rate, generalisation gap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from runners.measure import measure
from runners.spec.models import TaskSpec
from tests.factories.runner_models import binary_task, context


def found(ctx, name, **parameters):
    return {r.key.removeprefix(name).lstrip("."): r for r in measure(name, name, parameters, ctx)}


def one(ctx, name, **parameters):
    return found(ctx, name, **parameters)[""]


def scored(labels, scores, **more):
    scores = np.asarray(scores, dtype=float)
    return context(labels, (scores > 0.5).astype(int), probabilities=np.stack([1 - scores, scores], axis=1), **more)


@st.composite
def ranked(draw):
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=40))
    labels = [1, *(r[0] for r in rows)]
    return scored(labels, [0.5, *(r[1] / 6 for r in rows)])


@settings(max_examples=60, deadline=None)
@given(ranked())
def test_areas_are_scikit_learns(ctx):
    scores = ctx.probabilities[:, 1]
    assert one(ctx, "performance.average_precision").value == pytest.approx(
        sk.average_precision_score(ctx.labels, scores)
    )
    precision, recall, _ = sk.precision_recall_curve(ctx.labels, scores)
    assert one(ctx, "performance.pr_auc").value == pytest.approx(sk.auc(recall, precision))


def test_average_precision_by_hand():
    ctx = scored([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])  # precision 1 at recall 1/2, 2/3 at 1
    result = one(ctx, "performance.average_precision")
    assert result.value == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert result.details["chance"] == 0.5
    assert one(ctx, "performance.pr_auc").value == pytest.approx(0.5 * 1 + 0.5 * (1 / 2 + 2 / 3) / 2)
    flipped = scored([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.9], task=binary_task(positive="no"))
    assert one(flipped, "performance.average_precision").value == result.value


def test_average_precision_of_several_classes_is_the_mean():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    p = rng.dirichlet([1, 1, 1], 60)
    task = TaskSpec(kind="multiclass", classes=("a", "b", "c"))
    result = one(context(labels, task=task, probabilities=p), "performance.average_precision")
    each = [sk.average_precision_score(labels == k, p[:, k]) for k in range(3)]
    assert result.value == pytest.approx(np.mean(each))
    assert list(result.details["each"].values()) == pytest.approx(each)
    missing = one(context(np.minimum(labels, 1), task=task, probabilities=p), "performance.average_precision")
    assert (missing.state, "c" in missing.reason) == ("undefined", True)


def test_average_precision_interval_covers():
    """200 samples with 60 positives each: the true value is inside in about 95 % of them."""
    rng = np.random.default_rng(1)

    def sample(n):
        labels = (rng.random(n) < 0.3).astype(int)
        return labels, 1 / (1 + np.exp(-(labels + rng.normal(size=n))))

    truth = sk.average_precision_score(*sample(200_000))
    hits = 0
    for _ in range(200):
        result = one(scored(*sample(200)), "performance.average_precision")
        hits += result.low <= truth <= result.high
    assert 0.88 <= hits / 200 <= 1.0


def test_clusters_widen_average_precision():
    labels = np.repeat([0, 1] * 10, 10)
    score = np.repeat(np.linspace(0.1, 0.9, 20), 10)
    alone = one(scored(labels, score), "performance.average_precision")
    joint = one(
        scored(labels, score, clusters=np.repeat(np.arange(20).astype(str), 10)), "performance.average_precision"
    )
    assert joint.high - joint.low > 2 * (alone.high - alone.low)


def test_tpr_at_fpr_by_hand():
    negatives = np.arange(1000) / 2000  # 0 … 0.4995
    positives = np.array([0.9, 0.499, 0.497, 0.4805, 0.46, 0.001])
    ctx = scored([0] * 1000 + [1] * 6, np.r_[negatives, positives])
    result = found(ctx, "performance.tpr_at_fpr")
    # 0.1 % of 1000 negatives is one: above the second largest, 0.499, which the second positive ties with.
    assert result["fpr_0_1"].value == pytest.approx(1 / 6)
    assert result["fpr_0_1"].details["false_positives"] == 1
    assert result["fpr_1"].value == pytest.approx(3 / 6)  # above 0.4945
    assert result["fpr_10"].value == pytest.approx(5 / 6)  # above 0.4495
    assert result["fpr_10"].low < 5 / 6 < result["fpr_10"].high


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=1, max_size=60))
def test_tpr_at_fpr_is_a_point_of_scikit_learns_curve(rows):
    labels = np.array([1] + [0] * 10 + [r[0] for r in rows])
    scores = np.array([6] + [3] * 10 + [r[1] for r in rows]) / 12
    result = found(scored(labels, scores), "performance.tpr_at_fpr")["fpr_10"]
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    assert result.value == pytest.approx(tpr[fpr <= 0.1 + 1e-12].max())


def test_too_few_negatives_cannot_tell_a_small_rate():
    result = found(scored([0] * 999 + [1], [0.1] * 999 + [0.9]), "performance.tpr_at_fpr")
    assert result["fpr_1"].value == 1.0
    assert (result["fpr_0_1"].value, result["fpr_0_1"].state) == (None, "undefined")
    assert "1000 are needed" in result["fpr_0_1"].reason
    none = found(scored([0] * 20, [0.1] * 20), "performance.tpr_at_fpr")
    assert {r.state for r in none.values()} == {"undefined"}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**31))
def test_top_k_is_scikit_learns_without_ties(k, seed):
    rng = np.random.default_rng(seed)
    labels, p = rng.integers(0, 5, 30), rng.dirichlet(np.ones(5), 30)
    ctx = context(labels, task=TaskSpec(kind="multiclass", classes=tuple("abcde")), probabilities=p)
    result = one(ctx, "performance.top_k_accuracy", k=k)
    assert result.value == pytest.approx(sk.top_k_accuracy_score(labels, p, k=k, labels=range(5)))
    assert result.low <= result.value <= result.high


def test_top_k_of_ties_is_the_chance_to_be_drawn():
    task = TaskSpec(kind="multiclass", classes=tuple("abcde"))
    even = context([0, 1, 2, 3, 4], task=task, probabilities=np.full((5, 5), 0.2))
    assert one(even, "performance.top_k_accuracy", k=2).value == pytest.approx(2 / 5)
    p = np.array([[0.4, 0.2, 0.2, 0.2, 0.0]] * 2)
    some = one(context([0, 2], task=task, probabilities=p), "performance.top_k_accuracy", k=2)
    assert some.value == pytest.approx((1 + 1 / 3) / 2)
    assert some.details["tied"] == 1
    assert one(even, "performance.top_k_accuracy", k=5).state == "undefined"


def test_positive_rate_and_the_flag_of_one_class():
    ctx = context([0, 0, 1, 1], [0, 1, 1, 1])
    result = found(ctx, "performance.positive_rate")
    assert (result[""].value, result[""].details["base_rate"], result["one_class"].value) == (0.75, 0.5, 0.0)
    assert result[""].direction == "none"
    for said in (0, 1):
        result = found(context([0, 1, 1], [said] * 3), "performance.positive_rate")
        assert (result[""].value, result["one_class"].value) == (said, 1.0)
        assert result[""].high - result[""].low > 0.3
    several = context([0, 1, 2], [0, 1, 2], task=TaskSpec(kind="multiclass", classes=tuple("abc")))
    assert {r.state for r in found(several, "performance.positive_rate").values()} == {"not_applicable"}


def test_confusion_matrix_names_what_is_mixed_up():
    task = TaskSpec(kind="multiclass", classes=tuple("abc"))
    result = one(context([0, 0, 0, 1, 2, 2], [0, 2, 2, 1, 2, 1], task=task), "performance.confusion_matrix")
    assert result.value == 3
    assert result.details["confusion"] == [[1, 0, 2], [0, 1, 0], [0, 1, 1]]
    assert result.details["worst"] == [
        {"true": "a", "predicted": "c", "items": 2}, {"true": "c", "predicted": "b", "items": 1},
    ]  # fmt: skip


def test_generalisation_gap_by_hand():
    """Newcombe's own example for method 10: 56/70 against 48/80 gives 0.2 (0.0524, 0.3339)."""
    held = context([1] * 70, [1] * 56 + [0] * 14)
    ctx = context([1] * 80, [1] * 48 + [0] * 32, validation=held)
    result = one(ctx, "performance.generalisation_gap")
    assert (result.value, result.low, result.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert one(context([1], [1]), "performance.generalisation_gap").state == "not_applicable"
