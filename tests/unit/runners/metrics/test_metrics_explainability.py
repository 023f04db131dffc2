import numpy as np
import pytest

from runners.errors import ScorerFault
from runners.registry import get_metric, parse_parameters
from runners.spec.models import InputSpec, TaskSpec
from tests.factories.explanations import DIGITS, NEEDED, PILLAR, RANKS, digits_context, ones_context, run, sigmoid
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

W = np.array([3.0, -2.0, 1.0, 0.5])


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
    model = Watching([rng.normal(size=(48, 3))], [np.zeros(3)])
    spec, task = InputSpec(kind="image", shape=(3, 4, 4)), TaskSpec(kind="multiclass", classes=("a", "b", "c"))
    ctx = context([0, 1, 1], [0, 1, 1], task=task, inputs=x, input=spec, model=model)
    found = run(ctx, "deletion_insertion", baseline=0.0, points=100)
    assert len(found["x.deletion"].details["curve"]) == 17
    for name in PILLAR:
        parameters = {"methods": ["occlusion"]} if name == RANKS else {}
        assert all(r.state == "ok" for r in run(ctx, name, baseline=0.0, **parameters).values()), name


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
    ctx = model_context(model, x[:10], y[:10], task=DIGITS)
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
    assert {found[f"x.{key}"].state for key in ("input_only", "random_map")} == {"undefined"}
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
