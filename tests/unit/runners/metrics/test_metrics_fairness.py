import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.adapters.aif360 import group_metric
from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.fairness.table import count
from runners.spec.models import AttributeSpec, TaskSpec
from tests.factories.runner_models import binary_task, context, group_context

NAMES = {
    "spd": "fairness.statistical_parity_difference",
    "di": "fairness.disparate_impact",
    "eod": "fairness.equal_opportunity_difference",
    "aod": "fairness.average_odds_difference",
}
# Privileged TP, FN, FP, TN | unprivileged TP, FN, FP, TN; then the printed SPD, DI, AOD, EOD.
REPLAYS = {
    "race": ((489, 365, 34, 112), (550, 271, 41, 138), (0.07, 1.13, 0.05, 0.10)),
    "gender": ((467, 172, 146, 215), (429, 233, 63, 275), (-0.12, 0.80, -0.15, -0.08)),
    "age": ((468, 324, 1, 207), (555, 339, 67, 39), (0.15, 1.33, 0.33, 0.03)),
    "attractive": ((338, 282, 65, 315), (533, 104, 160, 203), (0.29, 1.72, 0.28, 0.29)),
    "shiny": ((293, 504, 10, 193), (788, 109, 66, 37), (0.55, 2.82, 0.55, 0.51)),
    "beard": ((465, 240, 28, 267), (514, 44, 256, 186), (0.28, 1.56, 0.37, 0.26)),
    "face": ((519, 192, 92, 197), (375, 357, 36, 232), (-0.20, 0.67, -0.20, -0.22)),
    "accessory": ((71, 28, 365, 536), (244, 38, 343, 375), (0.15, 1.35, 0.11, 0.15)),
}


def table(privileged, unprivileged):
    return np.array([[[tn, fp], [fn, tp]] for tp, fn, fp, tn in (unprivileged, privileged)])


def quartet(ctx, **parameters):
    out = {}
    for short, name in NAMES.items():
        (result,) = measure(name, name, {"attribute": "a", **parameters}, ctx)
        assert result.key == f"{name}[a]"
        out[short] = result
    return out


@pytest.mark.parametrize("attribute", REPLAYS)
def test_published_tables_are_reproduced(attribute):
    privileged, unprivileged, (spd, di, aod, eod) = REPLAYS[attribute]
    ctx = group_context(table(privileged, unprivileged))
    found = quartet(ctx)
    printed = {"spd": spd, "di": di, "aod": aod, "eod": eod}
    assert {key: round(found[key].value, 2) for key in found} == printed
    for result in found.values():
        assert result.low < result.value < result.high
        assert result.n == 2000
    (balanced,) = measure("performance.balanced_accuracy", "ba", {}, ctx)
    assert balanced.value == pytest.approx(0.695, abs=0.0005)


cells = st.lists(st.integers(1, 500), min_size=8, max_size=8).map(lambda v: np.array(v).reshape(2, 2, 2))


@settings(max_examples=5, deadline=None)
@given(cells)
def test_values_are_aif360s(counts):
    ctx = group_context(counts, minimum=1)
    native, other = quartet(ctx), quartet(ctx, engine="aif360")
    for key in NAMES:
        assert native[key].value == pytest.approx(
            group_metric(key, counts), rel=0, abs=1e-12 * max(1, native[key].value)
        )
        assert other[key].value == group_metric(key, counts)
        assert (other[key].low, other[key].high) == (native[key].low, native[key].high)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", None, ""]), st.booleans(), st.booleans()), max_size=60),
    st.integers(0, 60),
)
def test_tables_merge(rows, cut):
    def of(part):
        values = np.array([row[0] for row in part], dtype=object)
        return count(values, np.array([r[1] for r in part], dtype=bool), np.array([r[2] for r in part], dtype=bool))

    whole, merged = of(rows), of(rows[:cut]).merge(of(rows[cut:]))
    assert merged.groups == whole.groups
    assert merged.unknown == whole.unknown
    assert (merged.counts == whole.counts).all()
    assert whole.counts.dtype == np.int64
    assert whole.counts.sum() + whole.unknown == len(rows)


