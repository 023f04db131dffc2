"""The ball around each item, in the float32 that the model is asked in."""

import numpy as np
import pytest

from runners.attacks.geometry import distance, into_ball, steepest
from tests.factories.attack_models import attacked, linear, rng

RANGES = [(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-1000.0, 1000.0)]


@pytest.mark.parametrize("value_range", RANGES)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_nothing_is_outside_the_ball_and_the_border_is_reached(norm, value_range):
    draw, width = rng(), value_range[1] - value_range[0]
    x = draw.uniform(value_range[0] + 0.4 * width, value_range[1] - 0.4 * width, (200, 300)).astype(np.float32)
    radius = draw.uniform(0.02, 0.3, 200) * width
    point = into_ball(x + draw.normal(size=x.shape) * width, x, radius, norm, value_range)
    reach = distance(point, x, norm)
    assert point.dtype == np.float32
    assert (reach <= radius).all(), "measured in float64, and without any tolerance"
    assert (reach >= radius * (1 - 1e-4)).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_corner_of_ball_and_range_is_inside_both(norm):
    draw = rng()
    x = draw.random((50, 40)).astype(np.float32)
    radius = np.full(50, 0.7)
    point = into_ball(x + draw.normal(size=x.shape), x, radius, norm, (0.0, 1.0))
    assert (distance(point, x, norm) <= radius).all()
    assert point.min() >= 0
    assert point.max() <= 1
    assert ((point == 0) | (point == 1)).any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_budget_is_no_change_and_the_steepest_direction_has_length_one(norm):
    x = rng().random((5, 3, 4)).astype(np.float32)
    assert (into_ball(x + rng().normal(size=x.shape), x, np.zeros(5), norm, (0.0, 1.0)) == x).all()
    direction = steepest(rng().normal(size=x.shape) * 1e-40, norm)
    assert distance(direction, np.zeros_like(direction), norm) == pytest.approx(np.ones(5))
    assert (steepest(np.zeros((2, 3)), norm) == 0).all()


@pytest.mark.parametrize("name", ["fgsm", "pgd", "apgd", "square", "universal"])
def test_examples_in_grey_levels_are_within_the_budget_as_the_judge_measures_it(name):
    """A unit in the last place of 255 is 1.5e-5: more than the judge's tolerance of 1e-6."""
    model, x, y, exact = linear(size=60, n=60, classes=(1,))
    x, eps = (127 + 100 * x).astype(np.float32), 100 * 1.5 * float(exact["l2"].max())
    model.weights[0] = model.weights[0] / 100
    model.biases[0] = model.biases[0] - 127 * model.weights[0].sum(axis=0)
    found = attacked(name, model, x, y, norm="l2", eps=eps, value_range=(0.0, 255.0))
    changed = (found != x).any(axis=1)
    assert changed.any()
    assert (distance(found, x, "l2") <= eps).all()
