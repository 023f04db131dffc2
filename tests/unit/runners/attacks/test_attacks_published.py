"""What a published figure says of the fast gradient sign method."""

import numpy as np
import pytest

from runners.metrics.robustness.attack import robustness_attack
from tests.factories.attack_models import attacked, wrong
from tests.factories.runner_models import linear_model, model_context

EPS, PRINTED_ACCURACY, PRINTED_ERROR = 0.01, 0.984375, 9.844676969805732e-05


def batch():
    """64 images, one of them wrong already, the others nearer to the boundary than eps, away from black and white."""
    draw = np.random.default_rng(0)
    w = draw.choice([-1.0, 1.0], 48) * draw.uniform(0.5, 1.5, 48)
    x = draw.uniform(0.2, 0.8, (64, 48))
    x -= np.outer(x @ w - draw.choice([-0.5, 0.5], 64) * EPS * np.abs(w).sum(), w) / (w @ w)
    x = x.clip(0.02, 0.98).astype(np.float32)
    model = linear_model(w)
    y = model.predict(x).argmax(axis=1)
    y[17] = 1 - y[17]
    return model, x, y


def test_a_batch_of_64_falls_from_63_in_64_to_nothing_and_moves_by_no_more_than_eps_squared():
    model, x, y = batch()
    right = ~wrong(model, x, y)
    assert right.mean() == PRINTED_ACCURACY
    found = x.copy()
    found[right] = attacked("fgsm", model, x[right], y[right], eps=EPS, value_range=(0.0, 1.0))
    assert wrong(model, found, y).all()
    error = float(((found.astype(np.float64) - x) ** 2).mean())
    assert error <= EPS**2
    # One image in 64 stays as it is: 63/64 of eps squared.
    assert error == pytest.approx(PRINTED_ERROR, rel=2e-4)


def test_the_metric_says_so():
    model, x, y = batch()
    told = robustness_attack(model_context(model, x, y), attack="fgsm", eps=EPS, check_items=0)
    assert told["robust_accuracy"].details["clean_accuracy"] == PRINTED_ACCURACY
    assert told["robust_accuracy"].value == 0.0
    assert told["median_distance"].value == pytest.approx(EPS, rel=1e-5)