def test_multinomial_interval_is_that_of_resampled_rows():
    counts = table(*REPLAYS["gender"][:2])
    ctx = group_context(counts)
    found = quartet(ctx)["spd"]
    rng = np.random.default_rng(0)
    side = ctx.attributes["a"] == "p"
    draws = []
    for _ in range(1000):
        pick = rng.integers(0, ctx.n, ctx.n)
        s, yhat = side[pick], ctx.predictions[pick]
        draws.append(yhat[~s].mean() - yhat[s].mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.006)


def test_clusters_widen_the_interval():
    counts = table(*REPLAYS["gender"][:2])
    alone = group_context(counts)
    # Neighbouring items have the same cell, so clusters of ten are ten copies of one.
    clusters = np.array([f"v{i // 10}" for i in range(alone.n)], dtype=object)
    joint = group_context(counts, clusters=clusters)
    for key, result in quartet(joint).items():
        free = quartet(alone)[key]
        assert result.value == free.value
        assert result.high - result.low > 2 * (free.high - free.low)


def test_zero_by_zero_is_undefined_with_a_reason():
    counts = np.array([[[30, 10], [0, 0]], [[30, 10], [5, 5]]])
    found = quartet(group_context(counts))
    assert found["spd"].state == "ok"
    for key in ("eod", "aod"):
        assert (found[key].value, found[key].state) == (None, "undefined")
        assert "unprivileged" in found[key].reason
    nobody = np.array([[[30, 10], [30, 10]], [[40, 0], [40, 0]]])
    di = quartet(group_context(nobody))["di"]
    assert (di.value, di.state) == (None, "undefined")
    assert "divides by zero" in di.reason


def test_small_groups_are_too_few():
    counts = np.array([[[1, 1], [1, 1]], [[50, 50], [50, 50]]])
    for result in quartet(group_context(counts, minimum=5)).values():
        assert (result.value, result.state) == (None, "too_few")
        assert "unprivileged has 4" in result.reason
        assert result.details["unprivileged"]["n"] == 4
    assert quartet(group_context(counts, minimum=4))["spd"].state == "ok"


def test_equal_treatment_without_spread_is_not_certain():
    counts = np.array([[[0, 50], [0, 50]], [[0, 60], [0, 60]]])
    found = quartet(group_context(counts))
    for key, ideal in (("spd", 0), ("di", 1), ("eod", 0), ("aod", 0)):
        assert found[key].value == ideal
        assert found[key].low < ideal < found[key].high


def test_unknown_values_are_counted_and_left_out():
    ctx = group_context(table(*REPLAYS["race"][:2]))
    known = [None] * 100 + list(ctx.attributes["a"])[100:]
    result = quartet(dataclasses.replace(ctx, attributes={"a": known}))["spd"]
    assert result.n == 1900
    assert result.details["unknown"] == 100


def test_multiclass_compares_the_favourable_class_with_the_rest():
    task = TaskSpec(kind="multiclass", classes=("x", "y", "z"), favourable="y")
    ctx = context(
        [1, 0, 1, 2] * 20, [1, 1, 0, 2] * 20, task=task,
        attributes={"a": np.array(["u", "u", "p", "p"] * 20, dtype=object)},
        attribute_specs={"a": AttributeSpec(privileged="p", unprivileged=("u",))},
    )  # fmt: skip
    found = quartet(ctx)
    assert found["spd"].value == 1.0
    assert found["eod"].value == 1.0
    assert found["di"].state == "undefined"


