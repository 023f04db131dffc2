from dataclasses import replace

import numpy as np
import pytest

from runners import registry
from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.performance.balanced_accuracy import balanced_accuracy
from runners.metrics.performance.roc_auc import roc_auc
from runners.metrics.robustness.condition import Figures, answered, deltas, latency, measured, warning
from runners.metrics.robustness.target import Attacked, attack_target, plan, pushed, target
from runners.spec.models import TaskSpec
from tests.factories.broken_models import digit_images
from tests.factories.runner_models import (
    QUERIES,
    Clock,
    TimedModel,
    binary_task,
    context,
    linear_model,
    model_context,
)

DIGITS = TaskSpec(kind="multiclass", classes=tuple("0123456789"))

# Balanced accuracy and AUC in percent, latency in milliseconds a frame: plain, JPEG, median smoothing. Published in
# the evaluation of the MeVer deepfake detection service, tables 2 to 4; smoothing was not run on WildDeepFake.
CLEAN = {
    "CelebDF-V2": ((80.63, 91.66), (81.55, 91.36), (69.85, 88.40)),
    "FaceForensics++": ((69.64, 74.64), (66.87, 73.62), (60.62, 68.03)),
    "WildDeepFake": ((81.37, 90.77), (81.48, 90.72), None),
}
LATENCY = {
    "CelebDF-V2": (13.56, 16.41, 14.88), "FaceForensics++": (9.528, 16.88, 15.34), "WildDeepFake": (9.398, 14.95, None),
}  # fmt: skip
ATTACKED = {
    "CelebDF-V2": ((25.34, 21.16), (50, 88.58), (50, 88.08)),
    "FaceForensics++": ((32.59, 28.30), (50, 72.66), (50, 67.95)),
    "WildDeepFake": ((24.76, 13.00), (50, 88.70), None),
}


def row(pair, milliseconds=None):
    return Figures(pair[0] / 100, pair[1] / 100, 0.0 if pair[0] == 50 else 0.4, milliseconds)


def published(dataset, defence):
    """The four conditions of one data set: defence 1 is JPEG, 2 is smoothing."""
    times = LATENCY[dataset]
    return {
        "clean": row(CLEAN[dataset][0], times[0]), "attacked": row(ATTACKED[dataset][0], times[0]),
        "defended": row(CLEAN[dataset][defence], times[defence]),
        "attacked_defended": row(ATTACKED[dataset][defence], times[defence]),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "drop", "cost", "lost"),
    [
        ("CelebDF-V2", -55.29, 0.92, -3.08),
        ("FaceForensics++", -37.05, -2.77, -1.98),
        ("WildDeepFake", -56.61, 0.11, -2.07),
    ],
)
def test_published_tables_give_their_derived_numbers(dataset, drop, cost, lost):
    found = deltas(published(dataset, 1))
    assert found["attack_balanced_accuracy"] * 100 == pytest.approx(drop, abs=1e-9)
    assert found["defence_balanced_accuracy"] * 100 == pytest.approx(cost, abs=1e-9)
    assert found["left_auc"] * 100 == pytest.approx(lost, abs=1e-9)


def test_published_cost_of_smoothing():
    cost = [deltas(published(name, 2))["defence_balanced_accuracy"] * 100 for name in ("CelebDF-V2", "FaceForensics++")]
    assert cost == pytest.approx([-10.78, -9.02])


def test_published_latencies_give_the_printed_range_of_increases():
    jpeg = [deltas(published(name, 1))["defence_latency"] for name in CLEAN]
    smooth = [deltas(published(name, 2))["defence_latency"] for name in ("CelebDF-V2", "FaceForensics++")]
    assert (min(jpeg), max(jpeg)) == pytest.approx((2.85, 7.352), abs=1e-9)
    assert (min(smooth), max(smooth)) == pytest.approx((1.32, 5.812), abs=1e-9)


@pytest.mark.parametrize("dataset", list(ATTACKED))
def test_a_detector_that_calls_nothing_fake_is_flagged_though_its_auc_is_high(dataset):
    conditions = published(dataset, 1)
    found = conditions["attacked_defended"]
    assert found.one_class
    assert found.misleading
    assert "another threshold" in warning(found)
    assert f"{found.auc:.3f}" in warning(found)
    assert not conditions["attacked"].one_class
    assert warning(conditions["attacked"]) == ""


