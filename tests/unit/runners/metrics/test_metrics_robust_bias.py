from dataclasses import replace

import numpy as np
import pytest

from runners import registry
from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.robustness.bias_table import Split, area_gap, difference, group_rate, ratio
from runners.spec.models import AttributeSpec, TaskSpec
from runners.statistics.intervals import mover, wilson
from tests.factories.runner_models import binary_task, context, linear_model, model_context

EPS = 0.5


def made(n=200, *, near=0.9, seed=0, **more):
    """A linear detector on two coordinates; the unprivileged stand nearer to the boundary by the factor `near`."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    group = rng.integers(0, 2, n)
    reach = rng.uniform(0.05, 1.0, n) * np.where(group == 0, near, 1.0)
    x = np.column_stack([(2 * y - 1) * reach, rng.uniform(-1, 1, n)]).astype(np.float32)
    model = linear_model(np.array([1.0, 0.0]))
    spec = AttributeSpec(privileged="p", minimum=more.pop("minimum", 20))
    ctx = model_context(
        model, x, y, task=binary_task(favourable="yes"), value_range=(-5.0, 5.0),
        attributes={"a": np.array(["u", "p"], dtype=object)[group]}, attribute_specs={"a": spec}, **more,
    )  # fmt: skip
    return ctx, group, y, reach


def run(ctx, **parameters):
    given = {"attribute": "a", "attack": "fgsm", "eps": EPS, "check_items": 0, **parameters}
    return {r.key: r for r in measure("robustness.bias", "r", given, ctx)}


def test_bias_of_a_linear_detector_is_known_in_closed_form():
    ctx, group, y, reach = made(near=0.5)
    found = run(ctx, attack="pgd")
    rate = [(reach[group == g] <= EPS).mean() for g in (0, 1)]
    main = found["r[a]"]
    assert main.value == pytest.approx(rate[0] - rate[1])
    assert main.low < main.value < main.high
    assert main.low > 0.2
    assert found["r[a=u]"].value == pytest.approx(rate[0])
    assert found["r[a=p]"].value == pytest.approx(rate[1])
    low, high = wilson(int((reach[group == 0] <= EPS).sum()), int((group == 0).sum()))
    assert (found["r[a=u]"].low, found["r[a=u]"].high) == pytest.approx((low, high))
    assert found["r.ratio"].value == pytest.approx(rate[0] / rate[1])
    assert found["r.ratio"].low > 1
    # pgd draws every example to the boundary, so distances are exact to 1e-4.
    area = [np.maximum(0, 1 - reach[group == g] / EPS).mean() for g in (0, 1)]
    assert found["r.area"].value == pytest.approx(area[0] - area[1], abs=1e-4)
    assert found["r.area"].low < found["r.area"].value < found["r.area"].high
    details = main.details
    assert [row["group"] for row in details["groups"]] == ["p", "u"]
    assert details["unprivileged"]["n_success"] == (reach[group == 0] <= EPS).sum()
    assert details["unprivileged"]["area"] == pytest.approx(area[0], abs=1e-4)
    curve = [point["success_rate"] for point in details["privileged"]["success_versus_distance"]]
    assert curve == sorted(curve)
    assert (curve[0], curve[-1]) == (0.0, pytest.approx(rate[1]))
    assert y.size == 200


def test_the_quartet_is_computed_anew_on_answers_under_attack():
    ctx, group, y, reach = made(near=0.5)
    found = run(ctx)
    for condition in ("clean", "attacked"):
        said = y if condition == "clean" else np.where(reach <= EPS, 1 - y, y)
        again = replace(ctx, predictions=said, model=None)
        for key, name in (
            ("spd", "statistical_parity_difference"), ("di", "disparate_impact"),
            ("eod", "equal_opportunity_difference"), ("aod", "average_odds_difference"),
        ):  # fmt: skip
            (expected,) = measure(f"fairness.{name}", "x", {"attribute": "a"}, again)
            mine = found[f"r.{condition}_{key}"]
            assert (mine.value, mine.low, mine.high) == (expected.value, expected.low, expected.high)
            assert mine.state == "ok"
    by_hand = [said[group == g].mean() for g in (0, 1)]
    assert found["r.attacked_spd"].value == pytest.approx(by_hand[0] - by_hand[1])
    assert found["r.clean_aod"].value == 0.0
    assert found["r.attacked_di"].direction == "one"
    assert found["r.attacked_eod"].direction == "zero"


def test_items_that_are_wrong_already_are_nobodys_success():
    ctx, group, y, reach = made(near=0.5)
    wrong = np.arange(y.size) % 3 == 0
    found = run(replace(ctx, labels=np.where(wrong, 1 - y, y)))
    rate = [(reach[(group == g) & ~wrong] <= EPS).mean() for g in (0, 1)]
    assert found["r[a=u]"].value == pytest.approx(rate[0])
    assert found["r[a]"].value == pytest.approx(rate[0] - rate[1])
    assert found["r[a]"].n == (~wrong).sum()


def test_groups_that_are_equally_vulnerable_have_no_bias():
    hits = 0
    for seed in range(25):
        ctx, *_ = made(near=1.0, seed=seed)
        main = run(ctx)["r[a]"]
        hits += main.low <= 0 <= main.high
    assert hits >= 20


def test_frames_of_one_video_are_one_observation():
    ctx, *_ = made(n=100, near=0.6)
    rows = np.repeat(np.arange(100), 5)
    many = {
        "ids": np.arange(500).astype(object), "labels": ctx.labels[rows], "inputs": ctx.inputs[rows],
        "predictions": ctx.predictions[rows], "probabilities": ctx.probabilities[rows],
        "attributes": {"a": ctx.attributes["a"][rows]},
    }  # fmt: skip
    alone = run(ctx)["r[a]"]
    frames = run(replace(ctx, **many))["r[a]"]
    videos = run(replace(ctx, **many, clusters=np.array([f"v{i}" for i in rows], dtype=object)))["r[a]"]
    assert alone.value == pytest.approx(frames.value) == pytest.approx(videos.value)
    width = alone.high - alone.low
    assert videos.high - videos.low == pytest.approx(width, rel=0.15)
    assert frames.high - frames.low < 0.6 * width


def test_with_a_defence_everything_is_there_twice():
    rng = np.random.default_rng(0)
    n = 120
    x = rng.uniform(0, 1, (n, 1, 6, 6)).astype(np.float32)
    w = rng.normal(size=36) * 4
    model = linear_model(w, -float(np.median(x.reshape(n, -1) @ w)))
    ctx = model_context(
        model, x, model.predict(x).argmax(axis=1), task=binary_task(favourable="yes"),
        attributes={"a": np.array(["u", "p"], dtype=object)[rng.integers(0, 2, n)]},
        attribute_specs={"a": AttributeSpec(privileged="p", minimum=5)},
    )  # fmt: skip
    found = run(ctx, eps=0.05, attack="pgd", defence="median_smoothing", check_items=10, check_queries=100)
    assert {result.state for result in found.values()} == {"ok"}
    named = {column for column in registry.get_metric("robustness.bias").results if not column.startswith("[")}
    assert {key.removeprefix("r.") for key in found if "[" not in key} == named
    guarded = found["r.defended_difference"]
    assert guarded.details["defence"] == "median_smoothing"
    assert guarded.details["validity"]["verdict"] in ("sound", "suspect", "broken")
    assert guarded.n != found["r[a]"].n or guarded.value != found["r[a]"].value
    plain = run(ctx, eps=0.05, attack="pgd")
    assert plain["r[a]"].value == found["r[a]"].value
    assert plain["r.defended_difference"].state == "not_applicable"
    assert "no defence" in plain["r.attacked_defended_spd"].reason


def test_small_groups_missing_columns_and_wrong_names():
    ctx, *_ = made(n=60, minimum=1000)
    found = run(ctx)
    assert {found[key].state for key in ("r[a]", "r[a=u]", "r[a=p]", "r.ratio", "r.area", "r.clean_spd")} == {"too_few"}
    assert "1000" in found["r[a]"].reason
    assert found["r[a]"].details["unprivileged"]["n_attacked"] > 0
    absent = run(replace(ctx, attributes={"b": ctx.attributes["a"]}))
    assert {result.state for result in absent.values()} == {"not_applicable"}
    assert "r[a]" in absent
    with pytest.raises(ScorerFault, match="declares no attribute"):
        run(ctx, attribute="b")
    assert {r.state for r in run(replace(ctx, attributes={})).values()} == {"not_applicable"}


def test_without_a_favourable_class_the_rates_are_there_and_the_quartet_is_not():
    ctx, *_ = made()
    found = run(replace(ctx, task=TaskSpec(kind="binary", classes=("no", "yes"))))
    assert found["r[a]"].state == "ok"
    assert found["r.attacked_spd"].state == "not_applicable"
    assert "favourable" in found["r.attacked_spd"].reason


def table(broken, side, reach=None, clusters=None, minimum=1):
    broken, side = np.array(broken, dtype=bool), np.array(side)
    distances = np.where(broken, 0.25, np.inf) if reach is None else np.array(reach)
    values = np.array(["u", "p", "x"], dtype=object)[side]
    return Split("a", minimum, values, side, broken, distances, clusters, EPS, 0)


def test_nobody_fooled_and_everybody_fooled():
    ctx = context([0])
    none = table([False] * 6, [0, 0, 0, 1, 1, 1])
    assert difference(ctx, none).value == 0.0
    assert (difference(ctx, none).low, difference(ctx, none).high) == pytest.approx(mover([1, -1], [0, 0], [3, 3]))
    assert ratio(ctx, none).state == "undefined"
    assert "divides by zero" in ratio(ctx, none).reason
    assert area_gap(ctx, none).value == 0.0
    assert area_gap(ctx, none).low is None
    everybody = table([True] * 6, [0, 0, 0, 1, 1, 1])
    assert ratio(ctx, everybody).value == 1.0
    assert ratio(ctx, everybody).low < 1 < ratio(ctx, everybody).high
    assert area_gap(ctx, everybody).value == 0.0


def test_flat_rates_of_clusters_count_clusters():
    ctx = context([0])
    clusters = np.array(["a", "a", "b", "c", "c", "d"], dtype=object)
    found = difference(ctx, table([False] * 6, [0, 0, 0, 1, 1, 1], clusters=clusters))
    assert (found.low, found.high) == pytest.approx(mover([1, -1], [0, 0], [2, 2]))


def test_groups_on_neither_side_have_a_rate_and_no_difference():
    ctx = context([0])
    split = table([True, False, True, True, False], [0, 0, 1, 2, -1][:5])
    split = replace(split, side=np.array([0, 0, 1, -1, -1]))
    assert difference(ctx, split).value == pytest.approx(0.5 - 1.0)
    assert group_rate(ctx, split, "x").n == 2
    assert group_rate(ctx, split, "x").value == 0.5


def test_the_cost_counts_both_pipelines():
    info = registry.get_metric("robustness.bias")
    given = {"attribute": "a", "attack": "pgd", "eps": 0.1, "items": 30}
    one = info.queries(registry.parse_parameters(info, given), 100)
    two = info.queries(registry.parse_parameters(info, {**given, "defence": "jpeg"}), 100)
    assert (one.least, two.least) == (30, 60)
    assert two.typical == 2 * one.typical
    assert one.access == "gradients"
