import numpy as np
import pytest

from runners import registry
from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.robustness.recheck import Rechecked
from runners.metrics.robustness.target import Attacked, curve_area, success_versus_distance
from runners.metrics.robustness.worst_case import together
from runners.registry import AttackInfo
from runners.spec.models import TaskSpec
from tests.factories.broken_models import digit_images
from tests.factories.runner_models import QUERIES, linear_model, model_context

DIGITS = TaskSpec(kind="multiclass", classes=tuple("0123456789"))
KEYS = ["r.robust_accuracy", "r.success_rate", "r.median_distance", "r.queries"]


def run(ctx, name="robustness.worst_case", **parameters):
    given = {"eps": 0.1, "check_items": 0, **parameters}
    return {r.key: r for r in measure(name, "r", given, ctx)}


def digits_context(n=100, **more):
    model, x, y = digit_images()
    return model_context(model, x[:n], y[:n], task=DIGITS, **more)


def test_worst_case_is_never_above_any_attack_and_never_their_mean():
    attacks = ["fgsm", "pgd", "hop_skip_jump"]
    own = {"hop_skip_jump": {"queries": 300}, "pgd": {"steps": 10}}
    found = run(digits_context(), attacks=attacks, attack_parameters=own)
    assert list(found) == KEYS
    robust = found["r.robust_accuracy"]
    rows = {row["attack"]: row for row in robust.details["attacks"]}
    assert list(rows) == attacks
    assert rows["pgd"]["parameters"]["steps"] == 10
    assert robust.value <= min(row["robust_accuracy"] for row in rows.values())
    assert robust.value < np.mean([row["robust_accuracy"] for row in rows.values()])
    assert robust.details["queries"] == sum(row["queries"] for row in rows.values())
    assert robust.details["calls"] == sum(row["calls"] for row in rows.values())
    assert all(row["seconds"] >= 0 for row in rows.values())
    # Each row is what the attack gives by itself.
    alone = run(digits_context(), name="robustness.attack", attack="pgd", steps=10)["r.robust_accuracy"]
    assert rows["pgd"]["robust_accuracy"] == alone.value
    assert rows["pgd"]["accuracy_versus_eps"] == alone.details["accuracy_versus_eps"]
    curve = [point["accuracy"] for point in robust.details["accuracy_versus_eps"]]
    assert curve == sorted(curve, reverse=True)
    assert (curve[0], curve[-1]) == (robust.details["clean_accuracy"], robust.value)
    assert "worst of fgsm, pgd, hop_skip_jump" in robust.title


def half_attack(which):
    def attack(model, x, y, *, norm, eps, value_range, rng):
        """Fools the even or the odd items of a linear model on one coordinate."""
        out = x.copy()
        out[which::2, 0] = -1.0 if which else -0.5
        return out

    return attack


@pytest.fixture
def halves(monkeypatch):
    registry.attacks()
    for which, name in enumerate(("even", "odd")):
        function = half_attack(which)
        model = registry._parameter_model(name, function, without=registry._ATTACK_ARGUMENTS)
        info = AttackInfo(name, "", function, "queries", ("linf",), "", model)
        monkeypatch.setitem(registry._ATTACKS, name, info)


@pytest.mark.usefixtures("halves")
def test_two_attacks_that_fool_a_half_each_leave_nothing():
    model = linear_model(np.array([1.0, 0.0]))
    x = np.full((10, 2), 0.25, dtype=np.float32)
    ctx = model_context(model, x, np.ones(10, dtype=np.int64), value_range=(-2.0, 2.0))
    found = run(ctx, attacks=["even", "odd"], eps=2.0)
    robust = found["r.robust_accuracy"]
    assert robust.value == 0.0
    assert [row["robust_accuracy"] for row in robust.details["attacks"]] == [0.5, 0.5]
    assert [row["only"] for row in robust.details["attacks"]] == [5, 5]
    assert found["r.success_rate"].value == 1.0
    # Five items at a distance of 0.75, five at 1.25.
    assert found["r.median_distance"].value == pytest.approx(1.0)
    shares = {point["distance"]: point["success_rate"] for point in robust.details["success_versus_distance"]}
    assert shares == pytest.approx({0.0: 0, 0.25: 0, 0.5: 0, 0.75: 0.5, 1.0: 0.5, 1.25: 1, 1.5: 1, 1.75: 1, 2.0: 1})
    assert robust.details["success_area"] == pytest.approx((1.25 + 0.75) / 2 / 2)