def test_missing_column_and_undeclared_attribute_are_told_apart():
    ctx = group_context(table(*REPLAYS["race"][:2]))
    ctx.attribute_specs["b"] = AttributeSpec(privileged="p")
    (result,) = measure(NAMES["spd"], "x", {"attribute": "b"}, ctx)
    assert (result.key, result.state) == ("x[b]", "not_applicable")
    with pytest.raises(ScorerFault, match="declares no attribute 'aa'") as fault:
        list(measure(NAMES["spd"], "x", {"attribute": "aa"}, ctx))
    assert "Did you mean a?" in fault.value.hint


def test_without_a_favourable_class_it_is_not_applicable():
    ctx = group_context(table(*REPLAYS["race"][:2]), task=binary_task())
    (result,) = measure(NAMES["spd"], "x", {"attribute": "a"}, ctx)
    assert (result.key, result.state) == ("x[a]", "not_applicable")
    assert "favourable" in result.reason


# TN, FP, FN, TP of the two-year data: 7214 people, score text other than Low is the positive prediction.
COMPAS = {"African-American": (990, 805, 532, 1369), "Caucasian": (1139, 349, 461, 505), "Asian": (5, 1, 3, 2)}


def compas():
    labels, predictions, race = [], [], []
    for group, (tn, fp, fn, tp) in COMPAS.items():
        labels += [0] * (tn + fp) + [1] * (fn + tp)
        predictions += [0] * tn + [1] * fp + [0] * fn + [1] * tp
        race += [group] * (tn + fp + fn + tp)
    return context(
        labels, predictions, attributes={"race": np.array(race, dtype=object)},
        attribute_specs={"race": AttributeSpec(privileged="Caucasian")},
    )  # fmt: skip


def test_error_rates_are_propublicas():
    found = {}
    for name in ("fairness.false_positive_rate", "fairness.false_negative_rate"):
        for result in measure(name, name, {"attribute": "race"}, compas()):
            found[result.key.removeprefix("fairness.")] = result
    percent = {key: None if r.value is None else round(100 * r.value, 2) for key, r in found.items()}
    assert percent == {
        "false_positive_rate[race=African-American]": 44.85,
        "false_positive_rate[race=Asian]": None,
        "false_positive_rate[race=Caucasian]": 23.45,
        "false_negative_rate[race=African-American]": 27.99,
        "false_negative_rate[race=Asian]": None,
        "false_negative_rate[race=Caucasian]": 47.72,
    }
    assert found["false_positive_rate[race=Asian]"].state == "too_few"
    black = found["false_positive_rate[race=African-American]"]
    assert black.n == 1795
    assert 0.42 < black.low < black.value < black.high < 0.48


def test_error_rates_take_clusters_into_account():
    ctx = compas()
    clusters = np.array([f"c{i // 20}" for i in range(ctx.n)], dtype=object)
    name = "fairness.false_positive_rate"
    free = next(iter(measure(name, "x", {"attribute": "race"}, ctx)))
    joint = next(iter(measure(name, "x", {"attribute": "race"}, dataclasses.replace(ctx, clusters=clusters))))
    assert joint.high - joint.low > 2 * (free.high - free.low)


def test_equal_treatment_without_spread_is_not_certain_in_clusters_either():
    """All are selected, in ten clusters of 20 items: an interval of no width would claim certainty."""
    n = 200
    clusters = np.array([f"v{i // 20}" for i in range(n)], dtype=object)
    values = np.array(["p" if i < n // 2 else "u" for i in range(n)], dtype=object)
    labels = np.arange(n) % 2
    wide = context(
        labels, np.ones(n, dtype=int), task=binary_task(favourable="yes"), clusters=clusters,
        attributes={"a": values}, attribute_specs={"a": AttributeSpec(privileged="p")},
    )  # fmt: skip
    narrow = dataclasses.replace(wide, clusters=None)
    for (key, shared), alone in zip(quartet(wide).items(), quartet(narrow).values(), strict=True):
        assert shared.low is not None, key
        assert shared.low < alone.low < shared.value == alone.value, key
        if key != "di":
            assert alone.high < shared.high, key
