import warnings

import numpy as np
import pytest

from runners.attacks.geometry import distance
from runners.models.base import Gradient
from tests.factories.attack_models import attacked, linear, planted, right_digits, wrong
from tests.factories.runner_models import NetModel


def several(classes=5, size=20, n=30):
    """A linear model of several classes, items, labels, and the exact l2 distance of each to the nearest boundary."""
    draw = np.random.default_rng(5)
    w, b = draw.normal(size=(size, classes)), draw.normal(size=classes)
    model, x = NetModel([w], [b]), draw.uniform(-1, 1, (n, size)).astype(np.float32)
    z = x.astype(np.float64) @ w + b
    y = z.argmax(axis=1)
    apart = np.linalg.norm(w[:, y].T[:, :, None] - w[None], axis=1)
    gap = z[np.arange(n), y][:, None] - z
    return model, x, y, np.where(apart > 0, gap / np.where(apart > 0, apart, 1), np.inf).min(axis=1)


def test_it_finds_the_closed_form_minimum_of_linear_models():
    model, x, y, exact = linear()
    found = attacked("deepfool", model, x, y, norm="l2", value_range=(-4.0, 4.0))
    assert wrong(model, found, y).all()
    assert distance(found, x, "l2") == pytest.approx(exact["l2"], rel=1e-4)
    model, x, y, exact = several()
    found = attacked("deepfool", model, x, y, norm="l2")
    assert wrong(model, found, y).all()
    assert distance(found, x, "l2") == pytest.approx(exact, rel=1e-4)


def test_it_looks_at_the_likeliest_classes_only():
    model, x, y, exact = several()
    few = distance(attacked("deepfool", model, x, y, norm="l2", classes=2), x, "l2")
    assert (few >= exact * (1 - 1e-4)).all()
    assert (few > 1.01 * exact).any()
    asked = model.queries
    attacked("deepfool", model, x, y, norm="l2", classes=100)
    assert model.queries > 1.2 * asked


def test_values_at_the_end_of_the_range_are_no_way_to_the_boundary():
    # The second value counts most, and stands where it may not be raised.
    model = NetModel([np.array([[0.0, 1.0], [0.0, 3.0]])], [np.array([0.0, -3.5])])
    x, y = np.array([[0.2, 1.0]], dtype=np.float32), np.array([0])
    found = attacked("deepfool", model, x, y, norm="l2", value_range=(0.0, 1.0), steps=2)
    assert found == pytest.approx(np.array([[0.5, 1.0]]), rel=1e-3)


def test_it_is_no_farther_than_arts_and_asks_less():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import art.attacks.evasion  # noqa: F401 - its first import warns

    median, asked = {}, {}
    for engine in ("native", "art"):
        model, x, y = right_digits(10)
        found = attacked("deepfool", model, x, y, norm="l2", value_range=(0, 1), engine=engine)
        assert wrong(model, found, y).all()
        median[engine], asked[engine] = np.median(distance(found, x, "l2")), model.queries
    assert median["native"] <= 1.01 * median["art"]
    assert asked["native"] <= asked["art"] / 5


def test_what_is_wrong_already_or_has_no_gradient_stays_as_it_is():
    model, x, y, _ = linear(n=10)
    other = y.copy()
    other[:4] = 1 - other[:4]
    found = attacked("deepfool", model, x, other, norm="l2")
    assert (found[:4] == x[:4]).all()
    assert (found[4:] != x[4:]).any(axis=1).all()

    class Masked(NetModel):
        def gradient(self, x, y, *, loss="cross_entropy"):
            answer = super().gradient(x, y, loss=loss)
            return Gradient(answer.loss, np.zeros_like(answer.gradient), answer.logits)

    masked = Masked(model.weights, model.biases)
    assert (attacked("deepfool", masked, x, y, norm="l2") == x).all()
    assert masked.calls < 6


def test_many_items_are_asked_about_in_several_blocks(monkeypatch):
    import runners.attacks.deepfool as module

    model, x, y, exact = several()
    monkeypatch.setattr(module, "BATCH_BYTES", 20 * 4 * 4 * 7)
    found = attacked("deepfool", model, x, y, norm="l2")
    assert distance(found, x, "l2") == pytest.approx(exact, rel=1e-4)
    # Of thirty items seven at a time, each with its four other classes.
    assert model.seen[-40:].count(7 * 4) >= 4
    assert max(model.seen[-40:]) <= 30


def test_the_planted_direction_is_found_at_its_distance():
    model, x, y = planted()
    found = attacked("deepfool", model, x, y, norm="l2", value_range=(0.0, 1.0))
    assert distance(found, x, "l2") == pytest.approx(np.full(8, 0.015), rel=1e-3)
