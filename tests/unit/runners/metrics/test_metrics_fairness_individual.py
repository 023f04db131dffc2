"""Consistency of answers for items that are alike, and what scores mean for each group."""

import warnings

import numpy as np
import pytest

from runners.adapters import aif360
from runners.measure import measure
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context

CONSISTENCY = "fairness.consistency"
CALIBRATION = "fairness.calibration_within_groups"
GENERALIZED = {
    "fairness.generalized_true_positive_rate_difference": "generalized_true_positive_rate",
    "fairness.generalized_false_positive_rate_difference": "generalized_false_positive_rate",
}
ODDS = "fairness.generalized_equalized_odds_difference"


def only(name, ctx, **parameters):
    (result,) = measure(name, "x", parameters, ctx)
    return result


def line(predictions, **more):
    """Items at 0, 1, 2, ... on a line."""
    x = np.arange(len(predictions), dtype=np.float32)[:, None]
    return context([0] * len(predictions), predictions, inputs=x, **more)


def test_consistency_by_hand():
    """Three neighbours, the item among them: in 0 0 1 1 the two at the border have one of three against them."""
    result = only(CONSISTENCY, line([0, 0, 1, 1]), neighbours=3)
    # Items 0 and 3 see 0 0 1 and 0 1 1: a third against them as well.
    assert result.value == pytest.approx(1 - 4 * (1 / 3) / 4)
    assert only(CONSISTENCY, line([1] * 8)).value == 1.0
    assert only(CONSISTENCY, line([0, 0, 0, 0, 1, 1, 1, 1]), neighbours=2).value > 0.8


