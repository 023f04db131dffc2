"""Inequality indices: AIF360's own worked examples, closed forms, and AIF360 on random tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.adapters.aif360 import entropy_metric
from runners.measure import measure
from runners.metrics.fairness.entropy import between, over_items
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context, group_context

#: Group and label of ten items; the two predictions that AIF360's tests use.
GROUPS = [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
LABELS = [1, 0, 0, 1, 0, 0, 1, 0, 1, 1]
FIRST = [1, 0, 0, 0, 1, 1, 1, 0, 1, 0]
SECOND = [0, 1, 1, 0, 0, 0, 0, 1, 1, 1]
cells = st.lists(st.integers(1, 60), min_size=8, max_size=8).map(lambda v: np.array(v).reshape(2, 2, 2))


def ten(predictions, groups=GROUPS, labels=LABELS):
    return context(
        labels, predictions, task=binary_task(favourable="yes"),
        attributes={"a": np.array([f"g{g}" for g in groups], dtype=object)},
        attribute_specs={"a": AttributeSpec(privileged="g1", minimum=1)},
    )  # fmt: skip


def only(name, ctx, **parameters):
    (result,) = measure(name, name, parameters, ctx)
    return result


def test_theil_index_of_the_worked_example():
    result = only("fairness.theil_index", ten(FIRST))
    assert result.value == pytest.approx(4 * np.log(2) / 10, abs=1e-15)
    assert result.low < result.value < result.high
    assert result.unit == "nat"


@pytest.mark.parametrize(("predictions", "value"), [(FIRST, 0.2), (SECOND, 0.3)])
def test_generalised_entropy_of_the_worked_examples(predictions, value):
    ctx = ten(predictions)
    assert only("fairness.generalized_entropy_index", ctx).value == pytest.approx(value, abs=1e-15)
    assert only("fairness.coefficient_of_variation", ctx).value == pytest.approx(np.sqrt(2 * value), abs=1e-15)


def test_between_all_groups_of_the_worked_example():
    b = np.array([1, 1, *[1.25] * 4, *[0.75] * 4])
    name = "fairness.between_group_generalized_entropy_index"
    result = only(name, ten(FIRST), attribute="a", between_what="groups")
    assert result.value == pytest.approx((b**2 - 1).sum() / 20, abs=1e-15)
    assert result.key == f"{name}[a]"


def test_between_two_groups_of_the_worked_example():
    b = np.array([0.5, 0.5, *[1.25] * 4])
    ctx = ten([0, 0, 0, 0, 1, 1], GROUPS[:6], LABELS[:6])
    assert only("fairness.between_group_generalized_entropy_index", ctx, attribute="a").value == pytest.approx(
        (b**2 - 1).sum() / 12, abs=1e-15
    )


@settings(max_examples=6, deadline=None)
@given(cells)
def test_indices_are_aif360s(counts):
    ctx = group_context(counts, minimum=1)
    for name in ("theil_index", "coefficient_of_variation"):
        assert only(f"fairness.{name}", ctx).value == pytest.approx(entropy_metric(name, counts), abs=1e-12)
        shared = only(f"fairness.{name}", ctx, engine="aif360")
        assert shared.value == pytest.approx(entropy_metric(name, counts), abs=1e-12)
    for alpha in (0.5, 2.0, 3.0):
        expected = entropy_metric("generalized_entropy_index", counts, alpha=alpha)
        assert only("fairness.generalized_entropy_index", ctx, alpha=alpha).value == pytest.approx(expected, abs=1e-12)
    for name in ("fairness.between_group_theil_index", "fairness.between_group_coefficient_of_variation"):
        expected = entropy_metric(name.removeprefix("fairness."), counts)
        # A root of what cancels to 0 has half the digits.
        assert only(name, ctx, attribute="a").value == pytest.approx(expected, abs=1e-7)


def test_mean_log_deviation_is_not_divided_twice():
    """Alpha 0 by the definition; AIF360 divides by the mean benefit once more."""
    counts = np.array([[[10, 30], [0, 20]], [[20, 10], [0, 10]]])
    b = np.array([1.0] * 60 + [2.0] * 40)
    expected = -np.log(b / b.mean()).mean()
    assert only("fairness.generalized_entropy_index", group_context(counts), alpha=0.0).value == pytest.approx(expected)
    theirs = entropy_metric("generalized_entropy_index", counts, alpha=0)
    assert theirs == pytest.approx(expected / b.mean())


def test_index_is_the_sum_of_within_and_between():
    """Generalised entropy decomposes: with alpha 2 the parts within weigh size times squared relative mean."""
    counts = np.array([[[10, 8], [7, 20]], [[20, 3], [9, 10]]])
    n, gain = counts.sum(axis=(1, 2)), counts[:, 0, 1] - counts[:, 1, 0]
    means = 1 + gain / n
    overall = 1 + gain.sum() / n.sum()
    inside = sum(n[g] / n.sum() * (means[g] / overall) ** 2 * float(over_items(counts[g], 2.0)) for g in (0, 1))
    assert float(over_items(counts.sum(axis=0), 2.0)) == pytest.approx(inside + float(between(counts, 2.0)))


def test_equal_benefit_is_zero_without_a_claim_of_certainty():
    result = only("fairness.theil_index", group_context(np.array([[[30, 0], [0, 30]]] * 2)))
    assert (result.value, result.low, result.high) == (0.0, None, None)


def test_nobody_has_any_benefit():
    result = only("fairness.theil_index", group_context(np.array([[[0, 0], [30, 0]]] * 2)))
    assert (result.value, result.state) == (None, "undefined")
    zero = only("fairness.generalized_entropy_index", ten(FIRST), alpha=0.0)
    assert (zero.value, zero.state) == (None, "undefined")
    assert "infinite" in zero.reason


def test_intervals_take_clusters_into_account():
    counts = np.array([[[70, 30], [20, 80]], [[90, 25], [15, 95]]])
    clusters = np.array([f"v{i // 10}" for i in range(counts.sum())], dtype=object)
    free, joint = group_context(counts), group_context(counts, clusters=clusters)
    for name, more in (
        ("theil_index", {}),
        ("between_group_theil_index", {"attribute": "a"}),
        ("between_group_theil_index", {"attribute": "a", "between_what": "groups"}),
    ):
        alone, shared = only(f"fairness.{name}", free, **more), only(f"fairness.{name}", joint, **more)
        assert shared.value == alone.value
        assert shared.high - shared.low > 1.3 * (alone.high - alone.low), name


def test_small_groups_are_left_out_and_counted():
    ctx = ten(FIRST)
    ctx.attribute_specs["a"] = AttributeSpec(privileged="g1", minimum=3)
    result = only("fairness.between_group_theil_index", ctx, attribute="a", between_what="groups")
    assert result.details["suppressed"] == 1
    assert result.n == 8