def test_a_constant_answer_gives_half_exactly_and_its_auc_stays():
    labels = np.array([0, 0, 0, 1, 1])
    scores = np.array([0.1, 0.2, 0.3, 0.35, 0.4])
    ctx = context(labels, probabilities=np.column_stack([1 - scores, scores]), predictions=[0] * 5)
    values = measured(ctx, "x")
    assert values["balanced_accuracy"].value == 0.5
    assert values["auc"].value == 1.0
    assert values["positive_rate"].value == 0.0


def test_an_auc_below_one_half_is_not_clamped():
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    ctx = context([0, 0, 1, 1], [1, 1, 0, 0], probabilities=np.column_stack([1 - scores, scores]))
    assert measured(ctx, "x")["auc"].value == 0.0


def test_changes_without_one_of_two_conditions_are_undefined_or_absent():
    found = deltas({"clean": Figures(0.8, None), "attacked": Figures(0.5, 0.4)})
    assert found["attack_auc"] is None
    assert found["attack_balanced_accuracy"] == pytest.approx(-0.3)
    assert not any(key.startswith(("defence", "left", "gain")) for key in found)


def pair():
    _, x, y = digit_images()
    sides = (y == 3) | (y == 8)
    x, y = x[sides], (y[sides] == 3).astype(np.int64)
    w = (x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0)).ravel() * 4
    return linear_model(w, -float(np.median(x.reshape(len(x), -1) @ w))), x, y


def run(ctx, **parameters):
    given = {"attack": "pgd", "norm": "linf", "eps": 0.1, "repeats": 5, "check_items": 10, "check_queries": 100}
    return {r.key: r for r in measure("robustness.conditions", "r", {**given, **parameters}, ctx)}


@pytest.mark.parametrize("defence", ["jpeg", "median_smoothing"])
def test_the_two_by_two_of_a_detector(defence):
    model, x, y = pair()
    ctx = model_context(model, x[:70], y[:70], task=binary_task())
    found = run(ctx, defence=defence, eps=0.15, bisections=1)
    every = [f"r.{key}" for key in registry.get_metric("robustness.conditions").results]
    assert list(found) == [key for key in every if not key.startswith("r.cluster_")]
    assert {result.state for result in found.values()} == {"ok"}
    assert found["r.clean_balanced_accuracy"].value == balanced_accuracy(ctx).value
    assert found["r.clean_auc"].value == roc_auc(ctx).value
    for kind in ("", "_defended"):
        name = f"attacked{kind}"
        assert found[f"r.{name}_balanced_accuracy"].value < 0.8 < found["r.clean_balanced_accuracy"].value
        assert found[f"r.{name}_auc"].value < found["r.clean_auc"].value - 0.1
        details = found[f"r.{name}_balanced_accuracy"].details
        assert details["validity"]["verdict"] in ("sound", "suspect")
        assert details["attack"] == "pgd"
        assert details["one_class"] is False
    change = found["r.attack_delta_balanced_accuracy"]
    assert change.value == pytest.approx(
        found["r.attacked_balanced_accuracy"].value - found["r.clean_balanced_accuracy"].value
    )
    assert change.low < change.value < change.high < 0
    assert found["r.left_delta_auc"].low <= found["r.left_delta_auc"].value <= found["r.left_delta_auc"].high
    assert found["r.clean_latency"].unit == "ms/item"
    assert found["r.defence_delta_latency"].unit == "ms/item"


def test_without_a_defence_its_columns_are_not_applicable():
    model, x, y = pair()
    found = run(model_context(model, x[:60], y[:60], task=binary_task()))
    for key, result in found.items():
        absent = any(word in key for word in ("defended", "defence", "left", "gain"))
        assert (result.state == "not_applicable") == absent, key
    with pytest.raises(ScorerFault, match="without"):
        run(model_context(model, x[:60], y[:60]), defence_parameters={"quality": 9})


def test_more_than_two_classes_have_no_positive_rate():
    model, x, y = digit_images()
    found = run(model_context(model, x[:150], y[:150], task=DIGITS), check_items=0)
    assert found["r.clean_positive_rate"].state == "not_applicable"
    assert found["r.attacked_balanced_accuracy"].value < found["r.clean_balanced_accuracy"].value
    assert found["r.attacked_balanced_accuracy"].details["warning"] == ""


def test_a_file_of_answers_and_a_model_without_gradients_are_not_applicable():
    model, x, y = pair()
    model.access = QUERIES
    found = run(model_context(model, x, y, task=binary_task()))
    assert {result.state for result in found.values()} == {"not_applicable"}
    assert "white-box" in found["r.clean_auc"].reason


