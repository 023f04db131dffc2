"""Precision, recall, F1, and decisions at a threshold: hand-computed, against scikit-learn, and by resampling."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.performance.threshold import tune
from runners.spec.models import TaskSpec
from tests.factories.runner_models import binary_task, context

RATES = ("precision", "recall", "f1")


def one(ctx, name, **parameters):
    return {r.key: r for r in measure(name, name, parameters, ctx)}[name]


def task(classes: int) -> TaskSpec:
    names = tuple(f"c{i}" for i in range(classes))
    return TaskSpec(kind="binary" if classes == 2 else "multiclass", classes=names)


@st.composite
def answered(draw):
    classes = draw(st.integers(2, 4))
    pairs = draw(st.lists(st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=30))
    labels, predictions = zip(*pairs, strict=True)
    return context(labels, predictions, task=task(classes))


def reference(name, ctx, **more):
    function = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}[name]
    return function(ctx.labels, ctx.predictions, zero_division=np.nan, **more)


@settings(max_examples=80, deadline=None)
@given(answered(), st.sampled_from(RATES))
def test_values_are_scikit_learns(ctx, name):
    everyone = list(range(len(ctx.task.classes)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        each = reference(name, ctx, average=None, labels=everyone)
    macro = one(ctx, f"performance.{name}", average="macro")
    if np.isnan(each).any():
        assert (macro.value, macro.state) == (None, "undefined")
        assert f"c{int(np.flatnonzero(np.isnan(each))[0])}" in macro.reason
    else:
        assert macro.value == pytest.approx(each.mean(), abs=1e-12)
        assert macro.low <= macro.value <= macro.high
        assert macro.details["each"] == pytest.approx({f"c{k}": value for k, value in enumerate(each)})
    if len(everyone) == 2:
        found = one(ctx, f"performance.{name}")
        assert found.value == (None if np.isnan(each[1]) else pytest.approx(each[1], abs=1e-12))


def test_by_hand():
    # 3 found, 2 false alarms, 1 missed, 4 right negatives.
    ctx = context([1] * 4 + [0] * 6, [1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    values = {name: one(ctx, f"performance.{name}").value for name in RATES}
    assert values == pytest.approx({"precision": 3 / 5, "recall": 3 / 4, "f1": 6 / 9})
    assert one(ctx, "performance.f1").details["confusion"] == [[4, 2], [1, 3]]


def test_the_positive_class_counts_whichever_it_is():
    ctx = context([0, 0, 1, 1], [0, 1, 1, 1], task=binary_task(positive="no"))
    assert one(ctx, "performance.precision").value == 1.0
    assert one(ctx, "performance.recall").value == 0.5


def test_zero_over_zero_is_undefined_not_zero():
    nothing_said = context([0, 1], [0, 0])
    assert one(nothing_said, "performance.precision").state == "undefined"
    assert one(nothing_said, "performance.recall").value == 0.0
    assert one(nothing_said, "performance.f1").value == 0.0
    nothing_there = context([0, 0], [0, 0])
    assert [one(nothing_there, f"performance.{name}").state for name in RATES] == ["undefined"] * 3
    assert "has, and none is said" in one(nothing_there, "performance.f1").reason


def test_settings_that_make_no_sense_are_the_organisers():
    ctx = context([0, 1, 2], [0, 1, 2], task=task(3), probabilities=np.eye(3))
    for parameters in ({"average": "positive"}, {"threshold": 0.5}, {"threshold": 1.5}, {"threshold": "best"}):
        with pytest.raises(ScorerFault):
            one(ctx, "performance.f1", **parameters)


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("average", ["positive", "macro"])
def test_intervals_agree_with_the_bootstrap(name, average):
    rng = np.random.default_rng(3)
    labels = (rng.random(600) < 0.3).astype(int)
    predictions = np.where(rng.random(600) < 0.8, labels, 1 - labels)
    found = one(context(labels, predictions), f"performance.{name}", average=average)
    draws = []
    for _ in range(600):
        pick = rng.integers(0, 600, 600)
        mean = "binary" if average == "positive" else "macro"
        draws.append(reference(name, context(labels[pick], predictions[pick]), average=mean))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.012)


@pytest.mark.parametrize("name", RATES)
def test_clusters_widen_and_perfection_is_not_certain(name):
    labels = np.repeat([0, 1] * 15, 20)
    right = np.repeat(np.arange(30) % 5 != 0, 20)
    predictions = np.where(right, labels, 1 - labels)
    clusters = np.repeat([f"v{i}" for i in range(30)], 20).astype(object)
    alone, joint = (one(context(labels, predictions, clusters=c), f"performance.{name}") for c in (None, clusters))
    assert alone.value == joint.value
    assert joint.high - joint.low > 3 * (alone.high - alone.low)
    perfect = one(context(labels, labels, clusters=clusters), f"performance.{name}")
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert 0.7 < perfect.low < 0.85  # fifteen videos


def scored(labels, scores, **more):
    scores = np.asarray(scores, dtype=float)
    return context(labels, (scores > 0.5).astype(int), probabilities=np.stack([1 - scores, scores], axis=1), **more)


def test_a_fixed_threshold_decides():
    ctx = scored([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    found = one(ctx, "performance.accuracy", threshold=0.35)
    assert (found.value, found.details["threshold"]) == (0.75, 0.35)  # at least 0.35, so the third is positive
    assert one(ctx, "performance.recall", threshold=0.35).value == 1.0
    assert one(ctx, "performance.positive_rate", threshold=0.0).value == 1.0
    assert one(ctx, "performance.confusion_matrix", threshold=0.9).details["confusion"] == [[2, 0], [2, 0]]
    assert one(ctx, "performance.balanced_accuracy", threshold=0.38).value == 0.5


def test_a_threshold_is_tuned_on_validation_and_applied_to_the_split():
    held = scored([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.32, 0.7, 0.9])
    ctx = scored([0, 1, 0, 1], [0.25, 0.33, 0.4, 0.6], validation=held)
    found = one(ctx, "performance.balanced_accuracy", threshold="tuned")
    assert found.details["threshold"] == pytest.approx(0.31)
    assert (found.details["tuned_on"], found.details["value_on_validation"]) == (6, 1.0)
    assert found.value == 0.75
    assert one(ctx, "performance.balanced_accuracy").value == 0.75
    assert one(ctx, "performance.recall", threshold="tuned").value == 1.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=25), st.sampled_from([0, 1]))
def test_no_threshold_does_better_on_validation(rows, positive):
    labels = np.array([r[0] for r in rows], dtype=np.int64)
    scores = np.array([r[1] for r in rows]) / 5
    seen = []

    def objective(tables):
        assert (tables.sum(axis=(-2, -1)) == labels.size).all()
        seen.append(tables)
        return np.trace(tables, axis1=-2, axis2=-1) / labels.size

    threshold, value = tune(scores, labels, positive, objective)
    by_hand = {t: ((scores >= t) == (labels == positive)).mean() for t in [*np.linspace(0, 1, 101), 1.5]}
    assert value == pytest.approx(max(by_hand.values()))
    assert ((scores >= threshold) == (labels == positive)).mean() == pytest.approx(value)
    assert len(seen[0]) == len(set(scores)) + 1


def test_a_threshold_that_cannot_be_had_is_not_applicable():
    for ctx, text in (
        (context([0, 1], [0, 1]), "probabilities"),
        (scored([0, 1], [0.2, 0.8]), "cannot be tuned: there are no answers for a validation split"),
        (scored([0, 1], [0.2, 0.8], validation=context([0, 1], [0, 1])), "no probabilities"),
    ):
        found = one(ctx, "performance.f1", threshold="tuned")
        assert (found.value, found.state) == (None, "not_applicable")
        assert text in found.reason
    empty = scored([0, 1], [0.2, 0.8], validation=scored([0, 0], [0.2, 0.8]))
    found = one(empty, "performance.recall", threshold="tuned")
    assert (found.state, "no value" in found.reason) == ("undefined", True)
