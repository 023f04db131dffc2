from dataclasses import replace

import numpy as np
import pytest

from runners.errors import ScorerFault
from runners.measure import measure
from runners.metrics.robustness.overfitting_gap import gap
from tests.factories.runner_models import context

# Final / best accuracy in percent, and the gap as printed, of the robust-overfitting table of the SRC paper. Three of
# the printed gaps are not the difference of the two numbers beside them.
PRINTED = [
    ("PGD-AT, PGD-10", 45.54, 53.43, 7.89, 7.89),
    ("ALP, PGD-10", 51.55, 54.71, 3.16, 3.16),
    ("MART, natural", 82.10, 77.69, 4.41, 4.41),
    ("SRC, AutoAttack", 50.00, 50.39, 0.39, 0.39),
    ("SRC+FL, AutoAttack", 50.38, 50.35, 0.03, 0.03),
    ("SRC, CIFAR-100, PGD-10", 27.08, 29.14, 1.80, 2.06),
    ("TRADES, AutoAttack", 45.79, 48.94, 3.18, 3.15),
    ("AT-FL, PGD-10", 56.76, 57.83, 1.19, 1.07),
]


@pytest.mark.parametrize(("name", "final", "best", "printed", "true"), PRINTED)
def test_the_gap_is_computed_and_never_taken_from_a_table(name, final, best, printed, true):
    assert round(gap(best, final), 2) == true
    assert (printed == true) == (name not in ("SRC, CIFAR-100, PGD-10", "TRADES, AutoAttack", "AT-FL, PGD-10"))


def checkpoints(hits, *, n=10_000, clusters=True, **more):
    """The answers of checkpoints with so many right answers each, to the same n items."""
    right = np.concatenate([np.arange(n) < count for count in hits.values()])
    labels = np.zeros(right.size, dtype=np.int64)
    epochs = np.repeat([str(epoch) for epoch in hits], n).astype(object)
    items = np.array([f"i{i}" for i in range(n)] * len(hits), dtype=object)
    return context(
        labels, np.where(right, 0, 1), attributes={"epoch": epochs}, clusters=items if clusters else None, **more
    )


def run(ctx, attribute="epoch"):
    (found,) = measure("robustness.overfitting_gap", "r", {"attribute": attribute}, ctx)
    return found


@pytest.mark.parametrize(("final", "best", "true"), [(27.08, 29.14, 2.06), (45.79, 48.94, 3.15), (56.76, 57.83, 1.07)])
def test_the_metric_reports_what_the_table_should_have_printed(final, best, true):
    found = run(checkpoints({10: round(best * 100), 200: round(final * 100), 100: 1000}))
    assert round(found.value * 100, 2) == true
    assert found.key == "r[epoch]"
    assert found.n == 10_000
    assert (found.details["best_checkpoint"], found.details["last_checkpoint"]) == (10, 200)
    assert [row["checkpoint"] for row in found.details["checkpoints"]] == [10, 100, 200]
    assert 0 <= found.low < found.value < found.high


def test_copies_of_one_item_are_drawn_together():
    """Where the last checkpoint errs on what the best does and on 500 items more, only those vary."""
    found = run(checkpoints({1: 8000, 2: 7500}))
    half = 1.96 * np.sqrt(0.05 * 0.95 / 10_000)
    assert (found.low, found.high) == pytest.approx((0.05 - half, 0.05 + half), abs=0.001)
    apart = run(checkpoints({1: 8000, 2: 7500}, clusters=False))
    assert apart.high - apart.low > 1.5 * (found.high - found.low)


def test_the_last_checkpoint_may_be_the_best():
    found = run(checkpoints({1: 50, 9: 80, 10: 90}, n=100))
    assert (found.value, found.low) == (0.0, None)
    # Numbers are compared as numbers: 9 comes before 10.
    assert found.details["last_checkpoint"] == 10


def test_what_cannot_be_told():
    one = run(checkpoints({5: 50}, n=100))
    assert (one.state, one.value) == ("undefined", None)
    assert "two" in one.reason
    missing = run(checkpoints({1: 5, 2: 4}, n=10), attribute="step")
    assert missing.state == "not_applicable"
    ctx = checkpoints({1: 5, 2: 4}, n=10)
    epochs = list(ctx.attributes["epoch"])
    with pytest.raises(ScorerFault, match="number"):
        run(replace(ctx, attributes={"epoch": ["last", *epochs[1:]]}))
    assert run(replace(ctx, attributes={"epoch": [None, *epochs[1:]]})).details["unknown"] == 1