def test_pushing_makes_errors_surer_and_stays_within_the_budget():
    model, x, y = pair()
    ctx = model_context(model, x, y, task=binary_task())
    aim, attack = target(ctx, None), plan("pgd", "linf", 0.2, {})
    attacked = attack_target(ctx, aim, attack)
    plain, (far, answers) = attacked.answers(0.2), pushed(aim, attack, attacked)
    broken = attacked.broken(0.2)
    assert broken.sum() > 20
    rows = np.arange(y.size)
    assert (answers.argmax(axis=1) == plain.argmax(axis=1)).all()
    assert (answers[rows, y] <= plain[rows, y]).all()
    for part in (broken, ~broken):
        assert (answers[rows, y] < plain[rows, y] - 0.01)[part].mean() > 0.5
    assert np.abs(far - x).max() <= 0.2 + 1e-6
    assert answers == pytest.approx(model.predict(far))
    # From outside only the examples move.
    model.access = QUERIES
    blind, _ = pushed(aim, attack, attacked)
    assert (blind[~broken] == x[~broken]).all()
    assert blind[broken] == pytest.approx(far[broken])


def test_pushing_changes_no_class_that_the_attack_left_standing():
    model, x, y = pair()
    ctx = model_context(model, x, y, task=binary_task())
    aim, attack = target(ctx, None), plan("pgd", "linf", 0.2, {})
    attacked = attack_target(ctx, aim, attack)
    blunt = replace(attacked, held=replace(attacked.held, reach=np.full(y.size, np.inf)))
    _, answers = pushed(aim, attack, blunt)
    assert attacked.broken(0.2).any()
    assert (answers.argmax(axis=1) == attacked.clean.argmax(axis=1)).all()
    assert (answers != attacked.clean).any()


def test_under_attack_the_auc_of_a_linear_detector_is_that_of_the_shifted_scores():
    """Every score moves by eps times the dual norm of the weights, against its class."""
    w = np.array([1.0, -1.0])
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 200)
    x = (rng.normal(size=(200, 2)) + np.outer(2 * y - 1, w)).astype(np.float32)
    model = linear_model(w)
    found = run(model_context(model, x, y, task=binary_task(), value_range=(-50.0, 50.0)), eps=0.5, check_items=0)
    scores = x.astype(float) @ w
    moved = scores - (2 * y - 1) * 0.5 * 2
    wins = (moved[y == 1][:, None] > moved[y == 0][None]).mean()
    assert found["r.attacked_auc"].value == pytest.approx(wins, abs=0.002)
    expected = [((2 * y - 1) * moved > 0)[y == k].mean() for k in (0, 1)]
    assert found["r.attacked_balanced_accuracy"].value == pytest.approx(np.mean(expected))


def test_latency_is_the_median_time_of_an_item():
    clock = Clock()
    model = TimedModel(clock, lambda n: 0.001 + 0.002 * n)
    ctx = context([0, 1] * 10, clock=clock)
    found = latency(ctx, model.predict, np.zeros((20, 3), dtype=np.float32), repeats=11, batch=4)
    assert found.value == pytest.approx((0.001 + 0.008) * 1000 / 4)
    assert model.calls == 12
    assert found.details == {"repeats": 11, "batch_size": 4}


def test_answered_keeps_rows_together():
    ctx = context([0, 1, 1, 0], [0, 0, 0, 0], attributes={"a": np.array(list("wxyz"), dtype=object)},
                  clusters=np.array(list("aabb"), dtype=object))  # fmt: skip
    part = answered(ctx, np.array([1, 3]), np.array([[0.2, 0.8], [0.6, 0.4]]))
    assert part.labels.tolist() == [1, 0]
    assert part.predictions.tolist() == [1, 0]
    assert part.attributes["a"].tolist() == ["x", "z"]
    assert part.clusters.tolist() == ["a", "b"]
    assert part.ids.tolist() == ["i1", "i3"]


def test_attacked_inputs_are_the_items_where_nothing_was_found():
    model, x, y = pair()
    ctx = model_context(model, x, y, task=binary_task())
    attacked = attack_target(ctx, target(ctx, None), plan("pgd", "linf", 0.05, {}))
    assert isinstance(attacked, Attacked)
    inputs, broken = attacked.inputs(x, 0.05), attacked.broken(0.05)
    assert 0 < broken.sum() < y.size
    assert (inputs[~broken] == x[~broken]).all()
    assert (model.predict(inputs[broken]).argmax(axis=1) != y[broken]).all()
    assert attacked.answers(0.05) == pytest.approx(model.predict(inputs))
