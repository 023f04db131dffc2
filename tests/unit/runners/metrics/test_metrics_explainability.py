import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from runners.context import MetricContext
from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.explainability.ranks import kendall, spearman
from runners.metrics.explainability.removal import area, counts, places
from runners.metrics.explainability.sparsity import gini
from runners.registry import get_metric, parse_parameters
from runners.spec.models import InputSpec, TaskSpec
from tests.factories.runner_models import (
    QUERIES,
    Clock,
    NetModel,
    TimedModel,
    context,
    digits,
    linear_model,
    model_context,
)

PILLAR = (
    "explainability.average_drop",
    "explainability.deletion_insertion",
    "explainability.sparsity",
    "explainability.stability",
    "explainability.randomisation",
    "explainability.rank_agreement",
)
RANKS = PILLAR[-1]
NEEDED = {"explainability.stability": {"radius": 0.1}}
W = np.array([3.0, -2.0, 1.0, 0.5])


def run(ctx: MetricContext, name: str, **parameters):
    name = name if name in PILLAR else f"explainability.{name}"
    return {r.key: r for r in measure(name, "x", {**NEEDED.get(name, {}), **parameters}, ctx)}


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, dtype=float)))


def ones_context(n=4, *, w=W, b=-0.5, **more):
    """Items of ones under a linear model: at baseline 0 each input is worth its weight."""
    x = np.ones((n, len(w)), dtype=np.float32)
    return model_context(linear_model(w, b), x, np.ones(n, dtype=int), **more)


def digits_context(n=40, **more):
    model, x, y = digits()
    return model_context(model, x[:n], y[:n], task=TaskSpec(kind="multiclass", classes=tuple("0123456789")), **more)


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients", "gradient_x_input"])
def test_deletion_and_insertion_in_closed_form(method):
    """Margin w·x + b with x = 1: deleting in the order 3, 1, 0.5, -2 leaves 2, -1, -2, -2.5, -0.5."""
    found = run(ones_context(), "deletion_insertion", method=method, baseline=0.0)
    going = sigmoid([2.0, -1.0, -2.0, -2.5, -0.5])
    coming = sigmoid([-0.5, 2.5, 3.5, 4.0, 2.0])
    assert found["x.deletion"].value == pytest.approx(np.trapezoid(going, dx=0.25), abs=1e-7)
    assert found["x.insertion"].value == pytest.approx(np.trapezoid(coming, dx=0.25), abs=1e-7)
    curve = found["x.insertion"].details["curve"]
    assert [point["probability"] for point in curve] == pytest.approx(coming)
    assert [point["share"] for point in curve] == [0.0, 0.25, 0.5, 0.75, 1.0]
    # All items are the same: there is no spread to give an interval.
    assert (found["x.deletion"].low, found["x.deletion"].n) == (None, 4)
    gain = found["x.deletion_gain"]
    assert gain.value == pytest.approx(gain.details["random_map"] - found["x.deletion"].value)


def test_saliency_orders_without_sign():
    """By |w| the order is 3, -2, 1, 0.5."""
    found = run(ones_context(), "deletion_insertion", method="saliency", baseline=0.0)
    assert found["x.deletion"].value == pytest.approx(
        np.trapezoid(sigmoid([2.0, -1.0, 1.0, 0.0, -0.5]), dx=0.25), abs=1e-7
    )


def test_the_predicted_class_is_explained():
    """Class 0 where w·x + b < 0: the order turns round, and so does the probability."""
    found = run(ones_context(b=-4.0), "deletion_insertion", baseline=0.0)
    left = np.array([-1.5, 0.5, 0.0, -1.0, -4.0])
    assert found["x.deletion"].value == pytest.approx(np.trapezoid(sigmoid(-left), dx=0.25), abs=1e-7)


