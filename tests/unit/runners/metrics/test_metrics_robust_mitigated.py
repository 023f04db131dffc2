"""Eight conditions: clean, attacked, defended and both, before and after the reject option."""

from dataclasses import replace

import numpy as np
import pytest

from runners import registry
from runners.defences.defended import defended
from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.fairness.mitigation import worse_cells
from runners.metrics.fairness.reject_option import Point
from runners.metrics.performance.balanced_accuracy import balanced_accuracy
from runners.metrics.performance.roc_auc import roc_auc
from runners.metrics.robustness.mitigated import fitted, laid_over, lost, worse
from runners.registry import MetricValue
from runners.spec.models import AggregateSpec, AttributeSpec
from tests.factories.broken_models import digit_images
from tests.factories.runner_models import binary_task, context, linear_model, model_context

FIGURES = ("balanced_accuracy", "auc", "positive_rate", "spd", "di", "eod", "aod")
SPEC = {"a": AttributeSpec(privileged="p", minimum=10)}


def groups(x):
    """Dark images are the unprivileged."""
    ink = x.reshape(len(x), -1).mean(axis=1)
    return {"a": np.where(ink < np.median(ink), "u", "p").astype(object)}


def world(n=60, *, seed=0, **more):
    """A linear detector of 3 against 8, n scored images and the other 57 to fit on."""
    _, x, y = digit_images()
    sides = (y == 3) | (y == 8)
    x, y = x[sides], (y[sides] == 3).astype(np.int64)
    w = (x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0)).ravel() * 4
    model = linear_model(w, -float(np.median(x.reshape(len(x), -1) @ w)))
    task = binary_task(favourable="yes")
    made = [
        model_context(model, part, truth, task=task, attributes=groups(part), attribute_specs=SPEC, seed=seed, **more)
        for part, truth in ((x[:n], y[:n]), (x[n:], y[n:]))
    ]
    return replace(made[0], validation=replace(made[1], model=None))


def run(ctx, **parameters):
    given = {"attribute": "a", "attack": "pgd", "norm": "linf", "eps": 0.1, "repeats": 5, "check_items": 0,
             "bisections": 1}  # fmt: skip
    results = measure("robustness.mitigated_bias", "r", {**given, **parameters}, ctx)
    return {r.key.removeprefix("r."): r for r in results}


@pytest.fixture(scope="module")
def found():
    return run(world(), defence="median_smoothing", check_items=10, check_queries=100)


def test_every_condition_has_every_figure_before_and_after(found):
    assert list(found) == list(registry.get_metric("robustness.mitigated_bias").results)
    for condition in ("clean", "attacked", "defended", "attacked_defended"):
        for kind in ("", "mitigated_"):
            for figure in FIGURES:
                result = found[f"{condition}_{kind}{figure}"]
                assert result.state == "ok", (result.key, result.reason)
        assert found[f"{condition}_latency"].value > 0
        cost = found[f"{condition}_cost"]
        before, after = (found[f"{condition}_{kind}balanced_accuracy"].value for kind in ("", "mitigated_"))
        assert cost.value == pytest.approx(before - after)
    for name in ("attacked", "attacked_defended"):
        assert found[f"{name}_balanced_accuracy"].details["validity"]["verdict"] in ("sound", "suspect")


def test_clean_and_mitigated_is_what_the_mitigation_itself_reports(found):
    """The fairness metric fits the same rule on the same answers, and applies it to the same."""
    ctx = world()
    own = {r.key: r for r in measure("fairness.reject_option", "f", {"attribute": "a"}, ctx)}
    assert found["clean_mitigated_spd"].value == pytest.approx(own["f[a]"].value, abs=1e-12)
    assert found["clean_spd"].value == pytest.approx(own["f.before[a]"].value, abs=1e-12)
    assert found["clean_mitigated_balanced_accuracy"].value == own["f.balanced_accuracy[a]"].value
    assert found["clean_cost"].value == pytest.approx(own["f.cost[a]"].value, abs=1e-12)
    assert found["worse"].details["rules"]["clean"]["threshold"] == own["f[a]"].details["threshold"]


def test_the_quartet_under_attack_is_that_of_robustness_bias(found):
    ctx = world()
    given = {"attribute": "a", "attack": "pgd", "eps": 0.1, "check_items": 0, "bisections": 1}
    bias = {r.key.removeprefix("b."): r for r in measure("robustness.bias", "b", given, ctx)}
    for key in ("spd", "di", "eod", "aod"):
        assert found[f"clean_{key}"].value == bias[f"clean_{key}"].value
        assert found[f"attacked_{key}"].value == pytest.approx(bias[f"attacked_{key}"].value, abs=1e-12)


def test_behind_a_defence_the_rule_is_fitted_on_defended_answers(found):
    ctx = world()
    model = defended(ctx.model, "median_smoothing", value_range=(0.0, 1.0))
    said = model.predict(ctx.validation.inputs)
    own = fitted(replace(ctx.validation, probabilities=said, predictions=said.argmax(axis=1)), "a", "spd")
    rules = found["worse"].details["rules"]
    assert rules["defended"]["threshold"] == own.threshold
    assert rules["defended"]["margin"] == own.margin
    assert set(rules) == {"clean", "defended"}


def test_scored_items_have_no_part_in_the_fit():
    ctx = world()
    turned = replace(ctx, labels=1 - ctx.labels)
    rules = [run(one)["worse"].details["rules"]["clean"] for one in (ctx, turned)]
    assert rules[0] == rules[1]


