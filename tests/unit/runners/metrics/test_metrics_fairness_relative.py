"""Relative performance: its zero cases, its controls, and real against fake items."""

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.fairness.relative import Errors, controls, relative
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context, group_context

RP = "fairness.relative_performance"
CRP = "fairness.corrected_relative_performance"
PDRP = "fairness.pristine_data_relative_performance"
DDRP = "fairness.deepfake_data_relative_performance"


def only(name, ctx, **parameters):
    (result,) = measure(name, name, {"attribute": "a", **parameters}, ctx)
    return result


def wearing(counts, minimum=30, **more):
    """Items of `{value: (TN, FP, FN, TP)}` of the attribute `a`, whose value `yes` is its presence."""
    y, yhat, values = [], [], []
    for value, four in counts.items():
        for (truth, answer), n in zip(((0, 0), (0, 1), (1, 0), (1, 1)), four, strict=True):
            y, yhat, values = y + [truth] * n, yhat + [answer] * n, values + [value] * n
    return context(
        y, yhat, task=binary_task(), attributes={"a": np.array(values, dtype=object)},
        attribute_specs={"a": AttributeSpec(privileged="yes", minimum=minimum)}, **more,
    )  # fmt: skip


def test_twice_the_errors_are_minus_one():
    ctx = wearing({"yes": (60, 20, 20, 60), "no": (70, 10, 10, 70)})
    result = only(RP, ctx)
    assert result.value == -1.0
    assert result.low < -1.0 < result.high < 0
    assert (result.details["error_present"], result.details["error_absent"]) == (0.25, 0.125)
    assert only(RP, ctx, present="no").value == 0.5


def test_no_error_where_absent_is_undefined():
    result = only(RP, wearing({"yes": (60, 20, 20, 60), "no": (70, 0, 0, 70)}))
    assert (result.value, result.state) == (None, "undefined")
    assert "divides by zero" in result.reason
    flawless = only(RP, wearing({"yes": (80, 0, 0, 80), "no": (70, 10, 10, 70)}))
    assert flawless.value == 1.0
    assert flawless.low < 1.0 == flawless.high


def test_real_and_fake_items_are_told_apart():
    """FPR is doubled, FNR halved: together they hide it."""
    ctx = wearing({"yes": (40, 40, 10, 70), "no": (60, 20, 20, 60)})
    assert only(PDRP, ctx).value == pytest.approx(1 - (40 / 80) / (20 / 80))
    assert only(DDRP, ctx).value == pytest.approx(1 - (10 / 80) / (20 / 80))
    assert only(RP, ctx).value == pytest.approx(1 - 50 / 40)
    assert only(PDRP, ctx).details["n_present"] == 80


def test_unknown_values_are_left_out_and_small_groups_told():
    ctx = wearing({"yes": (60, 20, 20, 60), "no": (70, 10, 10, 70), None: (50, 50, 50, 50)})
    assert only(RP, ctx).value == -1.0
    assert only(RP, ctx).details["unknown"] == 200
    small = only(RP, wearing({"yes": (5, 5, 5, 5), "no": (70, 10, 10, 70)}))
    assert (small.value, small.state) == (None, "too_few")
    assert "yes is present in 20 items" in small.reason
    nobody = only(RP, wearing({"no": (70, 10, 10, 70)}))
    assert "yes is present in 0 items" in nobody.reason


def test_controls_of_a_whole_population_are_its_closed_form():
    """One item in each group: a pair is wrong and right with the chances of drawing them."""
    errors = Errors("yes", 1, np.array([[3, 1], [3, 1]]), 0)
    found = controls(errors, 20_000, np.random.default_rng(0))
    # Sizes are 4 and 4 of 8 items with 2 errors: P(no error in a group) = C(6,4) / C(8,4) = 3/14.
    undefined = np.isnan(found).mean()
    assert undefined == pytest.approx(3 / 14, abs=0.015)
    # Both groups are drawn apart: the present one may have 0, 1 or 2 errors whatever the absent one has.
    assert set(np.unique(found[np.isfinite(found)])) == {-1.0, 0.0, 0.5, 1.0}
    assert (found == -1.0).mean() == pytest.approx(4 / 7 * 3 / 14, abs=0.015)


def test_correction_takes_away_what_chance_gives():
    ctx = wearing({"yes": (60, 20, 20, 60), "no": (700, 100, 100, 700)})
    result, plain = only(CRP, ctx), only(RP, ctx)
    control = result.details["control"]
    assert result.value == pytest.approx(plain.value - control["mean"])
    assert (result.low, result.high) == pytest.approx((plain.low - control["mean"], plain.high - control["mean"]))
    assert abs(control["mean"]) < 0.02
    assert control["low"] < 0 < control["high"]
    assert control["as_far"] < 0.01
    assert only(CRP, ctx).value == result.value


def test_an_attribute_without_effect_is_within_its_controls():
    ctx = wearing({"yes": (60, 10, 10, 60), "no": (600, 100, 100, 600)})
    control = only(CRP, ctx).details["control"]
    assert control["as_far"] > 0.9


def test_controls_without_errors_leave_no_correction():
    ctx = wearing({"yes": (70, 1, 0, 70), "no": (70, 1, 0, 70)})
    result = only(CRP, ctx)
    assert (result.value, result.state) == (None, "undefined")
    assert "control groups have no error" in result.reason


def test_clusters_widen_interval_and_controls():
    counts = {"yes": (120, 40, 40, 120), "no": (700, 100, 100, 700)}
    n = sum(map(sum, counts.values()))
    clusters = np.array([f"v{i // 10}" for i in range(n)], dtype=object)
    alone, shared = only(CRP, wearing(counts)), only(CRP, wearing(counts, clusters=clusters))
    assert shared.value == pytest.approx(alone.value, abs=0.05)
    assert shared.high - shared.low > 2 * (alone.high - alone.low)

    def spread(result):
        return result.details["control"]["high"] - result.details["control"]["low"]

    assert spread(shared) > 2 * spread(alone)


def test_tables_are_computed_at_once():
    tables = np.array([[[90, 10], [80, 20]], [[100, 0], [80, 20]], [[50, 50], [100, 0]]])
    assert relative(tables) == pytest.approx([-1.0, np.nan, 1.0], nan_ok=True)


def test_multiclass_errors_count_but_have_no_sign():
    ctx = group_context(np.array([[[60, 20], [20, 60]], [[70, 10], [10, 70]]]))
    assert only(RP, ctx).value == pytest.approx(1 - 0.125 / 0.25)


def test_a_ratio_is_not_a_percentage_more():
    """A published table prints 0.28 against 0.05 as "+560 %": it is 5.6 times as much, and 460 % more."""
    ctx = wearing({"yes": (72, 28, 28, 72), "no": (190, 10, 10, 190)})
    assert only(RP, ctx).value == pytest.approx(-4.6)
    assert only(RP, ctx, present="no").value == pytest.approx(1 - 1 / 5.6)
