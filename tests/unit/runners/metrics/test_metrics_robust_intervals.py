"""Intervals where a bootstrap has nothing to vary, or items are not independent; and examples at the very edge."""

import numpy as np
import pytest

from runners.attacks.geometry import distance, into_ball
from runners.measure import measure
from runners.metrics.robustness.answer_checks import audit
from runners.metrics.robustness.bias_table import ratio
from runners.metrics.robustness.evidence import Case
from runners.metrics.robustness.target import plan
from runners.spec.models import TaskSpec
from runners.statistics.intervals import mover_ratio
from tests.factories.broken_models import digit_images
from tests.factories.runner_models import binary_task, context, linear_model, model_context
from tests.unit.runners.metrics.test_metrics_robust_bias import table

DIGITS = TaskSpec(kind="multiclass", classes=tuple("0123456789"))


def test_a_ratio_of_nothing_to_something_is_not_known_exactly():
    """No unprivileged item of ten is fooled, five privileged of ten are: the ratio is 0, and could well be 0.5."""
    made = table([False] * 10 + [True] * 5 + [False] * 5, [0] * 10 + [1] * 10)
    found = ratio(context([0, 1]), made)
    assert found.value == 0.0
    assert (found.low, found.high) == pytest.approx(mover_ratio((0, 5), (10, 10)))
    assert found.high > 0.3


def test_nor_is_it_in_clusters():
    names = np.repeat([f"c{i}" for i in range(10)], 2).astype(object)
    made = table([False] * 10 + [True] * 5 + [False] * 5, [0] * 10 + [1] * 10, clusters=names)
    found = ratio(context([0, 1]), made)
    assert (found.value, found.low, found.high) == (0.0, None, None)


def test_the_median_of_frames_has_no_interval_as_if_they_were_independent():
    model, x, y = digit_images()
    x, y = np.repeat(x[:30], 4, axis=0), np.repeat(y[:30], 4)
    names = np.repeat([f"v{i}" for i in range(30)], 4).astype(object)
    found = []
    for clusters in (None, names):
        ctx = model_context(model, x, y, task=DIGITS, clusters=clusters)
        given = {"attack": "pgd", "eps": 0.1, "check_items": 0}
        found.append({r.key: r for r in measure("robustness.attack", "r", given, ctx)}["r.median_distance"])
    assert found[0].value == found[1].value
    assert found[0].low < found[0].value
    assert (found[1].low, found[1].high) == (None, None)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("scale", [1.0, 255.0, 4000.0])
def test_rounding_to_float32_never_leaves_the_ball(norm, scale):
    """In the units of pictures one unit in the last place is more than the tolerance of the recheck."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0, scale, (200, 784)).astype(np.float32)
    radius = np.full(200, scale / 6)
    moved = into_ball(x + rng.normal(size=x.shape) * scale, x, radius, norm, (-9e9, 9e9))
    assert (distance(moved, x, norm) <= radius).all()
    assert (distance(moved, x, norm) > radius * (1 - 1e-5)).all()


def test_one_step_to_the_edge_counts_whatever_the_units():
    """Of a linear detector one step of the whole budget fools exactly what is within it."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=784)
    x = rng.uniform(0, 255, (300, 784)).astype(np.float32)
    offset = -float(np.median(x @ w))
    model = linear_model(w / 100, offset / 100)
    y = model.predict(x).argmax(axis=1)
    exact = np.abs(x.astype(float) @ w + offset) / np.linalg.norm(w)
    eps = float(np.median(exact))
    ctx = model_context(model, x, y, task=binary_task(), value_range=(-5000.0, 5000.0))
    given = {"attack": "fgsm", "norm": "l2", "eps": eps, "check_items": 0}
    found = {r.key: r for r in measure("robustness.attack", "r", given, ctx)}["r.robust_accuracy"]
    assert found.value == pytest.approx((exact > eps).mean(), abs=0.01)
    assert found.details["n_beyond_eps"] == 0


@pytest.mark.parametrize(("rejected", "claimed", "outcome"), [(0, 18, "passed"), (1, 18, "passed"), (4, 18, "suspect"),
                                                              (1, 1, "suspect"), (0, 0, "passed")])  # fmt: skip
def test_a_single_example_that_did_not_hold_says_little(rejected, claimed, outcome):
    model, x, y = digit_images()
    case = Case(
        model=model, x=x[:5], y=y[:5], survived=np.ones(5, dtype=bool), plans=(plan("pgd", "linf", 0.1, {}),),
        norm="linf", eps=0.1, value_range=(0.0, 1.0), claimed=claimed, rejected=rejected, reach=np.full(5, np.inf),
        classes=10, queries=100, rng=lambda _purpose: np.random.default_rng(0),
    )  # fmt: skip
    assert audit(case).outcome == outcome
