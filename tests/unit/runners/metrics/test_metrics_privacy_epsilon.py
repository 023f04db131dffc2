"""A claimed epsilon against the accountant and an attack, and accuracy against epsilon."""

import math

import numpy as np
import pytest

from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.privacy.accountant import Epsilon
from runners.metrics.privacy.accounted_epsilon import verdict
from runners.metrics.privacy.accuracy_epsilon import area, reach
from runners.models._answers import declared_privacy
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import Clock, TimedModel, context

#: noise 2, all items in each of four steps: the Gaussian mechanism with mu = 1. Epsilon at 1e-5 is 4.37675...
GAUSS = {"noise": 2.0, "rate": 1.0, "steps": 4, "delta": 1e-5}


def account(ctx=None, **parameters):
    ctx = context([0, 1], [0, 1]) if ctx is None else ctx
    return {r.key: r for r in measure("privacy.accounted_epsilon", "a", parameters, ctx)}


def members(p_true, member):
    p = np.column_stack([1 - p_true, p_true])
    return context(
        np.ones(len(p), dtype=int), p.argmax(axis=1), probabilities=p,
        attributes={"member": np.where(member, "yes", "no").astype(object)},
        attribute_specs={"member": AttributeSpec(privileged="yes")},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("claimed", "expected"), [(3.0, "too_low"), (4.377, "undecided"), (4.5, "holds"), (9.0, "holds"), (None, "none")]
)
def test_claims_about_the_gaussian_mechanism(claimed, expected):
    found = account(**GAUSS, **({} if claimed is None else {"claimed": claimed}))
    assert found["a"].value == pytest.approx(4.3768, abs=2e-3)
    assert found["a"].low < 4.3768 < found["a"].high
    assert found["a"].details["verdict"] == expected
    # An honest claim by the better accountant lies below the other's bound.
    assert found["a.renyi"].value > 4.5
    margin = found["a.claim_margin"]
    if claimed is None:
        assert (margin.value, margin.state) == (None, "not_applicable")
    else:
        assert margin.value == pytest.approx(claimed - found["a"].value)
        assert (margin.low, margin.high) == pytest.approx((claimed - found["a"].high, claimed - found["a"].low))


def test_verdicts_by_hand():
    exact = Epsilon(2.0, 1.9, 2.1)
    cases = [
        (1.5, 0.0, "too_low"), (1.95, 0.0, "undecided"), (2.1, 0.0, "holds"), (2.2, 2.5, "refuted"),
        (1.0, 1.5, "refuted"), (5.0, None, "holds"), (None, 9.0, "none"),
    ]  # fmt: skip
    for claimed, attacked, expected in cases:
        assert verdict(claimed, exact, 2.6, attacked) == expected
    # Without the numerical composition only the bound speaks, and it proves no claim wrong.
    assert verdict(2.7, None, 2.6, None) == "holds"
    assert verdict(1.0, None, 2.6, None) == "undecided"


def test_an_attack_refutes_what_the_accountant_believes():
    """Members all look like members: training was not private, whatever was declared of it."""
    member = np.arange(600) < 300
    found = account(members(np.where(member, 0.95, 0.2), member), **GAUSS | {"noise": 20.0}, claimed=1.0)
    assert found["a"].value < 1.0
    assert found["a"].details["verdict"] == "refuted"
    assert found["a.attacked"].value > 3
    assert found["a.attacked"].details["claim_refuted"] is True
    silent = account(members(np.full(600, 0.6), member), **GAUSS | {"noise": 20.0}, claimed=1.0)
    assert silent["a"].details["verdict"] == "holds"
    assert account(**GAUSS)["a.attacked"].state == "not_applicable"


