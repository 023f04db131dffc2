"""Many groups at once: intersections, the bias of extremes, corrected tests, differential fairness."""

import csv
from pathlib import Path

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.fairness.gaps import against_the_rest, effective_sizes, gap, holm
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context, group_context

GAP = "fairness.intersectional_gap"
EDF = "fairness.smoothed_empirical_differential_fairness"
AMPLIFICATION = "fairness.differential_fairness_bias_amplification"
DATA = Path(__file__).resolve().parents[4] / "competitions" / "recidivism" / "data"


def found(ctx, name=GAP, **parameters):
    return {r.key.removeprefix("x").removeprefix("."): r for r in measure(name, "x", parameters, ctx)}


def groups(rates, n, **more):
    """`n` items for each group, of which the given share is selected."""
    hits = [round(n * r) for r in rates]
    yhat = np.concatenate([np.arange(n) < h for h in hits]).astype(int)
    values = np.repeat([f"g{i:02}" for i in range(len(rates))], n).astype(object)
    return context(
        np.arange(yhat.size) % 2, yhat, task=binary_task(favourable="yes"), attributes={"a": values},
        attribute_specs={"a": AttributeSpec(privileged="g00")}, **more,
    )  # fmt: skip


def test_holm_by_hand():
    # Sorted .01 .03 .04 times 3 2 1 is .03 .06 .04, and none falls below a smaller one's.
    assert holm(np.array([0.04, 0.01, 0.03])) == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])


def test_score_test_is_the_chi_square_test():
    from scipy.stats import chi2_contingency

    rates, sizes = np.array([0.3, 0.5, 0.45]), np.array([100.0, 200.0, 100.0])
    hits = rates * sizes
    for i, p in enumerate(against_the_rest(rates, sizes)):
        rest = np.delete(hits, i).sum(), np.delete(sizes - hits, i).sum()
        expected = chi2_contingency([[hits[i], sizes[i] - hits[i]], rest], correction=False).pvalue
        assert p == pytest.approx(expected)


def test_equal_groups_seem_apart_and_are_not():
    """Twenty groups of one true rate: the plain gap is pure noise, and most of it is taken off."""
    rng = np.random.default_rng(0)
    sizes = np.full(20, 100.0)
    many = [gap(rng.binomial(100, 0.5, 20) / 100, sizes, draws=500, rng=rng) for _ in range(60)]
    raw, value = (np.mean([getattr(one, key) for one in many]) for key in ("raw", "value"))
    assert raw > 0.17
    assert value < 0.08
    assert np.mean([one.low == 0 for one in many]) > 0.9


def test_true_gaps_are_found_without_bias():
    rng = np.random.default_rng(1)
    true, sizes = np.linspace(0.3, 0.7, 12), np.full(12, 150.0)
    many = [gap(rng.binomial(150, true) / 150, sizes, draws=500, rng=rng) for _ in range(60)]
    raw, value = (np.mean([getattr(one, key) for one in many]) for key in ("raw", "value"))
    assert raw > 0.42
    assert value == pytest.approx(0.4, abs=0.02)
    assert np.mean([one.low <= 0.4 <= one.high for one in many]) > 0.85


def test_a_clear_gap_is_reported_with_its_parts():
    result = found(groups([0.2, 0.5, 0.5, 0.5], 400), attribute=["a"])
    assert result["raw"].value == pytest.approx(0.3)
    assert result["ratio"].value == pytest.approx(0.4)
    assert result[""].low < result[""].value < result[""].high
    assert result[""].value == pytest.approx(0.3, abs=0.03)
    assert result["suppressed"].value == 0
    assert result["minimum_n"].value == 400
    # The three others differ from a rest that the lowest one draws down; equal ones would not.
    first = result[""].details["groups"][0]
    assert first["group"] == "g00"
    assert first["p_holm"] < 1e-10
    assert first["low"] < 0.2 < first["high"]
    assert found(groups([0.5] * 4, 400), attribute=["a"])["differing"].value == 0


def test_holm_keeps_false_alarms_rare():
    rng, sizes = np.random.default_rng(0), np.full(20, 100.0)
    tests = [against_the_rest(rng.binomial(100, 0.5, 20) / 100, sizes) for _ in range(400)]
    assert np.mean([(holm(p) < 0.05).any() for p in tests]) <= 0.08
    # Uncorrected, most of such tables have a group that seems to differ.
    assert np.mean([(p < 0.05).any() for p in tests]) > 0.4


def test_plain_difference_and_ratio_are_fairlearns():
    from fairlearn.metrics import demographic_parity_difference, demographic_parity_ratio

    ctx = groups([0.2, 0.55, 0.5, 0.35], 100)
    result = found(ctx, attribute=["a"])
    known = {"sensitive_features": list(ctx.attributes["a"])}
    assert result["raw"].value == pytest.approx(demographic_parity_difference(ctx.labels, ctx.predictions, **known))
    assert result["ratio"].value == pytest.approx(demographic_parity_ratio(ctx.labels, ctx.predictions, **known))


def people():
    """Race and sex of everybody of the recidivism data that a competition ships, and what became of them."""
    attributes, labels = {}, {}
    for split in ("train", "validation", "test"):
        with (DATA / split / "attributes.csv").open() as file:
            attributes |= {row["id"]: (row["race"], row["sex"]) for row in csv.DictReader(file)}
        with (DATA / split / "labels.csv").open() as file:
            labels |= {row["id"]: row["label"] == "recidivism" for row in csv.DictReader(file)}
    ids = sorted(attributes)
    y = [int(labels[i]) for i in ids]
    return context(
        y, y, task=binary_task(favourable="no"),
        attributes={
            name: np.array([attributes[i][place] for i in ids], dtype=object)
            for place, name in enumerate(("race", "sex"))
        },
        attribute_specs={"race": AttributeSpec(privileged="Caucasian"), "sex": AttributeSpec(privileged="Female")},
    )  # fmt: skip


