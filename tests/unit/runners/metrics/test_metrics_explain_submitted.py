"""Metrics of explanations that the submission makes itself."""

import numpy as np
import pytest

from runners.registry import get_metric, parse_parameters
from runners.spec.models import InputSpec, TaskSpec
from tests.factories.explanations import NEEDED, PILLAR, RANKS, W, explaining, ones_context, run, sigmoid
from tests.factories.runner_models import context, linear_model, model_context


def signed(x, target):
    """What each input is worth to the class, exactly."""
    return W * x * np.where(target == 1, 1.0, -1.0)[:, None]


def honest(x=None, **more):
    model = explaining(W, -0.5, maps=signed)
    return ones_context(model=model) if x is None else model_context(model, x, np.ones(len(x), dtype=int), **more)


def test_its_own_maps_give_what_the_exact_ones_give():
    """The maps are those of occlusion at baseline 0: the deletion curve in closed form, for one question an item."""
    ctx = honest()
    before = ctx.model.queries
    found = run(ctx, "explainability.deletion_insertion", baseline=0.0)
    going = sigmoid([2.0, -1.0, -2.0, -2.5, -0.5])
    assert found["x.deletion"].value == pytest.approx(np.trapezoid(going, dx=0.25), abs=1e-7)
    assert found["x.deletion"].details["source"] == "submission"
    assert "unknown" in found["x.deletion"].details["inner_passes"]
    assert ctx.model.explained == 4
    assert ctx.model.queries - before == 4 * (1 + 1 + 4 * 5)
    drop = run(ctx, "average_drop", baseline=0.0)
    assert drop["x.queries"].value == 1.0
    assert drop["x.queries"].details["source"] == "submission"
    assert drop["x.increase_50"].value == 1.0


def test_wrong_maps_are_worse_than_chance():
    """It points at what speaks against the class."""
    ctx = ones_context(40, model=explaining(W, -0.5, maps=lambda x, target: -signed(x, target)))
    found = run(ctx, "deletion_insertion", baseline=0.0)
    assert found["x.deletion_gain"].high < 0
    assert found["x.insertion_gain"].high < 0


@pytest.mark.parametrize("name", PILLAR)
def test_whose_maps_are_looked_at(name):
    """`offered` takes its own, `platform` never does, `submission` has nothing where none are offered."""
    queries = {"methods": ["occlusion"]} if name == RANKS else {}
    own, ours = honest(), honest()
    assert all(r.state in ("ok", "undefined") for r in run(own, name, baseline=0.0, **queries).values())
    assert own.model.explained > 0
    found = run(ours, name, baseline=0.0, source="platform", **queries)
    assert ours.model.explained == 0
    if name != RANKS:
        assert {r.details["source"] for r in found.values() if "source" in r.details} == {"occlusion"}
    without = run(ones_context(model=linear_model(W, -0.5)), name, source="submission")
    assert {(r.value, r.state) for r in without.values()} == {(None, "not_applicable")}
    assert all("attributions of its own" in r.reason for r in without.values())


@pytest.mark.parametrize("name", PILLAR)
def test_costs_of_its_own_maps_hold(name):
    rng = np.random.default_rng(0)
    methods = {"methods": ["occlusion"], "windows": 4} if name == RANKS else {}
    ctx = honest(rng.random((30, 4), dtype=np.float32))
    before = ctx.model.queries
    points = {"points": 4} if "points" in get_metric(name).parameters.model_fields else {}
    given = {"items": 20, "source": "submission", "steps": 6, **points, **methods}
    run(ctx, name, **given)
    cost = get_metric(name).queries(parse_parameters(get_metric(name), {**given, **NEEDED.get(name, {})}), 30)
    assert cost.access == "explanations"
    assert cost.least <= ctx.model.queries - before == cost.typical


def test_gradient_methods_are_not_missed_where_it_explains_itself():
    """It gives no gradients: a metric that would need them takes its own maps, and says that it did."""
    assert run(honest(), "sparsity", method="saliency")["x"].details["source"] == "submission"
    refused = run(honest(), "sparsity", method="saliency", source="platform")["x"]
    assert (refused.state, "gradients" in refused.reason) == ("not_applicable", True)
    ranks = run(honest(), "rank_agreement", baseline=0.0)["x"]
    assert set(ranks.details["larger_is_better"]["deletion"]) == {"submission", "occlusion", "random_map"}


def test_maps_that_do_not_depend_on_the_class_are_seen_with_two_classes():
    rng = np.random.default_rng(0)
    x = rng.random((40, 4), dtype=np.float32)
    blind = explaining(W, maps=lambda x, _target: np.abs(W * x))
    ctx = model_context(blind, x, np.ones(40, dtype=int))
    assert run(ctx, "randomisation", baseline=0.0)["x.random_class"].value == pytest.approx(1.0)
    assert run(honest(x), "randomisation", baseline=0.0)["x.random_class"].value == pytest.approx(-1.0)


def test_a_map_of_pixels_has_no_channels():
    """(n, 1, height, width) says for a pixel what a map with channels says in sum; stability takes it as it is."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.2, 1, (6, 3, 4, 4)).astype(np.float32)
    task, spec = (
        TaskSpec(kind="binary", classes=("no", "yes"), positive="yes"),
        InputSpec(kind="image", shape=(3, 4, 4)),
    )
    w = rng.normal(size=48)

    def full(x, target):
        return w.reshape(3, 4, 4) * x * np.where(target == 1, 1.0, -1.0)[:, None, None, None]

    values = []
    for maps in (full, lambda x, target: full(x, target).sum(axis=1, keepdims=True)):
        ctx = context([1] * 6, [1] * 6, task=task, inputs=x, input=spec, model=explaining(w, maps=maps))
        found = [run(ctx, name, baseline=0.0) for name in PILLAR if not name.endswith("stability")]
        values.append([r.value for results in found for r in results.values()])
        assert run(ctx, "stability", baseline=0.0)["x"].state == "ok"
    assert values[0] == pytest.approx(values[1])


def test_maps_that_change_by_themselves_are_not_stable():
    rng = np.random.default_rng(0)
    ctx = ones_context(10, model=explaining(W, maps=lambda x, _target: rng.normal(size=x.shape)))
    steady = ones_context(10, model=explaining(W, maps=lambda x, _target: np.ones(x.shape)))
    assert run(ctx, "stability")["x"].value > 5
    assert run(steady, "stability")["x"].value == 0.0
