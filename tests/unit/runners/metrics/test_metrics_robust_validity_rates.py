"""The validity report on models that none of its thresholds was chosen on: other networks, other defences.

A few of each sort, and one seed: scripts/validity_rates.py counts verdicts over all of them and many seeds.
"""

import pytest

from runners.measure import measure
from runners.spec.models import TaskSpec
from tests.factories.runner_models import model_context
from tests.factories.validity_models import BROKEN, HONEST, digits

DIGITS = TaskSpec(kind="multiclass", classes=tuple("0123456789"))


def report(make):
    world = digits(200, train=800, items=70, epochs=5)
    ctx = model_context(make(world), world.x, world.y, task=DIGITS, seed=200)
    given = {"attack": "pgd", "norm": "linf", "eps": world.eps, "check_queries": 150, "bisections": 0}
    result = {r.key: r for r in measure("robustness.attack", "r", given, ctx)}["r.robust_accuracy"]
    validity = result.details["validity"]
    return result, validity, {check["check"]: check["outcome"] for check in validity["checks"]}


@pytest.mark.parametrize(
    "name",
    ["adversarially trained, half the budget", "adversarially trained, the budget", "adversarially trained perceptron",
     "median smoothing, way back"],
)  # fmt: skip
def test_honest_models_are_not_flagged(name):
    result, validity, _ = report(HONEST[name])
    assert validity["verdict"] == "sound", validity["text"]
    assert result.value < result.details["clean_accuracy"]
    # The fleet is what it says: only what is trained against the attack withstands it.
    assert (result.value >= 0.15) == name.startswith("adversarially"), result.value


@pytest.mark.parametrize(
    ("name", "reason"),
    [("one of two networks by chance", "randomised"), ("inputs in steps", "zero_gradients"),
     ("false way back", "gradients_lead_uphill"), ("stale gradient", "gradients_lead_uphill")],
)  # fmt: skip
def test_numbers_that_overstate_by_far_are_called_broken(name, reason):
    _, validity, outcomes = report(BROKEN[name])
    assert validity["verdict"] == "broken", validity["text"]
    assert outcomes[reason] in ("suspect", "broken")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("saturated", "saturated"), ("detector (feature squeezing)", "refusals"),
     ("winners take all", "black_box_control")],
)  # fmt: skip
def test_models_that_hide_and_do_not_get_far_are_at_least_suspect(name, reason):
    _, validity, outcomes = report(BROKEN[name])
    assert validity["verdict"] in ("suspect", "broken"), validity["text"]
    assert outcomes[reason] in ("suspect", "broken"), outcomes