def test_consistency_is_aif360s():
    import pandas as pd

    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    yhat = (x[:, 0] + rng.normal(size=120) > 0).astype(int)
    data, labels, _ = aif360._load()
    frame = pd.DataFrame(x, columns=list("abc")).assign(side=0.0, y=yhat.astype(float))
    options = {"label_names": ["y"], "protected_attribute_names": ["side"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = labels(data(df=frame, **options)).consistency()
    # AIF360 counts the attribute among the features; it is the same for all here.
    ctx = context([0] * 120, yhat, inputs=x.astype(np.float32))
    result = only(CONSISTENCY, ctx)
    assert result.value == pytest.approx(float(theirs[0]), abs=1e-12)
    assert result.low < result.value < result.high


def test_consistency_of_pictures_and_of_a_sample():
    rng = np.random.default_rng(1)
    x = rng.random((300, 1, 6, 6), dtype=np.float32)
    ctx = context([0] * 300, (x.mean(axis=(1, 2, 3)) > 0.5).astype(int), inputs=x)
    everybody, some = only(CONSISTENCY, ctx, items=None), only(CONSISTENCY, ctx, items=100)
    assert (everybody.n, some.n) == (300, 100)
    assert some.value == pytest.approx(everybody.value, abs=0.06)
    assert only(CONSISTENCY, ctx, items=100).value == some.value


def test_consistency_of_several_classes_is_the_share_that_agrees():
    x = np.array([[0.0], [5.0], [6.0], [6.5], [6.6]], dtype=np.float32)
    ctx = context([0] * 5, [0, 2, 2, 2, 2], inputs=x)
    assert only(CONSISTENCY, ctx, neighbours=2).value == pytest.approx((0.5 + 4) / 5)


def test_consistency_needs_inputs_and_neighbours():
    assert only(CONSISTENCY, context([0, 1], [0, 1])).state == "not_applicable"
    few = only(CONSISTENCY, line([0, 1, 1]))
    assert (few.value, few.state) == (None, "undefined")


def scored(y, scores, values, **more):
    scores = np.asarray(scores, dtype=float)
    return context(
        y, (scores > 0.5).astype(int), task=binary_task(favourable="yes"),
        probabilities=np.column_stack([1 - scores, scores]), attributes={"a": np.array(values, dtype=object)},
        attribute_specs={"a": AttributeSpec(privileged="p", minimum=4)}, **more,
    )  # fmt: skip


def random_scores(n=400, seed=0, **more):
    rng = np.random.default_rng(seed)
    scores = rng.random(n)
    return scored((rng.random(n) < scores).astype(int), scores, np.array(["u", "p"])[rng.integers(0, 2, n)], **more)


def test_generalised_rates_by_hand():
    ctx = scored([1, 1, 0, 0] * 2, [0.8, 0.6, 0.3, 0.1, 0.9, 0.9, 0.5, 0.1], ["u"] * 4 + ["p"] * 4)
    tpr, fpr = (only(name, ctx, attribute="a") for name in GENERALIZED)
    assert tpr.value == pytest.approx(0.7 - 0.9)
    assert fpr.value == pytest.approx(0.2 - 0.3)
    assert only(ODDS, ctx, attribute="a").value == pytest.approx(0.2)
    assert tpr.details["mean_scores"]["privileged"]["generalized_tpr"] == pytest.approx(0.9)


def test_generalised_rates_are_aif360s():
    import pandas as pd

    ctx = random_scores()
    data, _, answers = aif360._load()
    side = (ctx.attributes["a"] == "p").astype(float)
    frame = pd.DataFrame({"side": side, "y": ctx.labels.astype(float), "weight": 1.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth, said = data(df=frame, **aif360._OPTIONS), data(df=frame, **aif360._OPTIONS)
        said.scores = ctx.probabilities[:, [1]]
        theirs = answers(truth, said, **aif360._SIDES)
        odds = theirs.generalized_equalized_odds_difference()
    for name, method in GENERALIZED.items():
        result = only(name, ctx, attribute="a")
        assert result.value == pytest.approx(theirs.difference(getattr(theirs, method)), abs=1e-12)
        assert result.low < result.value < result.high
    worse = only(ODDS, ctx, attribute="a")
    assert worse.value == pytest.approx(odds, abs=1e-12)
    # Both differences of these scores may be none: then so may the worse of them.
    assert worse.low == 0.0 < worse.value < worse.high


def test_normal_intervals_of_scores_are_those_of_resampled_rows():
    ctx = random_scores()
    (name, _) = next(iter(GENERALIZED.items()))
    result = only(name, ctx, attribute="a")
    rng = np.random.default_rng(0)
    s, y, side = ctx.probabilities[:, 1], ctx.labels == 1, ctx.attributes["a"] == "p"
    draws = []
    for _ in range(800):
        i = rng.integers(0, ctx.n, ctx.n)
        draws.append(s[i][y[i] & ~side[i]].mean() - s[i][y[i] & side[i]].mean())
    assert (result.low, result.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.015)


def test_generalised_rates_need_both_outcomes_and_mind_clusters():
    lacking = scored([0] * 4 + [1, 1, 0, 0], [0.5] * 8, ["u"] * 4 + ["p"] * 4)
    tpr = "fairness.generalized_true_positive_rate_difference"
    assert only(tpr, lacking, attribute="a").state == "undefined"
    assert only("fairness.generalized_false_positive_rate_difference", lacking, attribute="a").value == 0.0
    order = np.argsort(random_scores().probabilities[:, 1])
    base = random_scores()
    values = base.attributes["a"][order]
    clusters = np.array([f"v{i // 10}" for i in range(400)], dtype=object)
    alone = scored(base.labels[order], base.probabilities[order, 1], values)
    shared = scored(base.labels[order], base.probabilities[order, 1], values, clusters=clusters)
    wide, narrow = only(tpr, shared, attribute="a"), only(tpr, alone, attribute="a")
    assert wide.value == pytest.approx(narrow.value)
    assert wide.low < wide.value < wide.high
    assert wide.low != narrow.low


def test_calibration_by_hand():
    """In the bin of 0.2 a quarter have the outcome, in that of 0.9 all: off by 0.05 and 0.1, half of the items each."""
    y, scores = [1, 0, 0, 0, 1, 1, 1, 1], [0.2] * 4 + [0.9] * 4
    ctx = scored(y * 2, scores * 2, ["u"] * 8 + ["p"] * 8)
    found = {r.key: r for r in measure(CALIBRATION, "x", {"attribute": "a"}, ctx)}
    assert set(found) == {"x[a=u]", "x[a=p]"}
    u = found["x[a=u]"]
    assert u.value == pytest.approx(0.075)
    assert u.details["signed"] == pytest.approx(5 / 8 - 0.55)
    assert [b["n"] for b in u.details["bins"]] == [4, 4]
    assert [b["outcome"] for b in u.details["bins"]] == [0.25, 1.0]


def test_calibration_finds_the_group_whose_scores_mean_less():
    rng = np.random.default_rng(0)
    n = 6000
    scores, side = rng.random(n), rng.integers(0, 2, n)
    truth = rng.random(n) < np.where(side == 0, 0.5 * scores, scores)
    ctx = scored(truth.astype(int), scores, np.array(["u", "p"])[side])
    found = {r.key: r for r in measure(CALIBRATION, "x", {"attribute": "a", "bins": 20}, ctx)}
    u, p = found["x[a=u]"], found["x[a=p]"]
    assert u.low < u.value < u.high
    assert u.value == pytest.approx(0.25, abs=0.03)
    assert u.details["signed"] == pytest.approx(-0.25, abs=0.03)
    # This one is calibrated, and what it shows is noise: its interval reaches far below, and hardly above.
    assert p.value < 0.05
    assert p.low < 0.5 * p.value
    assert p.high - p.value < p.value - p.low
    assert abs(p.details["signed"]) < 0.03
    flipped = {r.key: r for r in measure(CALIBRATION, "x", {"attribute": "a", "about": "favourable"}, ctx)}
    assert flipped["x[a=u]"].value == pytest.approx(u.value, abs=0.02)


def test_calibration_tells_small_groups_and_minds_clusters():
    ctx = scored([1, 0, 1, 0] * 5 + [1], [0.5] * 21, ["u"] * 20 + ["p"])
    found = {r.key: r for r in measure(CALIBRATION, "x", {"attribute": "a"}, ctx)}
    assert found["x[a=p]"].state == "too_few"
    assert found["x[a=u]"].value == 0.0
    base = random_scores()
    order = np.argsort(base.labels, kind="stable")
    clusters = np.array([f"v{i // 10}" for i in range(400)], dtype=object)
    parts = base.labels[order], base.probabilities[order, 1], base.attributes["a"][order]
    alone, shared = scored(*parts), scored(*parts, clusters=clusters)
    for one, other in zip(
        *(list(measure(CALIBRATION, "x", {"attribute": "a"}, c)) for c in (alone, shared)), strict=True
    ):
        assert one.value == other.value
        assert one.low < other.high
        assert (one.low, one.high) != (other.low, other.high)
