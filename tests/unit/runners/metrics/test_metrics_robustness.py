import numpy as np
import pytest

from runners import registry
from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.robustness.recheck import recheck
from runners.metrics.robustness.target import accuracy_versus_eps
from runners.registry import AttackInfo
from runners.spec.models import TaskSpec
from runners.statistics.intervals import wilson
from tests.factories.runner_models import QUERIES, digits, linear_model, model_context

DIGITS = TaskSpec(kind="multiclass", classes=tuple("0123456789"))


def digits_context(n=120, **more):
    model, x, y = digits()
    return model_context(model, x[:n], y[:n], task=DIGITS, **more)


def run(ctx, **parameters):
    name = parameters.pop("name", "robustness.attack")
    return {result.key: result for result in measure(name, "r", parameters, ctx)}


@pytest.mark.parametrize(
    ("attack", "extra"), [("pgd", {"steps": 10}), ("fgsm", {}), ("hop_skip_jump", {"queries": 200})]
)
def test_results_of_each_attack(attack, extra):
    norm = "l2" if attack == "hop_skip_jump" else "linf"
    found = run(digits_context(), attack=attack, norm=norm, eps=1.5 if norm == "l2" else 0.15, items=60, **extra)
    assert list(found) == ["r.robust_accuracy", "r.success_rate", "r.median_distance", "r.queries"]
    robust = found["r.robust_accuracy"]
    details = robust.details
    assert robust.n == 60
    assert (robust.low, robust.high) == pytest.approx(wilson(round(robust.value * 60), 60))
    assert 0 < robust.value < details["clean_accuracy"]
    assert details["n_attacked"] - details["n_success"] == round(robust.value * 60)
    assert details["n_rechecked"] >= details["n_success"] > 0
    assert details["n_rejected"] == 0
    assert found["r.success_rate"].value == details["n_success"] / details["n_attacked"]
    assert 0 < found["r.median_distance"].value <= (1.5 if norm == "l2" else 0.15) + 1e-6
    assert found["r.queries"].value > 1
    assert found["r.queries"].unit == "queries/item"
    assert found["r.success_rate"].direction == "minimise"
    curve = details["accuracy_versus_eps"]
    assert len(curve) >= 5
    assert curve[0] == {"eps": 0.0, "accuracy": details["clean_accuracy"]}
    assert curve[-1]["accuracy"] == robust.value
    accuracies = [point["accuracy"] for point in curve]
    assert accuracies == sorted(accuracies, reverse=True)


def test_budget_of_queries_is_kept():
    found = run(digits_context(), attack="hop_skip_jump", norm="l2", eps=1.0, items=30, queries=300)
    assert found["r.queries"].value <= 300


def test_robust_accuracy_never_rises_with_eps():
    values = [
        run(digits_context(), attack="pgd", eps=eps, steps=10)["r.robust_accuracy"].value for eps in (0.02, 0.1, 0.3)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]


def test_median_distance_of_a_linear_model_is_the_closed_form():
    rng = np.random.default_rng(0)
    w = rng.normal(size=20)
    x = rng.uniform(-1, 1, (51, 20)).astype(np.float32)
    model = linear_model(w, 0.1)
    exact = np.abs(x.astype(float) @ w + 0.1) / np.abs(w).sum()
    ctx = model_context(model, x, model.predict(x).argmax(axis=1), value_range=(-9.0, 9.0))
    found = run(ctx, attack="pgd", norm="linf", eps=5.0)
    assert found["r.median_distance"].value == pytest.approx(np.median(exact), rel=1e-4)
    assert found["r.median_distance"].unit == "linf"
    assert found["r.robust_accuracy"].value == 0.0
    curve = found["r.robust_accuracy"].details["accuracy_versus_eps"]
    assert [p["accuracy"] for p in curve] == [float((exact > p["eps"]).mean()) for p in curve]


def test_the_same_seed_gives_the_same_numbers():
    first = run(digits_context(seed=4), attack="pgd", eps=0.1, items=40)
    again = run(digits_context(seed=4), attack="pgd", eps=0.1, items=40)
    for key, result in first.items():
        assert (again[key].value, again[key].low, again[key].n) == (result.value, result.low, result.n)


