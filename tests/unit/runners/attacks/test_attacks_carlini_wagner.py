import warnings

import numpy as np
import pytest

from runners.attacks.geometry import distance, margin
from tests.factories.attack_models import attacked, linear, right_digits, wrong


@pytest.mark.parametrize(("value_range", "unit"), [((-2.0, 2.0), 1.0), ((-200.0, 200.0), 100.0)])
def test_it_finds_the_closed_form_minimum_of_a_linear_model(value_range, unit):
    model, x, y, exact = linear(n=16)
    model.weights[0], budget = model.weights[0] / unit, {"steps": 300, "step_size": 0.02}
    found = attacked("carlini_wagner", model, x * np.float32(unit), y, norm="l2", value_range=value_range, **budget)
    assert wrong(model, found, y).all()
    ratio = distance(found, x * np.float32(unit), "l2") / exact["l2"] / unit
    assert ratio.min() >= 1 - 1e-6
    assert np.median(ratio) <= 1 + 1e-4
    assert ratio.max() <= 1.03


def test_more_steps_and_searches_bring_examples_nearer():
    model, x, y = right_digits(30)

    def median(**parameters):
        found = attacked("carlini_wagner", model, x, y, norm="l2", value_range=(0, 1), **parameters)
        return np.median(np.where(wrong(model, found, y), distance(found, x, "l2"), np.inf))

    assert median(steps=100, searches=9) < median(steps=100, searches=4) < median(steps=40, searches=4)


def test_a_confidence_is_kept():
    model, x, y = right_digits(20)
    found = attacked("carlini_wagner", model, x, y, norm="l2", value_range=(0, 1), confidence=2.0)
    assert wrong(model, found, y).all()
    over = margin(model._logits(found)[0], y)
    assert over.min() >= 2 - 1e-6
    assert np.median(over) <= 2.5


def test_a_step_costs_a_gradient_and_wrong_items_nothing():
    model, x, y, _ = linear(n=12)
    y = y.copy()
    y[:4] = 1 - y[:4]
    before = model.queries
    found = attacked("carlini_wagner", model, x, y, norm="l2", steps=10, searches=3)
    assert (found[:4] == x[:4]).all()
    assert model.queries - before <= 12 + 8 * (3 * 10 + 30)
    assert model.seen.count(8) >= 30


def test_it_is_nearer_than_arts_for_fewer_questions():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import art.attacks.evasion  # noqa: F401 - its first import warns

    median, asked = {}, {}
    for engine, budget in (("native", {}), ("art", {"steps": 10, "searches": 10, "step_size": 0.01})):
        model, x, y = right_digits(6)
        found = attacked("carlini_wagner", model, x, y, norm="l2", value_range=(0, 1), engine=engine, **budget)
        median[engine] = np.median(np.where(wrong(model, found, y), distance(found, x, "l2"), np.inf))
        asked[engine] = model.queries
    assert median["native"] <= 0.8 * median["art"]
    assert asked["native"] < asked["art"]
