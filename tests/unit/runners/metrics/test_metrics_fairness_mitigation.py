"""Mitigation: the rules against AIF360's, and what is told of before and after."""

import dataclasses
import itertools
import warnings

import numpy as np
import pytest

from runners.adapters import aif360
from runners.measure import measure
from runners.metrics.fairness import calibrated_odds, odds_postprocessing, reject_option
from runners.metrics.fairness.mitigation import Fitted
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context

ROC = "fairness.reject_option"
CEO = "fairness.calibrated_equalized_odds"
EOO = "fairness.equalized_odds_postprocessing"
NAMES = {
    "spd": "Statistical parity difference",
    "eod": "Equal opportunity difference",
    "aod": "Average odds difference",
}


def people(n=2000, seed=0, bias=0.25, **more):
    """Scores that are right about most, and lower for the unprivileged by `bias`; a third value is in neither group."""
    rng = np.random.default_rng(seed)
    side = rng.integers(0, 2, n)
    y = rng.random(n) < 0.35 + 0.2 * side
    scores = np.clip(0.35 + 0.3 * y + bias * (side - 0.5) + rng.normal(0, 0.15, n), 0.001, 0.999)
    values = np.array(["u", "p"], dtype=object)[side]
    values[:: n // 20] = "other"
    return context(
        y.astype(int), (scores > 0.5).astype(int), task=binary_task(favourable="yes"),
        probabilities=np.column_stack([1 - scores, scores]), attributes={"a": values},
        attribute_specs={"a": AttributeSpec(privileged="p", unprivileged=("u",))}, **more,
    )  # fmt: skip


def with_validation(ctx, fitted=None):
    return dataclasses.replace(ctx, validation=people(seed=1) if fitted is None else fitted)


def found(name, ctx, **parameters):
    return {
        r.key.removeprefix("x").removeprefix("."): r for r in measure(name, "x", {"attribute": "a", **parameters}, ctx)
    }


def fitted(ctx):
    side = np.array([{"u": 0, "p": 1}.get(v, 2) for v in ctx.attributes["a"]])
    return Fitted(ctx.labels == 1, side, ctx.predictions == 1, ctx.probabilities[:, 1])


def data_sets(items):
    """AIF360's data sets of the same items: the truth, and the predictions with their scores."""
    import pandas as pd

    data, *_ = aif360._load()
    frame = pd.DataFrame({"side": items.side.astype(float), "y": items.y.astype(float), "weight": 1.0})
    truth, said = (
        data(df=frame, **aif360._OPTIONS),
        data(df=frame.assign(y=items.predicted.astype(float)), **aif360._OPTIONS),
    )
    said.scores = items.scores[:, None]
    return truth, said


def theirs(algorithm, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from aif360.algorithms import postprocessing

        return getattr(postprocessing, algorithm)(**aif360._SIDES, **options)


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


@pytest.mark.parametrize("cost", ["fnr", "fpr", "weighted"])
@pytest.mark.parametrize("seed", [0, 3])
def test_calibrated_odds_mix_as_aif360(cost, seed):
    items = fitted(people(400, seed=seed))
    rule = theirs("CalibratedEqOddsPostprocessing", cost_constraint=cost).fit(*data_sets(items))
    mix = calibrated_odds.fit(items, cost)
    asked = mix.asked
    assert asked[0] == pytest.approx(float(rule.unpriv_mix_rate), abs=1e-12)
    assert asked[1] == pytest.approx(float(rule.priv_mix_rate), abs=1e-12)
    assert mix.rates.max() <= 1


def test_calibrated_odds_are_equal_where_they_were_fitted():
    """With the mix applied to the items it was fitted on, both sides have the same generalised FNR."""
    items = fitted(people(1000, bias=0.05))
    mix = calibrated_odds.fit(items, "fnr")
    assert (mix.asked <= 1).all()
    costs = []
    for side in (0, 1):
        y, s = items.y[items.side == side], items.scores[items.side == side]
        mixed = (1 - mix.rates[side]) * s + mix.rates[side] * mix.base[side]
        costs.append(1 - mixed[y].mean())
    assert costs[0] == pytest.approx(costs[1])


def test_calibrated_odds_report_the_expectation_over_the_mixing():
    ctx = with_validation(people(bias=0.05), people(seed=1, bias=0.05))
    result = found(CEO, ctx, cost="fnr", objective="eod")
    mix = calibrated_odds.fit(fitted(ctx.validation), "fnr")
    assert 0.2 < mix.rates[1] < 1
    items, rng, drawn = fitted(ctx), np.random.default_rng(0), []
    for _ in range(300):
        mixed = items.scores.copy()
        for side in (0, 1):
            chosen = (items.side == side) & (rng.random(items.y.size) < mix.rates[side])
            mixed[chosen] = mix.base[side]
        yes = mixed >= 0.5
        drawn.append(yes[items.y & (items.side == 0)].mean() - yes[items.y & (items.side == 1)].mean())
    assert result["[a]"].value == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(300))
    assert result["[a]"].details["mix_privileged"] == pytest.approx(mix.rates[1])
    assert found(CEO, ctx, cost="fnr", objective="eod")["[a]"].value == result["[a]"].value


def test_calibrated_odds_that_cannot_be_had_say_so():
    """The better side's trivial answer is no worse than its own: no mix makes it as bad as the other."""
    y, side = np.array([1, 0] * 40), np.repeat([0, 1], 40)
    scores = np.where(side == 0, np.where(y == 1, 0.1, 0.9), 0.5)
    mix = calibrated_odds.fit(Fitted(y == 1, side, scores > 0.5, scores), "fnr")
    assert np.isinf(mix.asked[1])
    assert mix.rates.tolist() == [0.0, 1.0]


def test_equalised_odds_are_equal_with_the_fewest_errors():
    """By brute force over a fine grid of one side's chances no feasible point has fewer errors."""
    counts = np.array([[[70, 30], [40, 60]], [[80, 20], [10, 90]]])
    chances = odds_postprocessing.fit(counts)
    tpr, fpr = counts[:, 1, 1] / counts[:, 1].sum(axis=1), counts[:, 0, 1] / counts[:, 0].sum(axis=1)
    new_tpr = chances[:, 0] * (1 - tpr) + chances[:, 1] * tpr
    new_fpr = chances[:, 0] * (1 - fpr) + chances[:, 1] * fpr
    assert new_tpr[0] == pytest.approx(new_tpr[1])
    assert new_fpr[0] == pytest.approx(new_fpr[1])
    best = np.inf
    for a, b in itertools.product(np.linspace(0, 1, 101), repeat=2):
        at = a * (1 - tpr[0]) + b * tpr[0], a * (1 - fpr[0]) + b * fpr[0]
        other = np.linalg.solve([[1 - tpr[1], tpr[1]], [1 - fpr[1], fpr[1]]], at)
        if ((other >= -1e-9) & (other <= 1 + 1e-9)).all():
            best = min(best, at[1] - at[0])
    assert new_fpr[0] - new_tpr[0] <= best + 1e-9
    assert new_fpr[0] - new_tpr[0] == pytest.approx(best, abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_equalised_odds_are_aif360s_linear_program(seed):
    items = fitted(people(400, seed=seed))
    rule = theirs("EqOddsPostprocessing").fit(*data_sets(items))
    sp2p, sn2p, op2p, on2p = rule.model_params.x
    assert odds_postprocessing.fit(items.table()) == pytest.approx(np.array([[on2p, op2p], [sn2p, sp2p]]), abs=1e-7)


def test_equalised_odds_report_what_is_expected():
    ctx = people()
    result = found(EOO, with_validation(ctx, ctx))
    # Applied to the very items it was fitted on, odds are equal.
    assert result["[a]"].value == pytest.approx(0.0, abs=1e-9)
    after = result["[a]"].details["after"]
    assert after["eod"] == pytest.approx(0.0, abs=1e-9)
    assert result["cost[a]"].value > 0
    chances = odds_postprocessing.fit(fitted(ctx).table())
    said, side = ctx.predictions, fitted(ctx).side
    turned = sum((side == g).astype(float) @ np.where(said == 1, 1 - chances[g, 1], chances[g, 0]) for g in (0, 1))
    assert result["[a]"].details["changed"] == pytest.approx(turned)
    assert found(EOO, with_validation(ctx))["[a]"].value != 0


@pytest.mark.parametrize("name", [ROC, CEO, EOO])
def test_what_is_missing_is_told_for_each_result(name):
    alone = found(name, people())
    assert set(alone) == {"[a]", "before[a]", "balanced_accuracy[a]", "cost[a]", "worse[a]"}
    assert {r.state for r in alone.values()} == {"not_applicable"}
    small = people(1000, seed=1)
    small.attributes["a"][:] = "p"
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
    order = np.lexsort((ctx.probabilities[:, 1], ctx.attributes["a"].astype(str)))
    ordered = dataclasses.replace(
        ctx, labels=ctx.labels[order], predictions=ctx.predictions[order], probabilities=ctx.probabilities[order],
        attributes={"a": ctx.attributes["a"][order]},
    )  # fmt: skip
    clusters = np.array([f"v{i // 20}" for i in range(ctx.n)], dtype=object)
    alone = found(name, with_validation(ordered))["[a]"]
    shared = found(name, with_validation(dataclasses.replace(ordered, clusters=clusters)))["[a]"]
    assert shared.value == pytest.approx(alone.value)
    assert shared.high - shared.low > 1.5 * (alone.high - alone.low)
