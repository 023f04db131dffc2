import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from sklearn import metrics as sk

from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.privacy.binomial import clopper_pearson, lower_bound, upper_bound
from runners.metrics.privacy.operating import Attack, advantage, best_threshold, tpr_at
from runners.metrics.privacy.scores import confidence
from runners.spec.models import AttributeSpec, TaskSpec
from tests.factories.runner_models import context

KEYS = ["m", "m.tpr_at_fpr_1", "m.tpr_at_fpr_0_1", "m.advantage"]


def run(ctx, name="privacy.membership_inference", **parameters):
    return {result.key: result for result in measure(name, "m", parameters, ctx)}


def member_context(p_true, member, *, minimum=30, labels=None, **more):
    """Two classes; item i is of class `labels[i]` (1) and gets that class with `p_true[i]`."""
    p_true = np.asarray(p_true, dtype=float)
    labels = np.ones(p_true.size, dtype=int) if labels is None else labels
    p = np.where(labels[:, None] == np.arange(2), p_true[:, None], 1 - p_true[:, None])
    attributes = {"member": np.where(member, "yes", "no").astype(object), **more.pop("attributes", {})}
    specs = {name: AttributeSpec(privileged="yes", minimum=minimum) for name in attributes}
    return context(
        labels, p.argmax(axis=1), probabilities=p, attributes=attributes, attribute_specs=specs, **more
    )  # fmt: skip


def numbers(values):
    out = np.empty(len(values), dtype=object)
    out[:] = [None if v is None else repr(float(v)) for v in values]
    return out


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 17), (999, 1000)])
def test_clopper_pearson_is_scipys(k, n):
    exact = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert clopper_pearson(k, n) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_one_sided_bounds_in_closed_form():
    # With no failures in n the lower bound is error^(1/n): the proportion at which that happens that often.
    assert float(lower_bound(20, 20, 0.05)) == pytest.approx(0.05 ** (1 / 20))
    assert float(upper_bound(0, 20, 0.05)) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert lower_bound([0, 5], 5, 0.05).tolist() == pytest.approx([0.0, 0.05**0.2])
    with pytest.raises(ValueError, match="no proportion"):
        clopper_pearson(1, 0)


