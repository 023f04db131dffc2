import math

import numpy as np
import pytest
from scipy.stats import binom

from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.privacy import audit
from runners.metrics.privacy.groups import halves
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import context


def member_context(p_true, member, **more):
    p = np.column_stack([1 - np.asarray(p_true), np.asarray(p_true)])
    attributes = {"member": np.where(member, "yes", "no").astype(object)}
    specs = {"member": AttributeSpec(privileged="yes")}
    labels = np.ones(len(p), dtype=int)
    return context(labels, p.argmax(axis=1), probabilities=p, attributes=attributes, attribute_specs=specs, **more)


def run(ctx, **parameters):
    return {r.key: r for r in measure("privacy.dp_epsilon_lower_bound", "e", parameters, ctx)}


def randomised_response(n, eps, seed):
    """Says truly with probability e^eps / (1 + e^eps) who is a member: exactly eps-private."""
    rng = np.random.default_rng(seed)
    member = rng.random(n) < 0.5
    truly = rng.random(n) < 1 / (1 + math.exp(-eps))
    return np.where(member == truly, 0.9, 0.1), member


def test_bound_of_a_perfect_attack_in_closed_form():
    """All of 100 members found and none of 100 others: Clopper-Pearson ends are .025^(1/100) and its complement."""
    edge = 0.025 ** (1 / 100)
    found = float(audit.rates_bound(100, 100, 0, 100, delta=0.0, error=0.05))
    assert found == pytest.approx(math.log(edge / (1 - edge)))
    assert found == pytest.approx(3.281, abs=1e-3)
    with_delta = float(audit.rates_bound(100, 100, 0, 100, delta=0.1, error=0.05))
    assert with_delta == pytest.approx(math.log((edge - 0.1) / (1 - edge)))
    # The more items, the more can be shown.
    assert float(audit.rates_bound(10_000, 10_000, 0, 10_000, delta=0.0, error=0.05)) > 7.8


def test_both_sides_of_a_test_count():
    """Nobody is accused wrongly, but only 1 of 10 members is found; or all are found and 9 of 10 others accused."""
    found = audit.rates_bound([100, 1000], 1000, [0, 900], 1000, delta=0.0, error=0.05)
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    assert found[0] > 3
    assert float(audit.rates_bound(10, 100, 90, 100, delta=0.0, error=0.05)) == 0.0


@pytest.mark.parametrize("eps", [0.5, 1.0986122886681098])
def test_randomised_response_is_bounded_by_its_epsilon(eps):
    """The bounds come near the truth and hardly ever pass it."""
    values, one_run = [], []
    for seed in range(60):
        p, member = randomised_response(3000, eps, seed)
        found = run(member_context(p, member), delta=0.0)
        values.append(found["e"].value)
        one_run.append(found["e.one_run"].value)
    for bounds in (np.array(values), np.array(one_run)):
        assert (bounds > eps).mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 60)
        assert np.median(bounds) > eps - 0.3


def test_no_leak_refutes_nothing():
    rng = np.random.default_rng(0)
    found = run(member_context(rng.random(2000), rng.random(2000) < 0.5), claimed=1.0)
    assert found["e"].value < 0.2
    assert found["e.one_run"].value < 0.2
    assert found["e"].details["claim_refuted"] is False
    assert found["e"].low is None
    assert found["e"].details["largest_that_could_be_shown"] > 4


def test_the_threshold_is_judged_on_items_it_was_not_chosen_on():
    rng = np.random.default_rng(0)
    member = np.arange(301) < 151
    p = np.clip(0.5 + 0.1 * rng.normal(size=301) + 0.1 * member, 0.01, 0.99)
    ctx = member_context(p, member)
    found = run(ctx, delta=0.0)["e"].details
    first = halves(member, None, ctx.rng("privacy.dp_epsilon_lower_bound"))
    odds = np.log(p / (1 - p))
    threshold = audit.best_test(odds[first], member[first], delta=0.0, error=0.05).value
    called = (odds > threshold) & ~first
    assert (found["members"], found["non_members"]) == (76, 75)
    assert found["true_positives"] == (called & member).sum() > 0
    assert found["false_positives"] == (called & ~member).sum()


