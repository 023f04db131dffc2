import numpy as np
import pytest

from runners.context import MetricContext
from runners.errors import ScorerFault
from runners.measure import measure
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context


def run(ctx: MetricContext, name: str, **parameters):
    return {r.key: r for r in measure(name, "p", parameters, ctx)}


def unlearned(forget, retain, unseen, *, reference=None, minimum=30, probabilities=True):
    """Log odds of the true class of three groups of items."""
    odds = np.concatenate([forget, retain, unseen])
    p = 1 / (1 + np.exp(-odds))
    group = np.repeat(["forget", "retain", "unseen"], [len(forget), len(retain), len(unseen)]).astype(object)
    attributes = {"unlearning": group}
    if reference is not None:
        attributes["retrained"] = np.array(reference, dtype=object)
    return context(
        np.ones(p.size, dtype=int), (p > 0.5).astype(int), task=binary_task(),
        probabilities=np.column_stack([1 - p, p]) if probabilities else None, attributes=attributes,
        attribute_specs={name: AttributeSpec(privileged="retain", minimum=minimum) for name in attributes},
    )  # fmt: skip


def test_unlearning_that_worked_and_that_did_not():
    rng = np.random.default_rng(0)
    retain, unseen = rng.normal(4, 1, 300), rng.normal(1, 1, 300)
    worked = run(unlearned(rng.normal(1, 1, 300), retain, unseen), "privacy.unlearning")
    kept = run(unlearned(rng.normal(4, 1, 300), retain, unseen), "privacy.unlearning")
    over = run(unlearned(rng.normal(-3, 1, 300), retain, unseen), "privacy.unlearning")
    assert worked["p"].low < 0 < worked["p"].high
    # Two normal scores three deviations apart: AUC = Phi(3 / sqrt 2).
    assert kept["p"].value == pytest.approx(2 * 0.98305 - 1, abs=0.02)
    assert kept["p"].low > 0.9
    assert kept["p.tpr_at_fpr_1"].value > 0.5
    assert over["p"].high < -0.9
    # Forgotten so thoroughly that everybody sees who was forgotten.
    assert over["p.tpr_at_fpr_1"].low > 0.8
    assert worked["p.tpr_at_fpr_1"].value < 0.06
    assert (worked["p"].direction, worked["p.retain_accuracy"].direction) == ("zero", "maximise")
    assert kept["p"].details["auc"] == pytest.approx((kept["p"].value + 1) / 2)


def test_fidelity_by_hand():
    reference = ["yes"] * 30 + ["no"] * 10 + [None] * 10 + ["yes"] * 50
    found = run(
        unlearned([2] * 20 + [-2] * 10, [2] * 40, [2] * 24 + [-2] * 6, reference=reference), "privacy.unlearning",
        reference="retrained",
    )  # fmt: skip
    assert found["p.forget_accuracy"].value == pytest.approx(20 / 30)
    assert found["p.retain_accuracy"].value == 1.0
    assert found["p.unseen_accuracy"].value == pytest.approx(24 / 30)
    # Of 90 known: the 10 forgotten at odds, the 10 retained that the retrained model denies, the 6 unseen.
    assert (found["p.agreement"].value, found["p.agreement"].n) == (pytest.approx(64 / 90), 90)
    assert found["p.agreement"].details == pytest.approx({"forget": 20 / 30, "retain": 20 / 30, "unseen": 24 / 30})
    assert found["p.tpr_at_fpr_1"].state == "too_few"


def test_unlearning_without_what_it_needs():
    few = run(unlearned([1] * 10, [1] * 40, [1] * 40), "privacy.unlearning")
    assert {(r.value, r.state) for r in few.values()} == {(None, "too_few")}
    classes = run(unlearned([1] * 40, [1] * 40, [1] * 40, probabilities=False), "privacy.unlearning")
    assert classes["p"].state == "not_applicable"
    assert classes["p.forget_accuracy"].value == 1.0
    assert classes["p.agreement"].state == "not_applicable"
    ctx = unlearned([1] * 40, [1] * 40, [1] * 40, reference=["maybe"] * 120)
    with pytest.raises(ScorerFault, match="no class"):
        run(ctx, "privacy.unlearning", reference="retrained")
    with pytest.raises(ScorerFault, match="three different"):
        run(ctx, "privacy.unlearning", forget="retain")
