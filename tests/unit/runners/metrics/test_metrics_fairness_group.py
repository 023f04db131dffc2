"""Every comparison of two sides: against AIF360, against published numbers, and where conventions differ."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners import registry
from runners.adapters import aif360
from runners.measure import measure
from runners.spec.models import AttributeSpec, TaskSpec
from tests.factories.runner_models import binary_task, context, group_context

#: Our metric and AIF360's method.
METHODS = {
    "fairness.statistical_parity_difference": "statistical_parity_difference",
    "fairness.disparate_impact": "disparate_impact",
    "fairness.true_positive_rate_difference": "true_positive_rate_difference",
    "fairness.equal_opportunity_difference": "equal_opportunity_difference",
    "fairness.false_positive_rate_difference": "false_positive_rate_difference",
    "fairness.false_positive_rate_ratio": "false_positive_rate_ratio",
    "fairness.false_negative_rate_difference": "false_negative_rate_difference",
    "fairness.false_negative_rate_ratio": "false_negative_rate_ratio",
    "fairness.false_discovery_rate_difference": "false_discovery_rate_difference",
    "fairness.false_discovery_rate_ratio": "false_discovery_rate_ratio",
    "fairness.false_omission_rate_difference": "false_omission_rate_difference",
    "fairness.false_omission_rate_ratio": "false_omission_rate_ratio",
    "fairness.error_rate_difference": "error_rate_difference",
    "fairness.error_rate_ratio": "error_rate_ratio",
    "fairness.average_odds_difference": "average_odds_difference",
    "fairness.average_abs_odds_difference": "average_abs_odds_difference",
    "fairness.equalized_odds_difference": "equalized_odds_difference",
    "fairness.average_predictive_value_difference": "average_predictive_value_difference",
}
#: What AIF360 gives for each side and does not compare itself.
SIDED = {
    "fairness.true_negative_rate": "true_negative_rate",
    "fairness.positive_predictive_value": "positive_predictive_value",
    "fairness.negative_predictive_value": "negative_predictive_value",
    "fairness.accuracy": "accuracy",
    "fairness.true_positive_rate": "true_positive_rate",
}
TPR, FPR = "fairness.equal_opportunity_difference", "fairness.false_positive_rate_difference"
cells = st.lists(st.integers(1, 400), min_size=8, max_size=8).map(lambda v: np.array(v).reshape(2, 2, 2))


def only(name, ctx, **parameters):
    (result,) = measure(name, name, {"attribute": "a", **parameters}, ctx)
    return result


def of_aif360(counts):
    """AIF360's metrics of the data and of the predictions for counts `[side, y, yhat]`, as weighted rows."""
    import pandas as pd

    data, labels, answers = aif360._load()
    side, y, yhat = np.indices((2, 2, 2)).reshape(3, -1).astype(float)
    frame = pd.DataFrame({"side": side, "y": y, "weight": counts.ravel().astype(float)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth, said = data(df=frame, **aif360._OPTIONS), data(df=frame.assign(y=yhat), **aif360._OPTIONS)
        return labels(truth, **aif360._SIDES), answers(truth, said, **aif360._SIDES)


@settings(max_examples=10, deadline=None)
@given(cells)
def test_every_comparison_is_aif360s(counts):
    ctx = group_context(counts, minimum=1)
    labels, answers = of_aif360(counts)
    for name, method in METHODS.items():
        assert only(name, ctx).value == pytest.approx(getattr(answers, method)(), rel=1e-12, abs=1e-12), name
    for name, method in SIDED.items():
        rate = getattr(answers, method)
        u, p = rate(privileged=False), rate(privileged=True)
        assert only(f"{name}_difference", ctx).value == pytest.approx(u - p, rel=1e-12, abs=1e-12), name
        assert only(f"{name}_ratio", ctx).value == pytest.approx(u / p, rel=1e-12), name
    assert only("fairness.base_rate_difference", ctx).value == pytest.approx(labels.mean_difference(), abs=1e-12)
    assert only("fairness.base_rate_ratio", ctx).value == pytest.approx(labels.disparate_impact(), rel=1e-12)


def test_aif360_as_engine_gives_its_own_values_under_our_intervals():
    ctx = group_context(np.array([[[70, 30], [20, 80]], [[90, 25], [15, 95]]]))
    offered = [
        name
        for name, info in registry.metrics().items()
        if name.startswith("fairness.")
        and info.results == ("[attribute]",)
        and "engine" in info.parameters.model_fields
    ]
    assert set(METHODS) | {"fairness.base_rate_difference", "fairness.base_rate_ratio"} == set(offered)
    for name in offered:
        native, other = only(name, ctx), only(name, ctx, engine="aif360")
        assert other.value == pytest.approx(native.value, abs=1e-12), name
        assert (other.low, other.high) == (native.low, native.high)


def test_values_by_hand():
    """Unprivileged TN 6, FP 2, FN 1, TP 1; privileged TN 3, FP 1, FN 2, TP 4: all of them in the head."""
    ctx = group_context(np.array([[[6, 2], [1, 1]], [[3, 1], [2, 4]]]), minimum=1)
    expected = {
        "fairness.base_rate_difference": 0.2 - 0.6,
        "fairness.base_rate_ratio": 0.2 / 0.6,
        "fairness.true_positive_rate_ratio": (1 / 2) / (4 / 6),
        "fairness.true_negative_rate_difference": 6 / 8 - 3 / 4,
        "fairness.true_negative_rate_ratio": 1.0,
        "fairness.positive_predictive_value_difference": 1 / 3 - 4 / 5,
        "fairness.positive_predictive_value_ratio": (1 / 3) / (4 / 5),
        "fairness.negative_predictive_value_difference": 6 / 7 - 3 / 5,
        "fairness.negative_predictive_value_ratio": (6 / 7) / (3 / 5),
        "fairness.accuracy_difference": 0.7 - 0.7,
        "fairness.accuracy_ratio": 1.0,
        "fairness.treatment_equality_difference": 1 / 2 - 2 / 1,
        "fairness.treatment_equality_ratio": (1 / 2) / (2 / 1),
        "fairness.demographic_parity_difference": 0.2,
        "fairness.demographic_parity_ratio": 0.3 / 0.5,
        "fairness.equalized_odds_ratio": (1 / 2) / (4 / 6),
    }
    assert {name: only(name, ctx).value for name in expected} == pytest.approx(expected, abs=1e-12)


def test_opposite_errors_cancel_in_average_odds_alone():
    """TPR is 0.4 higher and FPR 0.4 lower for the unprivileged: the signed mean sees nothing."""
    ctx = group_context(np.array([[[90, 10], [10, 90]], [[50, 50], [50, 50]]]))
    assert only("fairness.average_odds_difference", ctx).value == pytest.approx(0.0, abs=1e-12)
    for name in ("fairness.average_abs_odds_difference", "fairness.equalized_odds_difference"):
        result = only(name, ctx)
        assert result.value == pytest.approx(0.4)
        assert 0.25 < result.low < 0.4 < result.high < 0.55
        assert [part["value"] for part in result.details["parts"]] == pytest.approx([-0.4, 0.4])


def test_folded_intervals_reach_equality_where_the_signed_one_does():
    ctx = group_context(np.array([[[50, 50], [50, 50]], [[52, 48], [49, 51]]]))
    assert only("fairness.demographic_parity_difference", ctx).low == 0.0
    ratio = only("fairness.demographic_parity_ratio", ctx)
    assert ratio.low < ratio.value < ratio.high == 1.0


def test_nobody_selected_leaves_the_difference_and_no_ratio():
    """No privileged item is selected: a ratio by zero is undefined, a difference is not."""
    ctx = group_context(np.array([[[30, 10], [30, 10]], [[40, 0], [40, 0]]]))
    assert only("fairness.disparate_impact", ctx).state == "undefined"
    assert only("fairness.statistical_parity_difference", ctx).value == 0.25
    # Lower over higher has no such side: it is 0, as far from parity as can be.
    assert only("fairness.demographic_parity_ratio", ctx).value == 0.0
    nobody = group_context(np.array([[[40, 0], [40, 0]], [[40, 0], [40, 0]]]))
    assert only("fairness.demographic_parity_ratio", nobody).state == "undefined"
    assert only("fairness.statistical_parity_difference", nobody).value == 0.0
    ppv = only("fairness.positive_predictive_value_difference", nobody)
    assert (ppv.value, ppv.state) == (None, "undefined")
    assert "no item that is predicted" in ppv.reason
    # AIF360 takes a predictive value of nothing as 0.
    assert aif360.classification_metric("false_discovery_rate_difference", np.array([[[9, 0], [9, 0]]] * 2)) == 0.0


def test_a_ratio_of_zero_is_not_certain():
    """No unprivileged item is selected: every replicate has ratio 0, and a bootstrap would claim to be sure."""
    result = only("fairness.disparate_impact", group_context(np.array([[[40, 0], [40, 0]], [[30, 10], [20, 20]]])))
    assert result.value == result.low == 0.0
    assert 0.05 < result.high < 0.3


def test_a_group_without_positives_is_undefined_not_zero():
    """AIF360 answers NaN, fairlearn a true positive rate of 0 and with it an unfairness that nobody measured."""
    from fairlearn.metrics import equalized_odds_difference

    counts = np.array([[[30, 10], [0, 0]], [[30, 10], [20, 20]]])
    ctx = group_context(counts)
    result = only("fairness.equalized_odds_difference", ctx)
    assert (result.value, result.state) == (None, "undefined")
    assert "unprivileged group has no item whose true outcome" in result.reason
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(aif360.classification_metric("equal_opportunity_difference", counts))
        theirs = equalized_odds_difference(ctx.labels, ctx.predictions, sensitive_features=list(ctx.attributes["a"]))
    assert theirs == 0.5


@settings(max_examples=8, deadline=None)
@given(cells)
def test_measures_without_a_side_are_fairlearns(counts):
    from fairlearn import metrics as theirs

    ctx = group_context(counts, minimum=1)
    for name in (
        "demographic_parity_difference", "demographic_parity_ratio", "equalized_odds_difference",
        "equalized_odds_ratio",
    ):  # fmt: skip
        expected = getattr(theirs, name)(ctx.labels, ctx.predictions, sensitive_features=list(ctx.attributes["a"]))
        assert only(f"fairness.{name}", ctx).value == pytest.approx(float(expected), abs=1e-12), name


def test_privileged_value_decides_the_sign():
    ctx = group_context(np.array([[[60, 40], [30, 70]], [[50, 50], [20, 80]]]))
    one = only("fairness.statistical_parity_difference", ctx).value
    ctx.attribute_specs["a"] = AttributeSpec(privileged="u")
    assert only("fairness.statistical_parity_difference", ctx).value == -one
    ratio = only("fairness.disparate_impact", ctx).value
    ctx.attribute_specs["a"] = AttributeSpec(privileged="p")
    assert only("fairness.disparate_impact", ctx).value == pytest.approx(1 / ratio)


def test_favourable_class_decides_what_is_selected():
    counts = np.array([[[60, 40], [30, 70]], [[50, 50], [20, 80]]])
    yes, no = (group_context(counts, task=binary_task(favourable=name)) for name in ("yes", "no"))
    name = "fairness.statistical_parity_difference"
    assert only(name, yes).value == pytest.approx(-only(name, no).value)
    assert only(TPR, yes).value == pytest.approx(0.7 - 0.8)
    assert only(TPR, no).value == pytest.approx(0.6 - 0.5)


def test_positive_class_needs_two_classes():
    task = TaskSpec(kind="multiclass", classes=("x", "y", "z"), favourable="y")
    ctx = context(
        [1, 0, 1, 2] * 20, [1, 1, 0, 2] * 20, task=task,
        attributes={"a": np.array(["u", "u", "p", "p"] * 20, dtype=object)},
        attribute_specs={"a": AttributeSpec(privileged="p")},
    )  # fmt: skip
    assert only(FPR, ctx, about="positive").state == "not_applicable"
    assert only(FPR, ctx).value == 1.0


def test_every_interval_holds_its_value_and_clusters_widen_it():
    counts = 4 * np.array([[[70, 30], [20, 80]], [[90, 25], [15, 95]]])
    clusters = np.array([f"v{i // 10}" for i in range(counts.sum())], dtype=object)
    free, joint = group_context(counts), group_context(counts, clusters=clusters)
    names = [
        n for n, m in registry.metrics().items() if n.startswith("fairness.") and n.endswith(("_difference", "_ratio"))
    ]
    assert len(names) > 25
    for name in names:
        if "probabilities" in registry.get_metric(name).needs:
            continue
        alone, shared = only(name, free), only(name, joint)
        assert alone.value == shared.value, name
        assert alone.low <= alone.value <= alone.high, name
        assert shared.low <= shared.value <= shared.high, name
        assert shared.high - shared.low > 1.3 * (alone.high - alone.low), name


def test_rates_of_each_group():
    ctx = group_context(np.array([[[60, 20], [10, 10]], [[30, 10], [20, 40]]]), task=binary_task(favourable="no"))
    positive = {
        "fairness.true_positive_rate": 10 / 20, "fairness.true_negative_rate": 60 / 80,
        "fairness.positive_predictive_value": 10 / 30, "fairness.negative_predictive_value": 60 / 70,
        "fairness.false_discovery_rate": 20 / 30, "fairness.false_omission_rate": 10 / 70,
        "fairness.accuracy": 0.7, "fairness.error_rate": 0.3,
        # These two are about the favourable outcome, which here is the negative class.
        "fairness.base_rate": 0.8, "fairness.selection_rate": 0.7,
    }  # fmt: skip
    for name, value in positive.items():
        found = {r.key: r for r in measure(name, "x", {"attribute": "a"}, ctx)}
        assert set(found) == {"x[a=u]", "x[a=p]"}
        assert found["x[a=u]"].value == pytest.approx(value), name
        assert found["x[a=u]"].low < value < found["x[a=u]"].high