def test_a_served_submission_declares_its_own_training():
    model = TimedModel(Clock(), lambda _n: 0.0)
    ctx = context([0, 1], [0, 1], model=model)
    assert {r.state for r in account(ctx).values()} == {"not_applicable"}
    assert "noise, rate, steps, delta" in account(ctx)["a"].reason
    model.privacy = {**GAUSS, "claimed": 3.0}
    found = account(ctx)["a"]
    assert (found.details["declared_by"], found.details["verdict"]) == ("the submission", "too_low")
    # What the competition says counts instead.
    assert account(ctx, claimed=5.0)["a"].details["verdict"] == "holds"
    assert account(ctx, **GAUSS, claimed=5.0)["a"].details["declared_by"] == "the competition"
    for wrong in ({"noise": -1.0}, {"rate": 1.5}, {"steps": 2.5}, {"delta": 0.0}, {"claimed": -1.0}):
        model.privacy = {**GAUSS, **wrong}
        assert account(ctx)["a"].state == "not_applicable", wrong


@pytest.mark.parametrize("wrong", [{"noise": 1e-160, "rate": 0.5}, {"noise": 1e-200}, {"delta": 5e-324}])
def test_a_declaration_that_rounding_turns_into_perfect_privacy_wins_nothing(wrong):
    model = TimedModel(Clock(), lambda _n: 0.0)
    model.privacy = {**GAUSS, **wrong}
    found = account(context([0, 1], [0, 1], model=model))
    assert {(r.value, r.state) for r in found.values()} == {(None, "not_applicable")}
    assert "too extreme" in found["a"].reason


def test_what_is_taken_of_a_declaration():
    told = {"noise": 1, "rate": 0.1, "steps": "many", "delta": None, "claimed": math.inf, "flag": True}
    assert declared_privacy({"parameters": {"privacy": told}}) == {"noise": 1.0, "rate": 0.1}
    assert declared_privacy({"parameters": {"privacy": {str(k): 1.0 for k in range(99)}}}) == {}
    for strange in ({}, {"parameters": None}, {"parameters": {"privacy": [1.0]}}):
        assert declared_privacy(strange) == {}


def curve(right, *, n=100, clusters=False, **parameters):
    """Items at each level of which so many are answered rightly."""
    levels = [name for name in right for _ in range(n)]
    said = np.concatenate([np.arange(n) < count for count in right.values()]).astype(int)
    names = np.array([f"c{i}" for _ in right for i in range(n)], dtype=object) if clusters else None
    ctx = context(
        np.ones(len(levels), dtype=int), said, attributes={"epsilon": np.array(levels, dtype=object)},
        attribute_specs={"epsilon": AttributeSpec(privileged="inf")}, clusters=names,
    )  # fmt: skip
    return {r.key: r for r in measure("privacy.accuracy_epsilon", "c", parameters, ctx)}


def test_curve_by_hand():
    """Accuracies .5, .7, .8 at 1, 10, 100: the area is (.6 + .75) / 2; .75 is reached half way in ln epsilon."""
    found = curve({"1": 50, "10": 70, "100": 80, "inf": 76})
    assert found["c"].value == pytest.approx(0.675)
    assert found["c.reach"].value == pytest.approx(10**1.5)
    assert found["c.without_privacy"].value == 0.76
    assert found["c.cost"].value == pytest.approx(0.26)
    points = found["c"].details["curve"]
    assert [(point["epsilon"], point["accuracy"]) for point in points] == [
        (1, 0.5),
        (10, 0.7),
        (100, 0.8),
        ("inf", 0.76),
    ]
    assert points[0]["low"] < 0.5 < points[0]["high"]
    assert all(found[key].low < found[key].value < found[key].high for key in ("c", "c.cost", "c.without_privacy"))
    assert found["c.reach"].direction == "minimise"


def test_where_the_accuracy_is_not_reached():
    found = curve({"1": 50, "8": 60, "inf": 90})
    assert (found["c.reach"].value, found["c.reach"].state) == (None, "undefined")
    assert "the largest is 8" in found["c.reach"].reason
    near = curve({"1": 50, "8": 88, "inf": 90}, tolerance=0.03)["c.reach"]
    assert near.value < 8
    assert near.high is None
    assert 0.5 < near.details["resamples_that_reach_it"] < 1
    assert curve({"1": 90, "8": 91, "inf": 90}, n=1000)["c.reach"].value == 1.0