def test_what_became_worse_is_named():
    def row(spd, di, eod, aod):
        values = {"spd": spd, "di": di, "eod": eod, "aod": aod}
        return {key: MetricValue(value) for key, value in values.items()}

    before = {"clean": row(-0.12, 0.80, -0.08, -0.15), "attacked": row(0.01, None, 0.0, 0.3)}
    after = {"clean": row(0.02, 1.02, 0.08, -0.04), "attacked": row(0.02, 2.0, 0.0, None)}
    made = worse(before, after)
    assert made.value == 2
    assert made.n == 7
    assert [(cell["condition"], cell["metric"]) for cell in made.details["worse"]] == [
        ("attacked", "spd"), ("attacked", "aod"),
    ]  # fmt: skip
    assert worse({"clean": row(None, None, None, None)}, {"clean": row(0, 1, 0, 0)}).state == "undefined"


def test_the_count_is_of_the_reported_cells(found):
    expected = [
        {"condition": condition, "metric": metric}
        for condition in ("clean", "attacked", "defended", "attacked_defended")
        for metric in worse_cells(
            *({key: found[f"{condition}_{kind}{key}"].value for key in ("spd", "di", "eod", "aod")}
              for kind in ("", "mitigated_"))
        )[0]
    ]  # fmt: skip
    told = found["worse"].details["worse"]
    assert [{key: cell[key] for key in ("condition", "metric")} for cell in told] == expected
    assert found["worse"].value == len(expected)
    assert found["worse"].details["compared"] == found["worse"].n == 16


def test_the_rule_by_hand():
    """Threshold 0.5 and margin 0.2: the unprivileged need more than 0.3, the privileged more than 0.7."""
    score = np.array([0.31, 0.30, 0.71, 0.70, 0.51, 0.50])
    attribute = np.array(["u", "u", "p", "p", None, None], dtype=object)
    ctx = context(
        [1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 1, 0], probabilities=np.column_stack([1 - score, score]),
        task=binary_task(favourable="yes"), attributes={"a": attribute},
        attribute_specs={"a": AttributeSpec(privileged="p", minimum=1)},
    )  # fmt: skip
    over = laid_over(ctx, "a", Point(0.5, 0.2, 0.0, 0.0, True))
    assert over.predictions.tolist() == [1, 0, 1, 0, 1, 0]
    assert over.probabilities.sum(axis=1) == pytest.approx(np.ones(6))
    # Every item is on the right side of its own cut, though the scores alone do not separate the classes.
    assert roc_auc(over).value == 1.0
    assert roc_auc(ctx).value < 1.0
    assert balanced_accuracy(over).value == 1.0
    gained = lost(ctx, over, balanced_accuracy(ctx).value - 1.0)
    assert gained.value < 0
    assert gained.low <= gained.value <= gained.high


def test_the_favourable_class_need_not_be_the_positive_one():
    score = np.array([0.2, 0.9, 0.4, 0.6])
    ctx = context(
        [0, 1, 0, 1], probabilities=np.column_stack([1 - score, score]), task=binary_task(favourable="no"),
        predictions=[0, 1, 0, 1], attributes={"a": np.array(["u", "u", "p", "p"], dtype=object)},
        attribute_specs={"a": AttributeSpec(privileged="p", minimum=1)},
    )  # fmt: skip
    over = laid_over(ctx, "a", Point(0.5, 0.0, 0.0, 0.0, True))
    assert over.predictions.tolist() == [0, 1, 0, 1]
    assert roc_auc(over).value == roc_auc(ctx).value == 1.0


def test_frames_become_videos_before_anything_is_compared():
    names = np.repeat([f"v{i}" for i in range(30)], 2).astype(object)
    ctx = world()
    ctx = replace(
        ctx, labels=np.repeat(ctx.labels[::2], 2), attributes={"a": np.repeat(["u", "p"], 30).astype(object)},
        clusters=names, aggregate=AggregateSpec(by="video"),
        validation=replace(ctx.validation, clusters=np.array([f"w{i}" for i in range(57)], dtype=object)),
    )  # fmt: skip
    found = run(ctx)
    assert found["clean_spd"].n == found["attacked_mitigated_balanced_accuracy"].n == 30
    assert found["worse"].details["of"] == "each video, by the mean"


def test_too_few_items_to_fit_on_leave_what_is_unmitigated():
    ctx = world()
    more = {"attribute_specs": {"a": AttributeSpec(privileged="p", minimum=30)}}
    small = replace(ctx, validation=replace(ctx.validation, **more), **more)
    found = run(small)
    assert found["clean_spd"].state == "ok"
    assert found["clean_mitigated_spd"].state == "too_few"
    assert "validation split" in found["clean_mitigated_spd"].reason
    assert found["clean_cost"].state == "too_few"
    assert found["worse"].state == "undefined"


def test_what_is_missing_is_said():
    ctx = world()
    assert {r.state for r in run(replace(ctx, validation=None)).values()} == {"not_applicable"}
    bare = run(replace(ctx, validation=replace(ctx.validation, inputs=None)))
    assert "no inputs" in bare["worse"].reason
    without = run(ctx)
    assert without["defended_spd"].state == without["attacked_defended_mitigated_auc"].state == "not_applicable"
    with pytest.raises(ScorerFault, match="declares no attribute"):
        run(ctx, attribute="b")


def test_the_same_seed_gives_the_same(found):
    again = run(world(), defence="median_smoothing", check_items=10, check_queries=100)
    for key, result in found.items():
        if "latency" not in key:
            assert (result.value, result.low, result.high) == (again[key].value, again[key].low, again[key].high), key
