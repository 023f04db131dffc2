import numpy as np
import pytest

from runners.attacks.geometry import distance
from tests.factories.attack_models import attacked, linear, right_digits, rng, wrong


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_one_class_of_a_linear_model_it_fools_exactly_what_can_be(norm):
    model, x, y, exact = linear(classes=(1,))
    eps = float(np.median(exact[norm]))
    found = attacked("universal", model, x, y, norm=norm, eps=eps)
    clear = np.abs(exact[norm] / eps - 1) > 1e-3
    assert (wrong(model, found, y) == (exact[norm] < eps))[clear].all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_is_one_perturbation(norm):
    model, x, y = right_digits(200)
    x = (0.25 + x / 2).astype(np.float32)  # away from the ends of the range, where clipping makes changes differ
    keep = ~wrong(model, x, y)
    x, y = x[keep], y[keep]
    eps = {"linf": 0.15, "l2": 1.0}[norm]
    found = attacked("universal", model, x, y, norm=norm, eps=eps, value_range=(0, 1))
    changed = wrong(model, found, y)
    assert changed.sum() > 10
    assert not changed.all()
    unclipped = ((found[changed] > 0) & (found[changed] < 1)).all(axis=0)
    assert unclipped.sum() >= 32
    shift = (found[changed] - x[changed])[:, unclipped]
    assert np.abs(shift - shift[:1]).max() < 1e-6
    assert (distance(found, x, norm) <= eps + 1e-6).all()


def test_it_beats_a_random_perturbation_by_far():
    model, x, y = right_digits(200)
    found = attacked("universal", model, x, y, eps=0.2, value_range=(0, 1))
    signs = rng().choice([-0.2, 0.2], size=(20, *x.shape[1:]))
    by_chance = max(wrong(model, np.clip(x + sign, 0, 1).astype(np.float32), y).mean() for sign in signs)
    assert wrong(model, found, y).mean() > 2 * by_chance


def test_it_is_no_stronger_than_a_perturbation_for_each_item():
    model, x, y = right_digits(200)
    one = wrong(model, attacked("universal", model, x, y, eps=0.15, value_range=(0, 1)), y).mean()
    each = wrong(model, attacked("pgd", model, x, y, eps=0.15, value_range=(0, 1), bisections=0), y).mean()
    assert one < each


def test_batches_ask_about_fewer_items_a_step():
    model, x, y = right_digits(200)
    found = attacked("universal", model, x, y, eps=0.2, value_range=(0, 1), batch=20, steps=50)
    assert model.queries <= 50 * 20 + 2 * 200
    assert wrong(model, found, y).mean() > 0.3


def test_it_stops_when_all_are_fooled():
    model, x, y, exact = linear(classes=(1,))
    attacked("universal", model, x, y, eps=3 * float(exact["linf"].max()), steps=1000)
    assert model.calls < 50


def test_it_fools_no_fewer_than_arts():
    fooled = {}
    for engine, steps in (("native", 100), ("art", 1)):
        model, x, y = right_digits(12)
        found = attacked("universal", model, x, y, eps=0.2, value_range=(0, 1), steps=steps, engine=engine)
        fooled[engine] = int(wrong(model, found, y).sum())
    assert 0 < fooled["art"] <= fooled["native"]