def test_intersections_of_compas_go_down_to_two_people():
    result = found(people(), attribute=["race", "sex"])
    assert result["minimum_n"].value == 2
    # Asian women 2, Native American women 4, Native American men 14; Asian men are 30 and stay.
    assert result["suppressed"].value == 3
    told = {g["group"]: g for g in result[""].details["groups"]}
    assert len(told) == 12
    assert told["Asian & Female"] == {"group": "Asian & Female", "n": 2, "shown": False}
    assert told["Asian & Male"]["shown"]
    assert told["African-American & Male"]["n"] == 3022
    assert result[""].value < result["raw"].value
    assert found(people(), attribute=["race", "sex"], minimum=2)["suppressed"].value == 0
    assert found(people(), attribute=["sex"])["minimum_n"].value == 1387


def test_a_rate_needs_items_of_its_own():
    """Forty items each, but only ten of the second group are positive: too few for a rate of positives."""
    y, yhat = [1] * 40 + [0] * 0 + [1] * 10 + [0] * 30, [1, 0] * 40
    values = np.array(["u"] * 40 + ["p"] * 40, dtype=object)
    ctx = context(
        y, yhat, task=binary_task(favourable="yes"), attributes={"a": values},
        attribute_specs={"a": AttributeSpec(privileged="p")},
    )  # fmt: skip
    assert found(ctx, attribute=["a"])["suppressed"].value == 0
    result = found(ctx, attribute=["a"], rate="true_positive_rate")
    assert result["suppressed"].value == 1
    assert (result[""].value, result[""].state) == (None, "too_few")
    assert "a gap needs two" in result[""].reason


def test_clusters_count_for_what_they_are_worth():
    # Ten copies of one: a hundred items are worth ten.
    hits = np.repeat(np.arange(20) % 2 == 0, 10)
    codes = np.repeat(np.arange(20), 10)
    assert effective_sizes(np.zeros(200, dtype=np.int64), hits, codes, 1) == pytest.approx([20.0])
    assert effective_sizes(np.zeros(200, dtype=np.int64), np.ones(200, dtype=bool), codes, 1) == pytest.approx([20.0])
    # One item to a cluster is worth itself.
    assert effective_sizes(np.zeros(200, dtype=np.int64), hits, np.arange(200), 1) == pytest.approx([200.0])
    ctx = groups([0.3, 0.5, 0.5], 200)
    clusters = np.array([f"v{i // 10}" for i in range(ctx.n)], dtype=object)
    alone = found(ctx, attribute=["a"])[""]
    shared = found(groups([0.3, 0.5, 0.5], 200, clusters=clusters), attribute=["a"])[""]
    assert shared.high - shared.low > 1.5 * (alone.high - alone.low)


def test_nobody_selected_has_no_ratio():
    result = found(groups([0.0, 0.0], 50), attribute=["a"])
    assert result["raw"].value == 0
    assert (result["ratio"].value, result["ratio"].state) == (None, "undefined")


def test_missing_column_is_told_for_each_result():
    ctx = groups([0.2, 0.5], 50)
    ctx.attribute_specs["b"] = AttributeSpec(privileged="p")
    result = found(ctx, attribute=["a", "b"])
    assert {r.state for r in result.values()} == {"not_applicable"}
    assert len(result) == 6


def test_differential_fairness_is_aif360s():
    import warnings

    import pandas as pd

    from runners.adapters import aif360

    counts = np.array([[[10, 30], [20, 40]], [[50, 10], [30, 10]]])
    rows = np.repeat(np.indices((2, 2, 2)).reshape(3, -1), counts.ravel(), axis=1).astype(float)
    data, labels, answers = aif360._load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = pd.DataFrame({"side": rows[0], "y": rows[1], "weight": 1.0})
        truth, said = data(df=frame, **aif360._OPTIONS), data(df=frame.assign(y=rows[2]), **aif360._OPTIONS)
        of_labels = labels(truth, **aif360._SIDES).smoothed_empirical_differential_fairness()
        more = answers(truth, said, **aif360._SIDES).differential_fairness_bias_amplification()
    ctx = group_context(counts)
    assert found(ctx, EDF, attribute=["a"], of="labels")[""].value == pytest.approx(of_labels, abs=1e-12)
    assert found(ctx, AMPLIFICATION, attribute=["a"])[""].value == pytest.approx(more, abs=1e-12)


def test_differential_fairness_by_hand():
    counts = np.array([[[10, 30], [20, 40]], [[50, 10], [30, 10]]])
    ctx = group_context(counts)
    (result,) = found(ctx, EDF, attribute=["a"]).values()
    u, p = (70 + 0.5) / 101, (20 + 0.5) / 101
    expected = max(abs(np.log(u / p)), abs(np.log((1 - u) / (1 - p))))
    assert result.value == pytest.approx(expected)
    assert result.low < result.value < result.high
    (labels,) = found(ctx, EDF, attribute=["a"], of="labels").values()
    (more,) = found(ctx, AMPLIFICATION, attribute=["a"]).values()
    assert more.value == pytest.approx(result.value - labels.value)


def test_differential_fairness_without_a_prior_may_be_infinite():
    counts = np.array([[[40, 0], [40, 0]], [[50, 10], [30, 10]]])
    (result,) = found(group_context(counts), EDF, attribute=["a"], concentration=0).values()
    assert (result.value, result.state) == (None, "undefined")
    (smoothed,) = found(group_context(counts), EDF, attribute=["a"]).values()
    assert smoothed.value > 3