def test_white_box_is_not_applicable_where_gradients_are_refused():
    model, x, y = digits()
    model.access = QUERIES
    for result in run(model_context(model, x, y, task=DIGITS), attack="pgd", eps=0.1).values():
        assert (result.value, result.state) == (None, "not_applicable")
        assert "white-box" in result.reason


def test_a_file_of_answers_cannot_be_attacked():
    ctx = digits_context()
    ctx = type(ctx)(**{**vars(ctx), "model": None})
    found = run(ctx, attack="hop_skip_jump", eps=0.1)
    assert {r.state for r in found.values()} == {"not_applicable"}
    assert set(found) == {"r.robust_accuracy", "r.success_rate", "r.median_distance", "r.queries"}
    assert found["r.success_rate"].direction == "minimise"


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"attack": "pdg", "eps": 0.1}, "pdg"),
        ({"attack": "pgd", "eps": 0.1, "norm": "l1"}, "norm"),
        ({"attack": "pgd", "eps": 0.1, "queries": 100}, "queries"),
        ({"attack": "pgd", "eps": 0.1, "steps": 0}, "steps"),
        ({"attack": "pgd", "eps": -1}, "eps"),
        ({"attack": "pgd"}, "eps"),
    ],
)
def test_wrong_settings_are_the_organisers_fault(parameters, text):
    with pytest.raises(ScorerFault, match=text):
        run(digits_context(), **parameters)


def test_a_model_that_is_always_wrong_has_nothing_to_attack():
    model, x, _ = digits()
    ctx = model_context(model, x[:40], (model.predict(x[:40]).argmax(axis=1) + 1) % 10, task=DIGITS)
    found = run(ctx, attack="pgd", eps=0.1)
    assert found["r.robust_accuracy"].value == 0.0
    assert found["r.success_rate"].state == "undefined"
    assert found["r.median_distance"].state == "undefined"
    assert found["r.queries"].state == "undefined"


def _cheat(model, x, y, *, norm, eps, value_range, rng):
    """Claims success everywhere: out of range, too far, or without fooling anybody."""
    out = x.copy()
    out[0::3] = x[0::3] + 50
    out[1::3] = 1 - x[1::3]
    out[2::3] = np.clip(x[2::3] + 1e-4, 0, 1)
    return out


@pytest.fixture
def cheat(monkeypatch):
    registry.attacks()
    info = AttackInfo(
        "cheat",
        "",
        _cheat,
        "queries",
        ("linf",),
        "",
        registry._parameter_model("cheat", _cheat, without=registry._ATTACK_ARGUMENTS),
    )
    monkeypatch.setitem(registry._ATTACKS, "cheat", info)


@pytest.mark.usefixtures("cheat")
def test_the_judge_takes_no_attack_at_its_word():
    found = run(digits_context(), attack="cheat", eps=0.1)
    details = found["r.robust_accuracy"].details
    assert found["r.robust_accuracy"].value == details["clean_accuracy"]
    assert found["r.success_rate"].value == 0.0
    assert details["n_rechecked"] == details["n_attacked"]
    assert details["n_rejected"] > 0
    assert details["n_beyond_eps"] > 0
    assert details["n_rejected"] + details["n_beyond_eps"] == details["n_rechecked"]


def test_recheck_measures_the_clipped_float32_input():
    model = linear_model(np.array([1.0]), -0.5)
    x = np.array([[0.4], [0.4], [0.4]], dtype=np.float32)
    y = np.zeros(3, dtype=np.int64)
    held = recheck(model, x, np.array([[7.0], [0.4], [0.45]]), y, norm="linf", value_range=(0.0, 1.0))
    assert held.reach.tolist() == pytest.approx([0.6, np.inf, np.inf], abs=1e-6)
    assert held.claimed.tolist() == [True, False, True]
    assert held.rejected.tolist() == [False, False, True]
    with pytest.raises(ValueError, match="finite"):
        recheck(model, x, np.full_like(x, np.nan), y, norm="linf", value_range=(0.0, 1.0))


def test_curve_counts_an_example_for_every_larger_budget():
    correct = np.array([True, True, True, False])
    reach = np.array([0.1, 0.3, np.inf, np.inf])
    curve = accuracy_versus_eps(correct, reach, 0.4, points=5)
    assert [p["accuracy"] for p in curve] == [0.75, 0.5, 0.5, 0.25, 0.25]