def test_levels_that_no_resample_has_together():
    """Each level is one cluster: nearly every draw misses some of the thirty."""
    levels = [*(str(k) for k in range(1, 30)), "inf"]
    names = np.repeat(np.array(levels, dtype=object), 40)
    ctx = context(
        np.ones(1200, dtype=int), np.tile(np.arange(40) < 30, 30).astype(int), attributes={"epsilon": names},
        attribute_specs={"epsilon": AttributeSpec(privileged="inf")}, clusters=names,
    )  # fmt: skip
    found = {r.key: r for r in measure("privacy.accuracy_epsilon", "c", {}, ctx)}["c.reach"]
    assert (found.value, found.low, found.high) == (1.0, None, None)


def test_without_spread_there_is_no_interval_of_no_width():
    perfect = curve({"1": 100, "8": 100, "inf": 100})
    assert (perfect["c"].value, perfect["c"].low) == (1.0, None)
    assert (perfect["c.cost"].value, perfect["c.cost"].low) == (0.0, None)
    assert 0.9 < perfect["c.without_privacy"].low < perfect["c.without_privacy"].high == 1.0


def test_area_and_reach():
    eps = np.array([1.0, math.e, math.e**3])
    assert area(eps, np.array([0.0, 1.0, 1.0])) == pytest.approx((0.5 + 2) / 3)
    assert area(eps, np.ones((4, 3))).tolist() == [1.0] * 4
    # A curve that falls again: the first crossing counts.
    assert reach(eps, np.array([0.2, 0.8, 0.4]), 0.5) == pytest.approx(math.e**0.5)
    assert math.isinf(reach(eps, np.array([0.2, 0.3, 0.4]), 0.5))


def test_levels_of_the_same_items_err_together():
    """The same items are right at all levels: their errors cancel in the cost where clusters say so."""
    right = {"1": 60, "4": 65, "inf": 70}
    alone, together = curve(right), curve(right, clusters=True)
    width = [found["c.cost"].high - found["c.cost"].low for found in (alone, together)]
    assert together["c"].value == alone["c"].value
    assert width[1] < 0.6 * width[0]


def test_intervals_cover_the_truth():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = curve({"1": rng.binomial(200, 0.5), "10": rng.binomial(200, 0.8)}, n=200)
        covered += found["c"].low <= 0.65 <= found["c"].high
    assert covered >= 88


def test_each_level_is_accounted_for():
    """Noise 20 and 2 over four full steps are about .32 and 4.38."""
    found = curve({"0.3": 50, "5": 70}, noise=[20.0, 2.0], rate=1.0, steps=4)
    points = found["c"].details["curve"]
    assert [point["verdict"] for point in points] == ["too_low", "holds"]
    assert points[1]["accounted"] == pytest.approx(4.3768, abs=2e-3)
    assert found["c.reach"].state == "undefined"
    assert "inf" in found["c.reach"].reason
    with pytest.raises(ScorerFault, match="2 finite levels"):
        curve({"0.3": 50, "5": 70}, noise=[20.0], rate=1.0, steps=4)


def test_levels_that_are_none():
    few = curve({"1": 5, "2": 5}, n=10)
    assert {(r.value, r.state) for r in few.values()} == {(None, "too_few")}
    with pytest.raises(ScorerFault, match="must hold numbers"):
        curve({"low": 50, "2": 50})
    with pytest.raises(ScorerFault, match="above 0"):
        curve({"0": 50, "2": 50})
    absent = context([0, 1], [0, 1], attributes={"other": np.array(["1", "2"], dtype=object)},
                     attribute_specs={"epsilon": AttributeSpec(privileged="inf")})  # fmt: skip
    found = {r.key: r for r in measure("privacy.accuracy_epsilon", "c", {}, absent)}
    assert {r.state for r in found.values()} == {"not_applicable"}
