"""Models that are so sure that numbers end: no attack may take that for robustness."""

import numpy as np
import pytest

from runners.attacks.geometry import distance
from runners.attacks.gradient import slope
from tests.factories.attack_models import WIDE, attacked, linear, right_digits, rng, wrong
from tests.factories.broken_models import saturated
from tests.factories.runner_models import linear_model

EPS = {"linf": 0.12, "l2": 0.8}


@pytest.mark.parametrize("scale", [15, 50, 1000])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_one_step_on_the_cross_entropy_of_a_sure_model_fools_what_the_margin_fools(norm, scale):
    """One minus a probability of 1 - 1e-16 is noise, long before the cross-entropy is zero."""
    model, x, y = right_digits(150)
    sure = saturated(model, scale)
    fooled = {
        loss: int(wrong(sure, attacked("fgsm", sure, x, y, norm=norm, eps=EPS[norm], value_range=(0, 1), loss=loss), y)
        .sum())
        for loss in ("cross_entropy", "margin")
    }  # fmt: skip
    assert 0 < fooled["margin"] < 150
    assert abs(fooled["cross_entropy"] - fooled["margin"]) <= 2


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_climbs_where_the_cross_entropy_is_zero(norm):
    model, x, y, exact = linear()
    sure = linear_model(model.weights[0][:, 1] * 1e4, 0.3e4)
    with np.errstate(divide="ignore"):  # the model's own
        found = attacked("apgd", sure, x, y, norm=norm, eps=10.0, value_range=WIDE)
    assert distance(found, x, norm) == pytest.approx(exact[norm], rel=1e-4)


def test_a_loss_that_stands_in_is_below_every_cross_entropy():
    model, x, y = right_digits(60)
    mixed = saturated(model, 8)
    at = slope(mixed, x, y, "cross_entropy")
    entropy = mixed.gradient(x, y).loss
    sure = entropy < 1e-10
    assert 0 < sure.sum() < 60
    # Rounding differs by how many items are asked together.
    assert at.loss[sure] == pytest.approx(mixed.gradient(x, y, loss="margin").loss[sure], rel=1e-5)
    assert at.loss[sure].max() < 0 < at.loss[~sure].min()
    assert (at.loss[~sure] == entropy[~sure]).all()


def test_square_leaves_the_plain_where_all_answers_are_exactly_zero_and_one():
    model, x, y = right_digits(150)
    sure = saturated(model, 1e3)
    others = np.sort(sure.predict(x), axis=1)[:, -2]
    plain = others == 0
    assert plain.sum() > 30
    found = attacked("square", sure, x[plain], y[plain], eps=0.12, value_range=(0, 1), queries=300)
    signs = rng().choice([-0.12, 0.12], size=(300, *x.shape[1:]))
    by_chance = np.zeros(int(plain.sum()), dtype=bool)
    for sign in signs:
        by_chance |= wrong(sure, np.clip(x[plain] + sign, 0, 1).astype(np.float32), y[plain])
    assert wrong(sure, found, y[plain]).sum() > 2.4 * by_chance.sum()
