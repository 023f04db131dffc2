"""Calibrated and equalised odds: against AIF360's fits, by brute force, and what is expected of them."""

import itertools

import numpy as np
import pytest

from runners.metrics.fairness import calibrated_odds, odds_postprocessing
from runners.metrics.fairness.mitigation import Fitted
from tests.factories.mitigated_people import data_sets, fitted, found, people, theirs, with_validation

CEO = "fairness.calibrated_equalized_odds"
EOO = "fairness.equalized_odds_postprocessing"


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
