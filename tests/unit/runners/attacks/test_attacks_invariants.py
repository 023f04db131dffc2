"""What holds for every attack, whatever it does inside."""

import random

import numpy as np
import pytest

from runners.attacks.geometry import distance
from runners.registry import attacks
from tests.factories.attack_models import attacked, planted, right_digits, wrong

SMALL = {
    "apgd": {"steps": 20},
    "autoattack": {"steps": 5, "queries": 50},
    "boundary": {"queries": 200},
    "carlini_wagner": {"steps": 30, "searches": 6},
    "deepfool": {"steps": 20},
    "fgsm": {},
    "hop_skip_jump": {"queries": 200},
    "pgd": {"steps": 10, "bisections": 1},
    "square": {"queries": 100},
    "universal": {"steps": 30},
}
#: Those that eps steers; the others look for the nearest example at whatever distance.
BOUNDED = ("apgd", "autoattack", "fgsm", "pgd", "square", "universal")
EPS = {"linf": 0.12, "l2": 0.8}
CASES = [(name, norm) for name, info in attacks().items() if name in SMALL for norm in info.norms]


def test_every_attack_is_held_to_the_invariants():
    assert set(SMALL) == set(attacks())


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_examples_are_legal_fool_and_repeat(name, norm):
    model, x, y = right_digits(24)
    state, python = np.random.get_state()[1].copy(), random.getstate()
    found = attacked(name, model, x, y, norm=norm, eps=EPS[norm], value_range=(0.0, 1.0), **SMALL[name])
    assert found.shape == x.shape
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    changed = (found != x).reshape(24, -1).any(axis=1)
    assert changed.any()
    assert (wrong(model, found, y) == changed).all(), "items without an example stay as they are"
    if name in BOUNDED:
        assert (distance(found, x, norm) <= EPS[norm] + 1e-6).all()
    again = attacked(name, model, x, y, norm=norm, eps=EPS[norm], value_range=(0.0, 1.0), **SMALL[name])
    assert (found == again).all()
    assert (np.random.get_state()[1] == state).all(), "nothing is drawn from the process's own generators"
    assert random.getstate() == python


@pytest.mark.parametrize(("name", "norm"), [case for case in CASES if case[0] in BOUNDED])
def test_a_larger_budget_fools_no_fewer(name, norm):
    model, x, y = right_digits(40)
    fooled = [
        int(wrong(model, attacked(name, model, x, y, norm=norm, eps=eps, value_range=(0, 1), **SMALL[name]), y).sum())
        for eps in (EPS[norm] / 2, EPS[norm], 2.5 * EPS[norm])
    ]
    assert fooled[0] <= fooled[1] <= fooled[2]
    assert fooled[0] < fooled[2]


@pytest.mark.parametrize("name", [name for name in SMALL if name not in ("carlini_wagner", "fgsm", "universal")])
def test_the_largest_budget_leaves_nothing(name):
    model, x, y = right_digits(20)
    norm = "linf" if "linf" in attacks()[name].norms else "l2"
    eps = {"linf": 1.0, "l2": 8.0}[norm]
    assert wrong(model, attacked(name, model, x, y, norm=norm, eps=eps, value_range=(0, 1), **SMALL[name]), y).all()


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_a_planted_direction_is_found(name, norm):
    model, x, y = planted()
    parameters = SMALL[name] | ({"queries": 1000} if name in ("boundary", "hop_skip_jump", "square") else {})
    found = attacked(name, model, x, y, norm=norm, eps=0.2, value_range=(0.0, 1.0), **parameters)
    assert wrong(model, found, y).all()


@pytest.mark.parametrize("name", SMALL)
def test_no_items_are_no_examples(name):
    model, x, y = right_digits(4)
    norm = attacks()[name].norms[0]
    assert attacked(name, model, x[:0], y[:0], norm=norm, value_range=(0, 1)).shape == (0, 1, 8, 8)


@pytest.mark.parametrize("name", ["boundary", "hop_skip_jump", "square"])
def test_round_trips_do_not_depend_on_the_number_of_items(name):
    calls = {}
    for n in (5, 100):
        model, x, y = right_digits(n)
        attacked(name, model, x, y, norm="l2", eps=0.01, value_range=(0, 1), queries=400)
        calls[n] = model.calls
        assert model.queries <= (400 + 2) * n
        assert model.queries >= 200 * n
    assert calls[100] <= 1.3 * calls[5]


@pytest.mark.parametrize(("name", "norm"), [case for case in CASES if case[0] != "autoattack"])
def test_a_range_about_zero_is_only_another_unit(name, norm):
    """From -1 to 1 with twice the budget is as from 0 to 1: as many are fooled, at twice the distance."""
    model, x, y = right_digits(30)
    first, bias = model.weights[0], model.biases[0]
    about = type(model)([first / 2, *model.weights[1:]], [bias + first.sum(axis=0) / 2, *model.biases[1:]])
    plain = attacked(name, model, x, y, norm=norm, eps=EPS[norm], value_range=(0, 1), **SMALL[name])
    wide = attacked(name, about, 2 * x - 1, y, norm=norm, eps=2 * EPS[norm], value_range=(-1, 1), **SMALL[name])
    fooled, twice = wrong(model, plain, y), wrong(about, wide, y)
    assert wide.min() < 0
    assert abs(int(fooled.sum()) - int(twice.sum())) <= 3
    reach = np.median(distance(plain, x, norm)[fooled]), np.median(distance(wide, 2 * x - 1, norm)[twice])
    assert reach[1] == pytest.approx(2 * reach[0], rel=0.15)


@pytest.mark.parametrize("name", ["apgd", "pgd", "autoattack", "square", "universal"])
def test_the_value_range_is_only_a_unit(name):
    """Pixels from 0 to 255 with 255 times the budget are as robust as from 0 to 1."""
    model, x, y = right_digits(60)
    scaled = type(model)([model.weights[0] / 255, *model.weights[1:]], model.biases)
    fine = attacked(name, model, x, y, eps=0.1, value_range=(0, 1), **SMALL[name])
    coarse = attacked(name, scaled, x * 255, y, eps=25.5, value_range=(0, 255), **SMALL[name])
    assert (distance(coarse, x * 255, "linf") <= 25.5 + 1e-6).all()
    assert coarse.max() > 1
    assert abs(int(wrong(model, fine, y).sum()) - int(wrong(scaled, coarse, y).sum())) <= 3
