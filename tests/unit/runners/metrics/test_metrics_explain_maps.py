"""Sparsity, stability, randomisation and rank agreement, and what they are made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from runners.errors import ScorerFault
from runners.metrics.explainability.ranks import kendall, spearman
from runners.metrics.explainability.removal import area, counts, places
from runners.metrics.explainability.sparsity import gini
from runners.spec.models import TaskSpec
from tests.factories.explanations import W, digits_context, ones_context, run
from tests.factories.runner_models import NetModel, linear_model, model_context


@pytest.mark.parametrize(
    ("row", "expected"),
    [([0, 0, 5, 0], 0.75), ([2, 2, 2, 2], 0.0), ([-3, 3, -3, 3], 0.0), ([1, 2, 3, 4], 0.25), ([0, 0, 1, 1], 0.5)],
)
def test_gini_by_hand(row, expected):
    assert gini(np.array([row], dtype=float))[0] == pytest.approx(expected)


def test_gini_of_nothing_and_by_definition():
    assert np.isnan(gini(np.zeros((1, 3)))[0])
    values = np.abs(np.random.default_rng(0).normal(size=30))
    by_definition = np.abs(values[:, None] - values).sum() / (2 * 30 * values.sum())
    assert gini(values[None])[0] == pytest.approx(by_definition)


def test_sparsity_of_a_linear_model():
    found = run(ones_context(w=np.array([0.0, 0.0, 4.0, 0.0])), "sparsity", baseline=0.0)["x"]
    assert (found.value, found.n) == (pytest.approx(0.75), 4)
    flat = run(ones_context(w=np.zeros(4)), "sparsity", baseline=0.0)["x"]
    assert (flat.value, flat.state) == (None, "undefined")
    assert "zero" in flat.reason


def test_stability_of_a_linear_model():
    """Its gradient never moves; gradient x input moves by w times the step."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.2, 0.8, (30, 4)).astype(np.float32)
    ctx = model_context(linear_model(W), x, np.ones(30, dtype=int))
    assert run(ctx, "stability", method="saliency")["x"].value == 0.0
    absolute = run(ctx, "stability", method="gradient_x_input", scale="absolute", samples=200, baseline=0.0)["x"]
    assert absolute.details["largest"] <= 3.0 + 1e-4
    assert absolute.value == pytest.approx(3.0, rel=0.05)
    equal = model_context(linear_model(np.full(4, 2.0)), x, np.ones(30, dtype=int))
    exact = run(equal, "stability", method="gradient_x_input", scale="absolute", baseline=0.0)["x"]
    assert exact.value == pytest.approx(2.0, rel=1e-3)
    relative = run(equal, "stability", method="gradient_x_input", baseline=0.0)["x"]
    assert relative.value == pytest.approx((1 / np.linalg.norm(x, axis=1)).mean(), rel=1e-3)


def test_neighbours_stay_in_range_and_near():
    class Watching(NetModel):
        far = 0.0

        def gradient(self, x, y, *, loss="cross_entropy"):
            assert x.min() >= 0
            assert x.max() <= 1
            self.far = max(self.far, float(np.linalg.norm(x - 1, axis=1).max()))
            return super().gradient(x, y, loss=loss)

    model = Watching([np.column_stack([np.zeros(4), W])], [np.zeros(2)])
    ctx = model_context(model, np.ones((5, 4), dtype=np.float32), np.ones(5, dtype=int))
    run(ctx, "stability", method="saliency", radius=0.3, baseline=0.0)
    assert 0.0 < model.far <= 0.3 + 1e-6


def test_randomisation_of_two_classes():
    """The platform's maps of two classes are each other turned round, or the same: that says nothing of the model."""
    rng = np.random.default_rng(0)
    ctx = model_context(
        linear_model(rng.normal(size=12)), rng.random((40, 12), dtype=np.float32), np.ones(40, dtype=int)
    )
    for method in ("occlusion", "saliency"):
        found = run(ctx, "explainability.randomisation", method=method, baseline=0.0)
        assert (found["x.random_class"].value, found["x.random_class"].state) == (None, "not_applicable")
        assert "two classes" in found["x.random_class"].reason
        assert found["x.input_only"].state == "ok"
        noise = found["x.random_map"]
        assert noise.low < 0 < noise.high
        assert noise.direction == "zero"


def test_a_map_that_does_not_care_for_the_class():
    """Three classes; one method shows the size of the input's weight whatever the class, the other does not."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(8, 1)) * np.array([[1.0, -1.0, 0.0]])
    model = NetModel([w], [np.array([0.0, 0.0, -50.0])])
    x = rng.random((40, 8), dtype=np.float32)
    task = TaskSpec(kind="multiclass", classes=("a", "b", "c"))
    ctx = model_context(model, x, np.zeros(40, dtype=int), task=task)
    same = run(ctx, "randomisation", method="saliency", loss="cross_entropy")["x.random_class"]
    assert same.value == pytest.approx(1.0)
    assert same.n == 40


def test_a_map_that_shows_the_input_only():
    rng = np.random.default_rng(0)
    ctx = model_context(linear_model(np.ones(9)), rng.random((10, 9), dtype=np.float32), np.ones(10, dtype=int))
    assert run(ctx, "randomisation", baseline=0.0)["x.input_only"].value == pytest.approx(1.0)
    real = run(digits_context(), "randomisation", method="integrated_gradients", baseline=0.0)
    assert abs(real["x.random_class"].value) < 0.6
    assert real["x.random_class"].n == 40


def test_metrics_that_agree_and_what_they_cost():
    """One part of the input decides: an explanation that finds it is best by every metric."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1, (20, 6)).astype(np.float32)
    w = np.array([8.0, 0.1, 0.1, 0.1, 0.1, 0.1])
    ctx = model_context(linear_model(w, -2.0), x, np.ones(20, dtype=int))
    found = run(ctx, "explainability.rank_agreement", baseline=0.0, steps=5)
    assert list(found) == ["x", "x.deletion_insertion", "x.deletion_drop_50", "x.insertion_drop_50"]
    assert found["x"].value > 0.5
    marks = found["x"].details["larger_is_better"]
    assert marks["insertion"]["occlusion"] > marks["insertion"]["random_map"]
    assert set(marks) == {"deletion", "insertion", "drop_50"}
    with pytest.raises(ScorerFault, match="twice"):
        run(ctx, "rank_agreement", methods=["occlusion", "occlusion"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=8))
def test_rank_correlations_are_scipys(pairs):
    a, b = (np.array([row], dtype=float) for row in zip(*pairs, strict=True))
    if len(set(a[0])) == 1 or len(set(b[0])) == 1:
        assert np.isnan(kendall(a, b)[0])
        assert np.isnan(spearman(a, b)[0])
        return
    assert kendall(a, b)[0] == pytest.approx(stats.kendalltau(a[0], b[0]).statistic)
    assert spearman(a, b)[0] == pytest.approx(stats.spearmanr(a[0], b[0]).statistic)


def test_places_and_steps():
    rng = np.random.default_rng(0)
    assert places(np.array([[0.1, 5.0, -2.0]]), rng).tolist() == [[1, 0, 2]]
    first = places(np.zeros((4000, 4)), rng)
    assert np.bincount(first[:, 0], minlength=4).min() > 850
    assert counts(4, 20).tolist() == [0, 1, 2, 3, 4]
    assert counts(10, 4).tolist() == [0, 2, 5, 8, 10]
    assert area(np.array([0.0, 0.5, 1.0]), np.array([[1.0, 0], [0, 0], [0, 1]])) == pytest.approx([0.25, 0.25])
