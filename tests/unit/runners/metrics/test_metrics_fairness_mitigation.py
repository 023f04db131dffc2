"""Mitigation: the reject option against AIF360's, and what is told of before and after by all of them."""

import dataclasses
import warnings

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.fairness import reject_option
from runners.spec.models import AttributeSpec
from tests.factories.mitigated_people import data_sets, fitted, found, people, theirs, with_validation

ROC = "fairness.reject_option"
CEO = "fairness.calibrated_equalized_odds"
EOO = "fairness.equalized_odds_postprocessing"
NAMES = {
    "spd": "Statistical parity difference",
    "eod": "Equal opportunity difference",
    "aod": "Average odds difference",
}


@pytest.mark.parametrize("objective", NAMES)
def test_reject_option_is_aif360s_grid_search(objective):
    """Same threshold and margin as the search that predicts every item for every point of the grid."""
    items = fitted(people(150, seed=5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rule = theirs(
            "RejectOptionClassification", metric_name=NAMES[objective], metric_lb=-0.05, metric_ub=0.05,
            num_class_thresh=12, num_ROC_margin=50,
        ).fit(*data_sets(items))  # fmt: skip
        decided = rule.predict(data_sets(items)[1]).labels.ravel() == 1
    point = reject_option.fit(items, objective, (-0.05, 0.05), points=12)
    assert (point.threshold, point.margin) == (rule.classification_threshold, rule.ROC_margin)
    assert point.satisfied
    assert (reject_option.decide(items, point.threshold, point.margin) == decided).all()


@pytest.mark.parametrize("objective", [*NAMES, "di"])
def test_reject_option_is_the_best_of_all_points(objective):
    """By brute force, with the rule in its own words: above the threshold, and inside the band by side."""
    items = fitted(people(300, seed=2))
    bounds = (0.8, 1.25) if objective == "di" else (-0.05, 0.05)
    best = (-1.0, None)
    for t, m in zip(*reject_option.grid(9, 50), strict=True):
        s = items.scores
        band = (s > t - m) & (s <= t + m)
        yes = np.where(band & (items.side == 0), True, np.where(band & (items.side == 1), False, s > t))
        rate = {(g, y): yes[(items.side == g) & (items.y == y)].mean() for g in (0, 1) for y in (0, 1)}
        selected = [yes[items.side == g].mean() for g in (0, 1)]
        value = {
            "spd": selected[0] - selected[1],
            "di": selected[0] / selected[1] if selected[1] else np.nan,
            "eod": rate[0, 1] - rate[1, 1],
            "aod": (rate[0, 1] - rate[1, 1] + rate[0, 0] - rate[1, 0]) / 2,
        }[objective]
        balanced = (yes[items.y].mean() + 1 - yes[~items.y].mean()) / 2
        if bounds[0] <= value <= bounds[1] and balanced > best[0] + 1e-12:
            best = (balanced, (t, m))
    point = reject_option.fit(items, objective, bounds, points=9)
    assert (point.threshold, point.margin) == best[1]
    assert point.balanced_accuracy == pytest.approx(best[0])


def test_unsatisfied_bounds_take_the_closest_and_aif360_the_smallest():
    """No difference of shares is above 1. Closest to the bounds is the largest; AIF360 takes the smallest."""
    items = fitted(people(300, seed=2))
    closest = reject_option.fit(items, "spd", (1.5, 2.0), points=9)
    smallest = reject_option.fit(items, "spd", (1.5, 2.0), points=9, fallback="smallest")
    assert not closest.satisfied
    assert not smallest.satisfied
    # AIF360's class takes the smallest signed value: here the farthest from what was asked for.
    assert smallest.value < 0 < closest.value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rule = theirs(
            "RejectOptionClassification", metric_name=NAMES["spd"], metric_lb=1.5, metric_ub=2.0, num_class_thresh=9
        ).fit(*data_sets(items))
    assert (smallest.threshold, smallest.margin) == (rule.classification_threshold, rule.ROC_margin)


def test_reject_option_is_fitted_on_validation_and_told_with_its_cost():
    ctx = with_validation(people(bias=0.3))
    result = found(ROC, ctx)
    assert set(result) == {"[a]", "before[a]", "balanced_accuracy[a]", "cost[a]", "worse[a]"}
    after, before = result["[a]"], result["before[a]"]
    assert before.value < -0.3
    assert abs(after.value) < 0.12
    assert after.low < after.value < after.high
    point = reject_option.fit(fitted(ctx.validation), "spd", (-0.05, 0.05))
    assert after.details["threshold"] == point.threshold
    assert after.details["margin"] == point.margin
    assert after.details["validation"]["value"] == pytest.approx(point.value)
    decided = reject_option.decide(fitted(ctx), point.threshold, point.margin)
    side = fitted(ctx).side
    assert after.value == pytest.approx(decided[side == 0].mean() - decided[side == 1].mean())
    y = ctx.labels == 1
    balanced = (decided[y].mean() + 1 - decided[~y].mean()) / 2
    assert result["balanced_accuracy[a]"].value == pytest.approx(balanced)
    (was,) = measure("performance.balanced_accuracy", "ba", {}, ctx)
    cost = result["cost[a]"]
    assert cost.value == pytest.approx(was.value - balanced)
    assert cost.low < cost.value < cost.high
    assert after.details["changed"] == (decided != (ctx.predictions == 1)).sum()
    (spd,) = measure("fairness.statistical_parity_difference", "spd", {"attribute": "a"}, ctx)
    assert before.value == pytest.approx(spd.value)
    assert after.details["before"]["aod"] == pytest.approx(found(ROC, ctx, objective="aod")["before[a]"].value)


def test_disparate_impact_has_bounds_of_its_own_and_is_told_as_a_logarithm():
    result = found(ROC, with_validation(people()), objective="di")
    assert result["[a]"].details["bounds"] == [0.8, 1.25]
    assert np.log(0.7) < result["[a]"].value < np.log(1.4)
    ratio = result["[a]"].details["before"]["di"]
    assert ratio < 0.6
    assert result["before[a]"].value == pytest.approx(np.log(ratio))


def test_mitigating_one_attribute_may_harm_another():
    """The second attribute is fair before; the band then favours one of its values through the first."""
    ctx, other = people(4000), people(4000, seed=1)
    for one, seed in ((ctx, 3), (other, 4)):
        rng = np.random.default_rng(seed)
        follows = np.where(one.attributes["a"] == "u", rng.random(4000) < 0.8, rng.random(4000) < 0.2)
        one.attributes["b"] = np.where(follows, "x", "y").astype(object)
        one.attribute_specs["b"] = AttributeSpec(privileged="x")
    result = found(ROC, with_validation(ctx, other), lower=0.4, upper=0.5)["worse[a]"]
    assert result.n == 8
    assert result.value == len(result.details["worse"]) > 0
    assert {(cell["attribute"], cell["metric"]) for cell in result.details["worse"]} == {("a", "aod"), ("b", "aod")}
    assert all(abs(cell["before"]) < abs(cell["after"]) for cell in result.details["worse"])


@pytest.mark.parametrize("name", [ROC, CEO, EOO])
def test_what_is_missing_is_told_for_each_result(name):
    alone = found(name, people())
    assert set(alone) == {"[a]", "before[a]", "balanced_accuracy[a]", "cost[a]", "worse[a]"}
    assert {r.state for r in alone.values()} == {"not_applicable"}
    small = dataclasses.replace(people(1000, seed=1), attributes={"a": ["p"] * 1000})
    few = found(name, with_validation(people(), small))
    assert {r.state for r in few.values()} == {"too_few"}
    assert "validation split: unprivileged has 0 items" in few["[a]"].reason
    one_class = people(1000, seed=1)
    one_class.labels[:] = 1
    lacking = found(name, with_validation(people(), one_class))
    assert {r.state for r in lacking.values()} == {"undefined"}
    assert "outcomes on the validation split" in lacking["[a]"].reason


@pytest.mark.parametrize("name", [ROC, CEO, EOO])
def test_clusters_widen_intervals(name):
    ctx = people()
    order = np.lexsort((ctx.probabilities[:, 1], ctx.attributes["a"].codes))
    ordered = dataclasses.replace(
        ctx, labels=ctx.labels[order], predictions=ctx.predictions[order], probabilities=ctx.probabilities[order],
        attributes={"a": ctx.attributes["a"][order]},
    )  # fmt: skip
    clusters = np.array([f"v{i // 20}" for i in range(ctx.n)], dtype=object)
    alone = found(name, with_validation(ordered))["[a]"]
    shared = found(name, with_validation(dataclasses.replace(ordered, clusters=clusters)))["[a]"]
    assert shared.value == pytest.approx(alone.value)
    assert shared.high - shared.low > 1.5 * (alone.high - alone.low)