def test_average_drop_and_increase_by_hand():
    """Maps w, scaled to [0, 1]: (1, 0, .6, .5). Kept: 4, 2 and 1 of 4 units."""
    found = run(ones_context(), "average_drop", baseline=0.0)
    y = sigmoid(2.0)
    kept = {100: sigmoid(3 + 0.6 + 0.25 - 0.5), 50: sigmoid(3 + 0.6 - 0.5), 15: sigmoid(2.5)}
    for v, o in kept.items():
        assert found[f"x.drop_{v}"].value == 0.0
        assert o > y
        assert found[f"x.increase_{v}"].value == 1.0
    # Nothing is left of a map that hides all: the class speaks through its smallest part only.
    x = np.ones((5, 4), dtype=np.float32)
    ctx = model_context(linear_model(np.array([1.0, 1.0, 1.0, 0.0])), x, np.ones(5, dtype=int))
    found = run(ctx, "average_drop", baseline=0.0)
    # Three equal parts, ties in random order: 50 % keeps two of them, 15 % one.
    for v, z in ((100, 3.0), (50, 2.0), (15, 1.0)):
        drop = (sigmoid(3.0) - sigmoid(z)) / sigmoid(3.0)
        assert found[f"x.drop_{v}"].value == pytest.approx(drop, abs=1e-7)
        assert found[f"x.increase_{v}"].value == 0.0
    assert found["x.queries"].value == 5
    assert found["x.queries"].unit == "queries/item"
    assert (found["x.drop_15"].direction, found["x.increase_15"].direction) == ("minimise", "maximise")


def test_of_few_parts_one_is_always_kept():
    """15 % of two parts is less than half a part; the more important one stays."""
    found = run(ones_context(w=np.array([2.0, 1.0]), b=0.0), "average_drop", baseline=0.0)
    y = sigmoid(3.0)
    assert found["x.drop_15"].value == pytest.approx((y - sigmoid(2.0)) / y, abs=1e-7)


def test_a_baseline_is_part_of_the_question():
    """Where the baseline is the item itself nothing can be hidden."""
    x = np.full((3, 4), 0.5, dtype=np.float32)
    ctx = model_context(linear_model(W), x, np.ones(3, dtype=int))
    same = run(ctx, "deletion_insertion")
    assert same["x.deletion"].value == pytest.approx(float(sigmoid(1.25)))
    assert same["x.deletion_gain"].value == pytest.approx(0.0)
    assert run(ctx, "deletion_insertion", baseline=0.0)["x.deletion"].value < 0.6
    with pytest.raises(ScorerFault, match="outside the range"):
        run(ctx, "deletion_insertion", baseline=-1.0)


def test_explanations_of_a_network_beat_a_random_map():
    for method in ("occlusion", "integrated_gradients"):
        found = run(digits_context(60), "deletion_insertion", method=method, baseline=0.0)
        assert found["x.deletion_gain"].low > 0.05, method
        assert found["x.insertion_gain"].low > 0.05, method
        drop = run(digits_context(60), "average_drop", method=method, baseline=0.0)["x.drop_50"]
        assert drop.value < drop.details["random_map"] - 0.2, method


def test_images_lose_whole_pixels():
    class Watching(NetModel):
        def predict(self, x):
            gone = x == 0
            assert (gone.all(axis=1) == gone.any(axis=1)).all()
            return super().predict(x)

    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1, (3, 3, 4, 4)).astype(np.float32)
    model = Watching([rng.normal(size=(48, 2))], [np.zeros(2)])
    spec = InputSpec(kind="image", shape=(3, 4, 4))
    ctx = context([0, 1, 1], [0, 1, 1], inputs=x, input=spec, model=model)
    found = run(ctx, "deletion_insertion", baseline=0.0, points=100)
    assert len(found["x.deletion"].details["curve"]) == 17
    for name in PILLAR:
        parameters = {"methods": ["occlusion"]} if name == RANKS else {}
        assert all(r.state == "ok" for r in run(ctx, name, baseline=0.0, **parameters).values()), name


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
    """Of two classes one map is the other turned round; a map without sign cannot tell them apart."""
    rng = np.random.default_rng(0)
    ctx = model_context(
        linear_model(rng.normal(size=12)), rng.random((40, 12), dtype=np.float32), np.ones(40, dtype=int)
    )
    signed = run(ctx, "randomisation", baseline=0.0)
    assert signed["x.random_class"].value == pytest.approx(-1.0)
    assert run(ctx, "randomisation", method="saliency")["x.random_class"].value == pytest.approx(1.0)
    noise = signed["x.random_map"]
    assert noise.low < 0 < noise.high
    assert noise.direction == "zero"


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
    found = run(ctx, "rank_agreement", baseline=0.0, steps=5)
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