def test_together_takes_the_nearest_example_of_each_item():
    def one(reach, value):
        n = len(reach)
        reach = np.array(reach)
        found = np.isfinite(reach)
        held = Rechecked(
            reach=reach, claimed=np.ones(n, dtype=bool), rejected=~found,
            final=np.full((n, 2), value, dtype=np.float32), answers=np.full((n, 3), value),
        )  # fmt: skip
        return Attacked(np.ones(n, dtype=bool), np.zeros((n, 3)), held, queries=10, calls=2, seconds=1.5)

    inf = np.inf
    both = together([one([0.3, inf, 0.2, inf], 1.0), one([0.1, 0.4, inf, inf], 2.0)])
    assert both.held.reach.tolist() == [0.1, 0.4, 0.2, inf]
    assert both.held.final[:, 0].tolist() == [2, 2, 1, 1]
    assert both.held.answers[:3, 0].tolist() == [2, 2, 1]
    assert both.held.rejected.tolist() == [False, False, False, True]
    assert (both.queries, both.calls, both.seconds) == (20, 4, 3.0)
    assert both.broken(0.25).tolist() == [True, False, True, False]


def test_curves_by_hand():
    reach = np.array([0.1, 0.3, np.inf, 0.9])
    curve = success_versus_distance(reach, 0.4, points=5)
    assert [point["success_rate"] for point in curve] == [0, 0.25, 0.25, 0.5, 0.5]
    # Areas of two items: from 0.1 and from 0.3 to 0.4; the other two have none.
    assert curve_area(reach, 0.4) == pytest.approx((0.3 + 0.1) / 0.4 / 4)
    assert curve_area(np.zeros(3), 0.4) == 1.0
    assert curve_area(np.full(3, np.inf), 0.4) == 0.0


def test_a_model_without_gradients_meets_the_attacks_that_need_none():
    model, x, y = digit_images()
    model.access = QUERIES
    ctx = model_context(model, x[:40], y[:40], task=DIGITS)
    found = run(ctx, attacks=["pgd", "hop_skip_jump"], attack_parameters={"hop_skip_jump": {"queries": 200}})
    details = found["r.robust_accuracy"].details
    assert [row["attack"] for row in details["attacks"]] == ["hop_skip_jump"]
    assert "white-box" in details["not_run"]["pgd"]
    none = run(ctx, attacks=["pgd", "fgsm"])
    assert {result.state for result in none.values()} == {"not_applicable"}
    assert list(none) == KEYS


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"attacks": ["pgd", "pgd"]}, "twice"),
        ({"attacks": []}, "attacks"),
        ({"attacks": ["pgd"], "attack_parameters": {"fgsm": {}}}, "fgsm"),
        ({"attacks": ["pgd"], "attack_parameters": {"pgd": {"step": 3}}}, "step"),
        ({"attacks": ["nothing"]}, "nothing"),
        ({"attacks": ["pgd"], "norm": "l3"}, "norm"),
    ],
)
def test_wrong_settings_are_the_organisers_fault(parameters, text):
    with pytest.raises(ScorerFault, match=text):
        run(digits_context(20), **parameters)


def test_one_report_doubts_all_attacks_together():
    found = run(
        digits_context(), attacks=["fgsm", "pgd"], attack_parameters={"pgd": {"loss": "margin"}}, check_items=30
    )
    report = found["r.robust_accuracy"].details["validity"]
    assert report["verdict"] == "sound"
    checked = {check["check"]: check for check in report["checks"]}
    assert checked["single_step"]["newly_fooled"] == 0
    assert checked["perturbation_audit"]["claimed"] > 0


def test_the_cost_adds_up():
    info = registry.get_metric("robustness.worst_case")
    parameters = registry.parse_parameters(info, {"attacks": ["fgsm", "pgd"], "eps": 0.1, "items": 50})
    cost = info.queries(parameters, 1000)
    one = registry.get_metric("robustness.attack")
    singles = [
        one.queries(registry.parse_parameters(one, {"attack": a, "eps": 0.1, "items": 50, "check_items": 0}), 1000)
        for a in ("fgsm", "pgd")
    ]
    without = info.queries({**parameters, "check_items": 0}, 1000)
    assert without.typical == sum(single.typical for single in singles)
    assert cost.typical > without.typical
    assert (cost.least, cost.access) == (50, "gradients")
