import numpy as np
import pytest

from runners.adapters.art import generate
from runners.attacks.geometry import distance
from runners.errors import ScorerFault
from tests.factories.attack_models import attacked, linear, right_digits, rng, wrong


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_gradient_method_fools_the_same_items_as_arts(norm):
    model, x, y = right_digits(100)
    options = {"norm": norm, "eps": {"linf": 0.1, "l2": 0.6}[norm], "value_range": (0, 1)}
    ours, theirs = (wrong(model, attacked("fgsm", model, x, y, **options, engine=e), y) for e in ("native", "art"))
    assert 0 < theirs.sum() < 100
    assert (ours == theirs).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("restarts", [0, 2])
def test_robust_accuracy_under_projected_steps_is_arts(norm, restarts):
    model, x, y = right_digits(150)
    options = {"norm": norm, "eps": {"linf": 0.1, "l2": 0.6}[norm], "value_range": (0, 1), "restarts": restarts}
    left = {
        engine: 1 - wrong(model, attacked("pgd", model, x, y, **options, bisections=0, engine=engine), y).mean()
        for engine in ("native", "art")
    }
    assert 0.2 < left["art"] < 0.9
    assert left["native"] <= left["art"] + 1e-9
    assert left["art"] - left["native"] < 0.1


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_arts_bounded_attacks_succeed_exactly_within_the_closed_form(name, norm):
    model, x, y, exact = linear()
    eps = float(np.median(exact[norm]))
    found = attacked(name, model, x, y, norm=norm, eps=eps, engine="art")
    clear = np.abs(exact[norm] / eps - 1) > 1e-3
    assert (wrong(model, found, y) == (exact[norm] < eps))[clear].all()
    assert (distance(found, x, norm) <= eps + 1e-6).all()


def test_arts_deepfool_finds_the_closed_form_minimum_of_a_linear_model():
    model, x, y, exact = linear()
    # ART multiplies DeepFool's steps by the width of the value range, here 8.
    found = attacked("deepfool", model, x, y, norm="l2", value_range=(-4.0, 4.0), engine="art")
    assert wrong(model, found, y).all()
    assert distance(found, x, "l2") / exact["l2"] == pytest.approx(np.ones(len(y)), rel=5e-3)


def test_arts_carlini_and_wagner_come_near_the_closed_form_minimum():
    model, x, y, exact = linear(n=16)
    budget = {"steps": 20, "searches": 10, "step_size": 0.01}
    found = attacked("carlini_wagner", model, x, y, norm="l2", value_range=(-2, 2), engine="art", **budget)
    assert wrong(model, found, y).all()
    ratio = distance(found, x, "l2") / exact["l2"]
    assert ratio.min() >= 1 - 1e-6
    assert np.median(ratio) <= 1.5


@pytest.mark.parametrize(("name", "norm"), [("hop_skip_jump", "l2"), ("hop_skip_jump", "linf"), ("boundary", "l2")])
def test_decision_based_attacks_run_on_this_numpy_and_repeat(name, norm):
    """ART's HopSkipJump turns float32 items into float64, and both draw their starts from unseeded generators."""
    model, x, y = right_digits(6)
    kinds = set()
    plain = model.predict
    model.predict = lambda points: kinds.add(points.dtype) or plain(points)
    first, second = (
        attacked(name, model, x, y, norm=norm, value_range=(0, 1), queries=300, engine="art") for _ in range(2)
    )
    assert kinds == {np.dtype(np.float32)}
    assert wrong(model, first, y).all()
    assert (first == second).all()
    other = attacked(name, model, x, y, norm=norm, value_range=(0, 1), queries=300, engine="art", seed=8)
    assert (other != first).any()


def test_items_without_a_start_are_not_attacked():
    model, x, y = right_digits(4)
    start = x.copy()
    found = generate(
        "boundary", model, x, y, norm="l2", eps=1.0, value_range=(0, 1), rng=rng(), options={"start": start}
    )
    assert (found == x).all()


@pytest.mark.parametrize(("norm", "shape"), [("linf", (64,)), ("l2", (1, 8, 8))])
def test_arts_square_says_what_it_cannot_take(norm, shape):
    model, x, y = right_digits(4, shape)
    with pytest.raises(ScorerFault, match="ART's Square"):
        attacked("square", model, x, y, norm=norm, value_range=(0, 1), engine="art")
