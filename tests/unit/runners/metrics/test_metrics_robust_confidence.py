"""How sure a model is of items as they are and of items under attack."""

import numpy as np
import pytest

from runners import registry
from runners.measure import measure
from runners.metrics.calibration.expected_calibration_error import expected_calibration_error
from runners.metrics.robustness.condition import answered
from runners.spec.models import TaskSpec
from tests.factories.broken_models import digit_images, saturated
from tests.factories.runner_models import QUERIES, binary_task, context, linear_model, model_context

DIGITS = TaskSpec(kind="multiclass", classes=tuple("0123456789"))


def run(ctx, **parameters):
    given = {"attack": "pgd", "norm": "linf", "eps": 0.1}
    results = measure("robustness.confidence", "r", {**given, **parameters}, ctx)
    return {r.key.removeprefix("r."): r for r in results}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def linear():
    """One coordinate, class 1 above 0: probability sigmoid(x), so that an attack of eps moves x by eps."""
    x = np.array([[-3.0], [-1.0], [-0.2], [0.1], [0.5], [2.0], [4.0], [-0.4]], dtype=np.float32)
    y = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    return model_context(linear_model(np.array([1.0])), x, y, task=binary_task(), value_range=(-50.0, 50.0))


def test_closed_form_of_one_coordinate():
    """With push everything moves by the whole eps against its class, unless that alone would change the answer."""
    ctx = linear()
    found = run(ctx, eps=0.3)
    x, y = ctx.inputs[:, 0].astype(float), ctx.labels
    moved = x - (2 * y - 1) * 0.3
    natural, adversarial = (np.maximum(sigmoid(z), 1 - sigmoid(z)) for z in (x, moved))
    assert found["natural"].value == pytest.approx(natural.mean(), abs=1e-6)
    assert found["adversarial"].value == pytest.approx(adversarial.mean(), abs=1e-4)
    assert found["difference"].value == pytest.approx((adversarial - natural).mean(), abs=1e-4)
    # -0.4 was wrong from the start; -0.2 and 0.1 are so under attack.
    assert found["natural_wrong"].value == pytest.approx(natural[-1], abs=1e-6)
    assert found["natural_wrong"].n == 1
    wrong = (moved > 0) != (y == 1)
    assert found["adversarial_wrong"].n == wrong.sum() == 3
    assert found["adversarial_wrong"].value == pytest.approx(adversarial[wrong].mean(), abs=1e-4)
    assert found["adversarial_right"].value == pytest.approx(adversarial[~wrong].mean(), abs=1e-4)


def test_without_push_examples_stop_at_the_boundary():
    found = run(linear(), eps=0.3, push=False)
    assert found["adversarial_wrong"].value < run(linear(), eps=0.3)["adversarial_wrong"].value
    assert found["natural"].value == run(linear(), eps=0.3)["natural"].value


def test_calibration_errors_are_those_of_the_answers():
    model, x, y = digit_images()
    ctx = model_context(model, x[:150], y[:150], task=DIGITS)
    found = run(ctx)
    own = expected_calibration_error(answered(ctx, np.arange(150), ctx.probabilities), bins=15)
    assert found["natural_ece"].value == own.value
    change = found["ece_difference"]
    assert change.value == pytest.approx(found["adversarial_ece"].value - found["natural_ece"].value)
    assert (change.low, change.high) == (None, None)


def test_the_interval_is_paired():
    """Every item loses about the same, so the difference is known far better than either mean."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 4, (200, 1)).astype(np.float32)
    ctx = model_context(linear_model(np.array([1.0])), x, np.ones(200, dtype=int), task=binary_task(),
                        value_range=(-50.0, 50.0))  # fmt: skip
    found = run(ctx, eps=0.05)
    width = {key: found[key].high - found[key].low for key in ("natural", "adversarial", "difference")}
    assert width["difference"] < width["natural"] / 5
    difference = found["difference"]
    assert difference.low < difference.value < difference.high < 0


def test_clusters_widen_intervals():
    model, x, y = digit_images()
    x, y = np.repeat(x[:40], 5, axis=0), np.repeat(y[:40], 5)
    names = np.repeat([f"c{i}" for i in range(40)], 5).astype(object)
    plain, clustered = (
        run(model_context(model, x, y, task=DIGITS, clusters=clusters))["natural"] for clusters in (None, names)
    )
    assert plain.value == clustered.value
    assert clustered.high - clustered.low > 1.7 * (plain.high - plain.low)


def test_a_saturated_model_is_as_sure_of_its_errors():
    model, x, y = digit_images()
    found = run(model_context(saturated(model), x[:100], y[:100], task=DIGITS), loss="margin")
    assert found["adversarial_wrong"].value > 0.99
    # Sure of everything, it is off by the share that is wrong.
    wrong = found["adversarial_wrong"].n / 100
    assert wrong > 0.3
    assert found["adversarial_ece"].value == pytest.approx(wrong, abs=0.01)


def test_nothing_wrong_is_undefined_and_not_zero():
    x = np.array([[3.0], [4.0]], dtype=np.float32)
    ctx = model_context(linear_model(np.array([1.0])), x, np.array([1, 1]), task=binary_task(), value_range=(-9.0, 9.0))
    found = run(ctx)
    assert (found["natural_wrong"].value, found["natural_wrong"].state) == (None, "undefined")
    assert found["natural_right"].n == 2


def test_what_cannot_be_asked_is_not_applicable():
    model, x, y = digit_images()
    model.access = QUERIES
    assert {r.state for r in run(model_context(model, x[:50], y[:50], task=DIGITS)).values()} == {"not_applicable"}
    keys = [f"{key}" for key in registry.get_metric("robustness.confidence").results]
    empty = context(np.zeros(0, dtype=int), model=model, inputs=x[:0], input=model_context(model, x[:1], y[:1]).input)
    found = run(empty, attack="hop_skip_jump", norm="l2")
    assert list(found) == keys
    assert {r.state for r in found.values()} == {"undefined"}


def test_the_declared_cost_is_kept():
    model, x, y = digit_images()
    ctx = model_context(model, x[:80], y[:80], task=DIGITS)
    before = model.queries
    run(ctx, items=40)
    parameters = registry.parse_parameters(
        registry.get_metric("robustness.confidence"), {"attack": "pgd", "eps": 0.1, "items": 40}
    )
    assert 40 <= model.queries - before <= registry.get_metric("robustness.confidence").queries(parameters, 80).typical