def test_the_order_of_the_split_tells_nothing():
    """Members stand first in the file, and the model says the same of everybody: one in twenty runs may err."""
    p, member = np.full(400, 0.6), np.arange(400) < 200
    found = [run(member_context(p, member, seed=seed), delta=0.0) for seed in range(20)]
    assert [one["e"].value for one in found] == [0.0] * 20
    assert sum(one["e.one_run"].value > 0 for one in found) <= 1


def test_the_coins_of_one_half_tell_nothing_of_the_other():
    """How many members the judged half has is left to chance, as the bound for one run supposes."""
    p, member = randomised_response(200, 1.0, 0)
    counts = {run(member_context(p, member, seed=seed))["e.one_run"].details["members"] for seed in range(6)}
    assert len(counts) > 2
    assert all(30 < count < 70 for count in counts)


def test_a_false_claim_is_refuted():
    rng = np.random.default_rng(1)
    member = rng.random(1000) < 0.5
    found = run(member_context(np.where(member, 0.9, 0.2), member), claimed=2.0)
    for result in found.values():
        assert result.value > 2.0
        assert result.details["claim_refuted"] is True
        assert result.value <= result.details["largest_that_could_be_shown"]
    assert found["e"].value == pytest.approx(found["e"].details["largest_that_could_be_shown"])
    # A guess or two near the middle fall on the wrong side, for members are not exactly half.
    assert found["e.one_run"].value > 4.0


def test_one_run_p_value():
    """Without delta: the chance of so many right ones where each is right with e^eps / (1 + e^eps)."""
    assert audit.one_run_p(1000, 100, 75, math.log(3), 0.0) == pytest.approx(binom.sf(74, 100, 0.75))
    assert audit.one_run_p(1000, 100, 0, 1.0, 1e-5) == 1.0
    # By hand, two guesses, both right, q = 1/2: beta 1/4, below: P(1) = 1/2, P(1) + P(0) = 3/4 over 2.
    assert audit.one_run_p(10, 2, 2, 0.0, 0.01) == pytest.approx(0.25 + 2 * 10 * 0.01 * 0.5)
    # The bound is where the p-value meets the error: q^100 = .05.
    q = 0.05 ** (1 / 100)
    assert audit.one_run_bound(100, 100, 100, delta=0.0, error=0.05) == pytest.approx(math.log(q / (1 - q)), abs=1e-6)
    assert audit.one_run_bound(100, 100, 50, delta=0.0, error=0.05) == 0.0


def test_delta_costs():
    bounds = [audit.one_run_bound(1000, 200, 190, delta=delta, error=0.05) for delta in (0.0, 1e-6, 1e-4)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > bounds[2] > 0


def test_guesses_are_about_both_ends():
    member = np.array([True, True, False, True, False, False])
    assert audit.right_guesses(np.array([6.0, 5, 4, 3, 2, 1]), member, 4) == 4
    assert audit.right_guesses(np.array([6.0, 5, 4, 3, 2, 1]), member, 6) == 4
    assert audit.right_guesses(np.array([6.0, 5, 4, 3, 2, 1]), member, 1) == 1
    assert audit.right_guesses(np.array([6.0, 5, 4, 3, 2, 1]), member, 0) == 0


def test_members_that_no_coin_chose():
    found = run(member_context(np.full(400, 0.6), np.arange(400) < 350))
    assert found["e"].state == "ok"
    assert (found["e.one_run"].value, found["e.one_run"].state) == (None, "undefined")
    assert "fair coin" in found["e.one_run"].reason


def test_clusters_and_absences_have_reasons():
    p, member = randomised_response(200, 1.0, 0)
    names = np.array([f"c{i // 2}" for i in range(200)], dtype=object)
    found = run(member_context(p, member, clusters=names))
    assert {(r.state, "clusters" in r.reason) for r in found.values()} == {("undefined", True)}
    few = run(member_context(p[:40], member[:40]))
    assert {r.state for r in few.values()} == {"too_few"}
    lira = run(member_context(p, member), method="lira")
    assert {r.state for r in lira.values()} == {"not_applicable"}
    with pytest.raises(ScorerFault, match="confidence"):
        run(member_context(p, member), confidence=0.4)
    with pytest.raises(ScorerFault, match="same value"):
        run(member_context(p, member), member="no")
