"""Membership inference with shadow models: the anchors, the scores, and the network that shadows are."""

import math
from functools import cache

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.datasets import load_digits

from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.privacy import network
from runners.metrics.privacy.binomial import clopper_pearson
from runners.metrics.privacy.shadows import Said, halves_of, on_the_scale
from runners.spec.models import AttributeSpec, InputSpec, TaskSpec
from tests.factories.runner_models import context, softmax

KEYS = ["m", "m.tpr_at_fpr_1", "m.tpr_at_fpr_0_1", "m.advantage"]
DIGITS = TaskSpec(kind="multiclass", classes=tuple("0123456789"))


def run(ctx, **parameters):
    return {result.key: result for result in measure("privacy.lira", "m", parameters, ctx)}


def split(x, y, p, member, **more):
    """Items with these answers; `member` None where it does not matter."""
    attributes = {"member": np.where(member, "yes", "no").astype(object)}
    return context(
        y, p.argmax(axis=1), task=DIGITS, probabilities=p, inputs=x.astype(np.float32),
        input=InputSpec(kind="array", shape=(64,)), attributes=attributes,
        attribute_specs={"member": AttributeSpec(privileged="yes")}, **more,
    )  # fmt: skip


@cache
def _memorised(random_labels):
    """What learned 300 of 900 digits by heart: x, labels and answers. For random labels no network like a shadow."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    pick = rng.permutation(len(x))[:900]
    x, y = x[pick] / 16, y[pick]
    wrong = rng.random(900) < (1.0 if random_labels else 0.15)
    y = np.where(wrong, rng.integers(0, 10, 900), y)
    if not random_labels:
        return x, y, softmax(network.train(x[:300], y[:300], 10, rng).logits(x))
    mix = rng.normal(size=(64, 600)) / 8
    features = np.maximum(x @ mix + rng.normal(size=600) / 4, 0)
    weights = np.linalg.lstsq(features[:300], 10 * np.eye(10)[y[:300]])[0]
    return x, y, softmax(features @ weights)


def test_memorised_random_labels_are_found_and_unseen_items_are_not():
    """The anchors: an AUC above .95 for labels learned by heart, .5 within the interval for two unseen halves."""
    x, y, p = _memorised(True)
    leak = run(split(x, y, p, np.arange(900) < 300), shadows=8)
    assert leak["m"].value > 0.95
    assert leak["m"].low > 0.93
    assert leak["m.tpr_at_fpr_1"].value > 0.2
    assert leak["m"].details["shadows_sure_inside"] > 0.9 > 0.3 > leak["m"].details["shadows_sure_outside"]
    none = run(split(x[300:], y[300:], p[300:], np.arange(600) < 300), shadows=8)
    assert none["m"].low < 0.5 < none["m"].high
    assert none["m.advantage"].low < 0 < none["m.advantage"].high


def test_it_sees_through_hard_items():
    """Some labels are wrong. The loss takes an easy stranger for a member; shadows know how easy it is."""
    x, y, p = _memorised(False)
    rows = np.arange(100, 900)
    ctx = split(x[rows], y[rows], p[rows], rows < 300)
    found = run(ctx, shadows=16)
    loss = {r.key: r for r in measure("privacy.membership_inference", "m", {}, ctx)}
    assert found["m"].details["loss_auc"] == pytest.approx(loss["m"].value)
    assert found["m.tpr_at_fpr_1"].low > loss["m.tpr_at_fpr_1"].value
    point = found["m.tpr_at_fpr_1"]
    assert found["m"].value > found["m"].details["loss_auc"] + 0.02
    assert (point.low, point.high) == pytest.approx(clopper_pearson(round(point.value * 200), 200))
    assert found["m.tpr_at_fpr_0_1"].state == "too_few"
    assert found["m"].details["curve"][-1]["fpr"] == 1.0
    assert found["m"].details["trained_on"] == 400


def test_offline_shadows_know_none_of_the_items():
    """With surprise alone to go by it finds less than the loss here, for all items are equally hard."""
    x, y, p = _memorised(True)
    rows, rest = np.arange(600), np.arange(600, 900)
    validation = split(x[rest], y[rest], p[rest], rest < 0)
    found = run(split(x[rows], y[rows], p[rows], rows < 300, validation=validation), pool="validation", shadows=4)
    assert found["m"].low > 0.85
    assert found["m"].details["trained_on"] == 150
    without = run(split(x[rows], y[rows], p[rows], rows < 300), pool="validation")
    assert list(without) == KEYS
    assert {(r.state, "validation" in r.reason) for r in without.values()} == {("not_applicable", True)}


def test_scores_by_hand():
    """Two shadows know the item and say 4 and 6, two do not and say 0 and 2: N(5, 2) against N(1, 2)."""
    said = Said(np.array([[4.0], [6.0], [0.0], [2.0]]), np.array([[True], [True], [False], [False]]))
    for own in (3.0, 5.0, 0.5):
        expected = norm.logpdf(own, 5, math.sqrt(2)) - norm.logpdf(own, 1, math.sqrt(2))
        assert said.compared(np.array([own])) == pytest.approx([expected])
    assert said.surprising(np.array([3.0])) == pytest.approx([2 / math.sqrt(2)])
    # Other variances: those who know it say 5 - 3 and 5 + 3.
    wide = Said(np.array([[2.0], [8.0], [0.0], [2.0]]), said.inside)
    expected = norm.logpdf(3.0, 5, math.sqrt(18)) - norm.logpdf(3.0, 1, math.sqrt(2))
    assert wide.compared(np.array([3.0])) == pytest.approx([expected])
    assert said.mixture(0.5) == pytest.approx((3.0, math.sqrt(5)))
    assert said.mixture(0.0) == pytest.approx((1.0, 1.0))
    assert said.mixture(0.25) == pytest.approx((2.0, 2.0))
    assert (said.confident(inside=True), said.confident(inside=False)) == (1.0, 0.5)


def test_answers_are_brought_to_the_shadows_scale():
    own = np.array([10.0, 20.0, 30.0])
    assert on_the_scale(own, own[:2], (1.0, 2.0)).tolist() == pytest.approx([-1.0, 3.0, 7.0])
    assert on_the_scale(np.full(3, 7.0), np.full(3, 7.0), (1.0, 2.0)).tolist() == [1.0, 1.0, 1.0]


def test_every_item_is_in_half_of_the_shadows():
    trained = halves_of(101, 6, None, np.random.default_rng(0))
    assert (trained.sum(axis=0) == 3).all()
    assert set(trained.sum(axis=1).tolist()) == {50, 51}
    codes = np.repeat(np.arange(20), 5)
    whole = halves_of(100, 4, codes, np.random.default_rng(0)).reshape(4, 20, 5)
    assert (whole.all(axis=2) == whole.any(axis=2)).all()


def test_slopes_are_the_derivatives_of_the_loss():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(7, 3)), rng.integers(0, 4, 7)
    weights = [rng.normal(size=shape) for shape in ((3, 5), (5,), (5, 4), (4,))]

    def loss():
        z = np.maximum(x @ weights[0] + weights[1], 0) @ weights[2] + weights[3]
        return -np.log(softmax(z)[np.arange(7), labels]).mean()

    for weight, slope in zip(weights, network._slopes(weights, x, labels), strict=True):
        for place in np.ndindex(weight.shape):
            kept, ends = weight[place], []
            for step in (1e-5, -1e-5):
                weight[place] = kept + step
                ends.append(loss())
            weight[place] = kept
            assert slope[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-6)


def test_log_odds_from_logits():
    z = np.array([[2.0, 0.0, 0.0], [900.0, 0.0, -5.0]])
    found = network.log_odds(z, np.array([0, 0]))
    assert found == pytest.approx([2 - math.log(2), 900 - math.log(1 + math.exp(-5))])


def test_states_and_reasons():
    x, p = np.zeros((100, 64)), np.full((100, 10), 0.1)
    ctx = split(x, np.zeros(100, int), p, np.arange(100) < 50)
    file = run(type(ctx)(**{**vars_of(ctx), "inputs": None}))
    assert list(file) == KEYS
    assert {(r.state, "file of predictions" in r.reason) for r in file.values()} == {("not_applicable", True)}
    few = run(split(x, np.zeros(100, int), p, np.arange(100) < 5))
    assert {r.state for r in few.values()} == {"too_few"}
    with pytest.raises(ScorerFault, match="same value"):
        run(ctx, member="no")
    with pytest.raises(ScorerFault, match="shadows"):
        run(ctx, shadows=5)


def test_what_cannot_be_halved_trains_no_shadow():
    x, y, p = np.zeros((100, 64)), np.zeros(100, int), np.full((100, 10), 0.1)
    one = split(x, y, p, np.arange(100) < 50, clusters=np.full(100, "a", dtype=object))
    found = run(one, shadows=4)
    assert {(r.state, "one cluster" in r.reason) for r in found.values()} == {("too_few", True)}
    other = split(x, y, p, np.arange(100) < 50)
    found = run(type(other)(**{**vars_of(other), "validation": one}), shadows=4, pool="validation")
    assert {(r.state, "one cluster" in r.reason) for r in found.values()} == {("too_few", True)}
    few = vars_of(split(x[:30], y[:30], p[:30], np.arange(30) < 15))
    few["attribute_specs"] = {"member": AttributeSpec(privileged="yes", minimum=5)}
    found = run(type(other)(**few), shadows=4)
    assert {(r.state, "40 are needed" in r.reason) for r in found.values()} == {("too_few", True)}


def vars_of(ctx):
    return {name: getattr(ctx, name) for name in type(ctx).__dataclass_fields__}


def test_a_constant_model_gives_nothing_away_and_the_seed_decides():
    rng = np.random.default_rng(0)
    x, y = rng.random((300, 64)), rng.integers(0, 10, 300)
    shown: list[float] = []
    ctx = split(
        x, y, np.full((300, 10), 0.1), np.arange(300) < 150, progress=lambda _message, share: shown.append(share)
    )
    first, again = run(ctx, shadows=4, items=200), run(ctx, shadows=4, items=200)
    assert first["m"].n == 200
    assert first["m"].low < 0.5 < first["m"].high
    assert [(r.value, r.low) for r in first.values()] == [(r.value, r.low) for r in again.values()]
    assert shown[:5] == [0.0, 0.25, 0.5, 0.75, 1.0]