def test_log_odds_tell_items_apart_where_the_probability_rounds_to_one():
    p = np.array([[1.0, 1e-20, 0.0], [1.0, 1e-30, 0.0], [0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    found = confidence(p, np.array([0, 0, 2, 0, 0]))
    assert found[:3] == pytest.approx([20 * math.log(10), 30 * math.log(10), 0.0])
    assert np.isfinite(found).all()
    assert found[3] < -700 < 700 < found[4]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_values_are_scikit_learns(data):
    n = data.draw(st.integers(8, 60))
    member = np.array([True, True, False, False, *data.draw(st.lists(st.booleans(), min_size=n - 4, max_size=n - 4))])
    p = np.array(data.draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))) / 10
    ctx = member_context(p, member, minimum=1)
    found = run(ctx)
    assert found["m"].value == pytest.approx(sk.roc_auc_score(member, np.round(p, 3)))
    assert found["m"].low - 1e-9 <= found["m"].value <= found["m"].high + 1e-9
    assert found["m.tpr_at_fpr_0_1"].state == "too_few"
    fpr, tpr, _ = sk.roc_curve(member, np.round(p, 3), drop_intermediate=False)
    threshold = best_threshold(np.round(p, 3), member)
    best = float((np.round(p, 3)[member] > threshold).mean() - (np.round(p, 3)[~member] > threshold).mean())
    assert best == pytest.approx(float((tpr - fpr).max()))
    attack = Attack(np.round(p, 3), member)
    quarter = tpr_at(attack, 0.25, np.random.default_rng(0))
    if quarter.state == "ok":
        assert quarter.value == pytest.approx(float(tpr[fpr <= 0.25 + 1e-12].max()))


def test_points_of_the_curve_by_hand():
    # 200 non-members score 0..199; members 197.5, 198.5, 199.5 and 50: at 1 % two non-members pass, 198 and 199.
    scores = np.array([197.5, 198.5, 199.5, 50.0, *range(200)])
    attack = Attack(scores, np.arange(204) < 4)
    found = tpr_at(attack, 0.01, np.random.default_rng(0))
    assert (found.value, found.n) == (0.75, 4)
    assert found.details == {"false_positives": 2, "non_members": 200, "fpr": 0.01}
    assert (found.low, found.high) == pytest.approx(clopper_pearson(3, 4))
    low = tpr_at(attack, 0.001, np.random.default_rng(0))
    assert (low.value, low.state) == (None, "too_few")
    assert "200 non-members" in low.reason
    assert "1000" in low.reason


def test_ties_with_the_first_non_member_left_out_do_not_count():
    attack = Attack(np.array([1.0] * 5 + [1.0] * 3 + [0.0] * 97), np.arange(105) < 5)
    assert tpr_at(attack, 0.02, np.random.default_rng(0)).value == 0.0
    assert tpr_at(attack, 0.03, np.random.default_rng(0)).value == 1.0


def test_an_all_revealing_score_and_none():
    member = np.arange(3000) < 1500
    told = run(member_context(np.where(member, 0.9, 0.6), member))
    assert told["m"].value == 1.0
    assert told["m"].low > 0.99
    assert [told[key].value for key in KEYS[1:]] == [1.0, 1.0, 1.0]
    silent = run(member_context(np.full(3000, 0.7), member))
    assert silent["m"].value == 0.5
    assert [silent[key].value for key in KEYS[1:]] == [0.0, 0.0, 0.0]


def test_the_gap_attack_and_the_numbers_behind():
    member = np.arange(80) < 40
    p = np.where(member, 0.8, 0.6)
    p[40:50] = 0.2
    details = run(member_context(p, member))["m"].details
    assert (details["accuracy_members"], details["accuracy_non_members"]) == (1.0, 0.75)
    assert details["gap_advantage"] == 0.25
    assert details["median_log_odds_members"] == pytest.approx(math.log(4))
    assert details["median_log_odds_non_members"] == pytest.approx(math.log(1.5))
    assert details["curve"][-1] == {"fpr": 1.0, "tpr": 1.0}


def test_advantage_of_noise_is_not_positive_on_average():
    """The best threshold of the same items would find about .1 here."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        attack = Attack(rng.normal(size=200), np.arange(200) < 100)
        found.append(advantage(attack, rng))
    assert abs(np.mean([f.value for f in found])) < 0.025
    covered = sum(f.low <= 0 <= f.high for f in found)
    assert covered >= 34


def test_intervals_cover_the_truth():
    """Members score N(1, 1), others N(0, 1): the AUC is Phi(1 / sqrt 2)."""
    truth, covered = norm.cdf(1 / math.sqrt(2)), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        score = np.r_[rng.normal(1, 1, 150), rng.normal(0, 1, 150)]
        found = run(member_context(1 / (1 + np.exp(-score)), np.arange(300) < 150))["m"]
        covered += found.low <= truth <= found.high
    assert covered >= 53


def test_memorised_random_labels_are_found():
    """A network that learned 300 random labels by heart must be caught; the measured anchor is an AUC of .99."""
    import torch
    from sklearn.datasets import load_digits

    x, _ = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    pick = rng.permutation(len(x))[:900]
    x, y = torch.tensor(x[pick] / 16, dtype=torch.float32), torch.tensor(rng.integers(0, 10, 900))
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    best = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(300):
        best.zero_grad()
        torch.nn.functional.cross_entropy(net(x[:300]), y[:300]).backward()
        best.step()
    with torch.no_grad():
        p = torch.softmax(net(x).double(), dim=1).numpy()
    labels, digits = y.numpy(), TaskSpec(kind="multiclass", classes=tuple("0123456789"))

    def split(rows, member):
        attributes = {"member": np.where(member, "yes", "no").astype(object)}
        specs = {"member": AttributeSpec(privileged="yes")}
        return context(
            labels[rows], task=digits, probabilities=p[rows], attributes=attributes, attribute_specs=specs
        )  # fmt: skip

    leak = run(split(np.arange(900), np.arange(900) < 300))
    assert leak["m"].value > 0.95
    assert leak["m"].low > 0.93
    assert leak["m.advantage"].value > 0.8
    assert leak["m.tpr_at_fpr_1"].value > 0.15
    assert leak["m"].details["accuracy_members"] > 0.95
    # Two halves of what it never saw.
    none = run(split(np.arange(300, 900), np.arange(600) < 300))
    assert none["m"].low < 0.5 < none["m"].high
    assert none["m.advantage"].low < 0 < none["m.advantage"].high


def test_lira_sees_through_items_of_different_difficulty():
    rng = np.random.default_rng(0)
    member = rng.random(2000) < 0.5
    hard, width = rng.normal(0, 4, 2000), rng.uniform(0.5, 1.5, 2000)
    odds = hard + width * (rng.normal(size=2000) + 2 * member)
    attributes = {"mu": numbers(hard), "sigma": numbers(width)}
    ctx = member_context(1 / (1 + np.exp(-odds)), member, attributes=attributes)
    plain, sharp = run(ctx), run(ctx, method="lira", reference=["mu", "sigma"])
    # After the reference is taken off, members are N(2, 1) and others N(0, 1).
    truth = norm.cdf(2 / math.sqrt(2))
    assert sharp["m"].low < truth < sharp["m"].high
    assert plain["m"].value < 0.75 < 0.9 < sharp["m"].value
    assert sharp["m.tpr_at_fpr_1"].value > plain["m.tpr_at_fpr_1"].value
    assert sharp["m"].details["method"] == "lira"


def test_items_without_a_reference_are_left_out():
    member = np.arange(100) < 50
    mean, sd = [0.0] * 99 + [None], [1.0] * 100
    ctx = member_context(np.linspace(0.9, 0.1, 100), member, attributes={"mu": numbers(mean), "sd": numbers(sd)})
    found = run(ctx, method="lira", reference=["mu", "sd"])["m"]
    assert (found.n, found.details["left_out"], found.value) == (99, 1, 1.0)


@pytest.mark.parametrize(
    ("sd", "text"), [(["1"] * 99 + ["x"], "must hold numbers"), (["0"] * 100, "above 0"), (["inf"] * 100, "finite")]
)
def test_wrong_references_are_the_organisers_fault(sd, text):
    ctx = member_context(
        np.full(100, 0.6), np.arange(100) < 50,
        attributes={"mu": numbers([0] * 100), "sd": np.array(sd, dtype=object)},
    )  # fmt: skip
    with pytest.raises(ScorerFault, match=text):
        run(ctx, method="lira", reference=["mu", "sd"])


def test_population_takes_the_level_of_each_class_from_validation():
    rng = np.random.default_rng(1)
    level = np.array([-3.0, 3.0])

    def odds(labels, shift):
        return level[labels] + rng.normal(size=labels.size) + shift

    labels, member = rng.integers(0, 2, 1200), rng.random(1200) < 0.5
    seen = rng.integers(0, 2, 400)
    sure = 1 / (1 + np.exp(-odds(seen, 0)))
    validation = member_context(sure, np.zeros(400, bool), labels=seen)
    ctx = member_context(1 / (1 + np.exp(-odds(labels, 2.0 * member))), member, labels=labels, validation=validation)
    plain, calibrated = run(ctx)["m"], run(ctx, method="population")["m"]
    assert calibrated.value == pytest.approx(norm.cdf(2 / math.sqrt(2)), abs=0.025)
    assert plain.value < 0.8


@pytest.mark.parametrize(
    ("parameters", "text"), [({"method": "lira"}, "reference"), ({"method": "population"}, "validation")]
)
def test_without_a_reference_there_is_a_reason(parameters, text):
    found = run(member_context(np.full(100, 0.6), np.arange(100) < 50), **parameters)
    assert list(found) == KEYS
    assert {r.state for r in found.values()} == {"not_applicable"}
    assert all(text in r.reason for r in found.values())


def test_too_few_absent_and_undeclared():
    found = run(member_context(np.full(100, 0.6), np.arange(100) < 20))
    assert {(r.value, r.state) for r in found.values()} == {(None, "too_few")}
    assert "20 items have member = yes" in found["m"].reason
    ctx = member_context(np.full(100, 0.6), np.arange(100) < 50)
    absent = run(replace(ctx, attributes={"other": ctx.attributes["member"]}))
    assert {r.state for r in absent.values()} == {"not_applicable"}
    classes_only = run(replace(ctx, probabilities=None))
    assert {r.state for r in classes_only.values()} == {"not_applicable"}
    assert "probability" in classes_only["m"].reason
    with pytest.raises(ScorerFault, match="membr"):
        run(ctx, attribute="membr")
    with pytest.raises(ScorerFault, match="same value"):
        run(ctx, member="no")


def test_clusters_make_intervals_wider():
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(100), 20)
    member = person < 50
    odds = rng.normal(size=100)[person] + 0.1 * rng.normal(size=2000) + 0.5 * member
    p = 1 / (1 + np.exp(-odds))
    alone = run(member_context(p, member))
    names = np.array([f"c{i}" for i in person], dtype=object)
    together = run(member_context(p, member, clusters=names))
    for key in ("m", "m.advantage"):
        width = {kind: found[key].high - found[key].low for kind, found in (("a", alone), ("t", together))}
        assert width["t"] > 2 * width["a"], key
    assert together["m"].value == alone["m"].value


def test_the_same_seed_gives_the_same_numbers():
    rng = np.random.default_rng(3)
    p, member = rng.random(300), np.arange(300) < 150
    first, again = run(member_context(p, member, seed=5)), run(member_context(p, member, seed=5))
    assert [(r.value, r.low, r.high) for r in first.values()] == [(r.value, r.low, r.high) for r in again.values()]
