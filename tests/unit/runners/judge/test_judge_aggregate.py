from dataclasses import replace

import numpy as np
import pytest

from runners.aggregation import aggregate
from runners.errors import ScorerFault
from runners.spec.models import AggregateSpec, TaskSpec
from tests.factories.runner_models import context

VIDEOS = np.array(["b", "b", "b", "a", "a", "a"], dtype=object)


def frames(scores, **more):
    p = np.array(scores)
    labels = more.pop("labels", [1, 1, 1, 0, 0, 0])
    probabilities = np.column_stack([1 - p, p])
    return context(labels, probabilities.argmax(axis=1), probabilities=probabilities, clusters=VIDEOS, **more)


@pytest.mark.parametrize(("rule", "a", "b"), [("mean", 0.5, 0.6), ("median", 0.4, 0.8), ("max", 0.9, 0.9)])
def test_rules(rule, a, b):
    joint = aggregate(frames([0.1, 0.8, 0.9, 0.9, 0.2, 0.4]), AggregateSpec(by="video", rule=rule))
    assert joint.ids.tolist() == ["a", "b"]
    assert joint.labels.tolist() == [0, 1]
    assert joint.probabilities[:, 1] == pytest.approx([a, b])
    assert joint.probabilities.sum(axis=1) == pytest.approx([1, 1])
    assert joint.predictions.tolist() == [int(a > 0.5), int(b > 0.5)]
    assert joint.clusters is None
    assert joint.n == 2


def test_classes_only_are_votes():
    ctx = replace(frames([0.1, 0.8, 0.9, 0.9, 0.2, 0.4]), probabilities=None)
    joint = aggregate(ctx, AggregateSpec(by="video"))
    assert joint.predictions.tolist() == [0, 1]
    assert joint.probabilities is None


def test_multiclass_rows_sum_to_one():
    task = TaskSpec(kind="multiclass", classes=("x", "y", "z"))
    p = np.array([[0.6, 0.3, 0.1], [0.1, 0.6, 0.3], [0.1, 0.3, 0.6]] * 2)
    ctx = context([1] * 3 + [2] * 3, task=task, probabilities=p, clusters=VIDEOS)
    for rule in ("mean", "median", "max"):
        joint = aggregate(ctx, AggregateSpec(by="video", rule=rule))
        assert joint.probabilities.sum(axis=1) == pytest.approx([1, 1])


def test_medians_that_are_all_zero_prefer_nothing():
    task = TaskSpec(kind="multiclass", classes=("x", "y", "z"))
    ctx = context([1] * 3 + [2] * 3, task=task, probabilities=np.tile(np.eye(3), (2, 1)), clusters=VIDEOS)
    assert aggregate(ctx, AggregateSpec(by="v", rule="median")).probabilities == pytest.approx(np.full((2, 3), 1 / 3))


def test_attributes_that_differ_within_a_cluster_are_unknown():
    values = np.array(["m", "m", "m", "m", None, "m"], dtype=object)
    joint = aggregate(frames([0.5] * 6, attributes={"sex": values}), AggregateSpec(by="video"))
    assert joint.attributes["sex"].tolist() == [None, "m"]


def test_different_labels_in_one_cluster_are_the_organisers_fault():
    with pytest.raises(ScorerFault, match="1 clusters have items with different labels, for example b"):
        aggregate(frames([0.5] * 6, labels=[1, 0, 1, 0, 0, 0]), AggregateSpec(by="video"))


def test_no_clusters_is_the_organisers_fault():
    with pytest.raises(ScorerFault, match="no clusters"):
        aggregate(context([0, 1], [0, 1]), AggregateSpec(by="video"))