@pytest.mark.parametrize("name", PILLAR)
def test_declared_costs_hold(name):
    """With as many parts as windows and points everything declared is asked."""
    methods = [None] if name == RANKS else ["saliency", "integrated_gradients", "occlusion"]
    for method in methods:
        ctx = digits_context(30)
        before = ctx.model.queries
        given_ = {} if method is None else {"method": method}
        run(ctx, name, items=20, steps=6, **given_)
        info = get_metric(name)
        typed = parse_parameters(info, {"items": 20, "steps": 6, **given_, **NEEDED.get(name, {})})
        cost = info.queries(typed, 30)
        assert cost.least <= ctx.model.queries - before == cost.typical
        assert cost.access == ("queries" if method == "occlusion" else "gradients")


@pytest.mark.parametrize("name", PILLAR)
def test_round_trips_do_not_grow_with_items(name):
    calls = []
    for n in (10, 40):
        ctx = digits_context(n)
        before = ctx.model.calls
        run(ctx, name)
        calls.append(ctx.model.calls - before)
    assert calls[0] == calls[1]


@pytest.mark.parametrize("name", PILLAR)
def test_states_and_reasons(name):
    model, x, y = digits()
    model.access = QUERIES
    ctx = model_context(model, x[:10], y[:10], task=TaskSpec(kind="multiclass", classes=tuple("0123456789")))
    gradients = {} if name == RANKS else {"method": "saliency"}
    refused = run(ctx, name, **gradients)
    assert {r.state for r in refused.values()} == {"not_applicable"}
    assert all("gradients" in r.reason for r in refused.values())
    queries = {"methods": ["occlusion"]} if name == RANKS else {}
    assert {r.state for r in run(ctx, name, **queries).values()} == {"ok"}
    file = run(context([0, 1], [0, 1]), name)
    assert {r.state for r in file.values()} == {"not_applicable"}
    assert list(file) == list(refused)
    empty = type(ctx)(**{**vars(ctx), "ids": ctx.ids[:0], "labels": ctx.labels[:0], "inputs": ctx.inputs[:0]})
    none = run(empty, name, **queries)
    assert {(r.value, r.state) for r in none.values()} == {(None, "undefined")}


def test_a_model_that_does_not_care_has_nothing_to_explain():
    model = TimedModel(Clock(), lambda _n: 0.0)
    x = np.random.default_rng(0).random((10, 4)).astype(np.float32)
    ctx = context([0, 1] * 5, [0, 1] * 5, inputs=x, input=InputSpec(kind="array", shape=(4,)), model=model)
    assert run(ctx, "sparsity")["x"].state == "undefined"
    assert run(ctx, "stability")["x"].state == "undefined"
    assert run(ctx, "stability", scale="absolute")["x"].value == 0.0
    found = run(ctx, "randomisation")
    assert {r.state for r in found.values()} == {"undefined"}
    assert run(ctx, "deletion_insertion")["x.deletion"].value == 0.5
    assert run(ctx, "rank_agreement", methods=["occlusion"])["x"].state == "undefined"


@pytest.mark.parametrize("name", PILLAR)
def test_the_same_seed_gives_the_same_numbers_for_the_same_items(name):
    small = {"items": 15, "steps": 5}
    first, again = (run(digits_context(60, seed=4), name, **small) for _ in range(2))
    other = run(digits_context(60, seed=5), name, **small)
    values = [[(r.value, r.low, r.high, r.n) for r in found.values()] for found in (first, again, other)]
    assert values[0] == values[1]
    assert values[0] != values[2]


def test_clusters_are_drawn_whole():
    names = np.array([f"c{i // 10}" for i in range(40)], dtype=object)
    together = run(digits_context(40, clusters=names), "sparsity")["x"]
    alone = run(digits_context(40), "sparsity")["x"]
    assert together.value == alone.value
    assert (together.low, together.high) != (alone.low, alone.high)
