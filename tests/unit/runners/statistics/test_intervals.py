import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from runners.statistics.intervals import mover, mover_ratio, quantile_interval, reaching_zero, student, wilson


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair):
    k, n = pair
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_refuses_no_trials():
    with pytest.raises(ValueError, match="0 of 0"):
        wilson(0, 0)


def test_mover_is_newcombes_published_interval():
    # Newcombe 1998, method 10, example (a): 56/70 - 48/80.
    low, high = mover([1, -1], [56, 48], [70, 80])
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_mover_has_width_where_nothing_varies():
    low, high = mover([1, -1], [0, 0], [50, 50])
    assert low < 0 < high
    low, high = mover_ratio((50, 50), (50, 50))
    assert low < 1 < high


def test_mover_ratio_has_no_upper_end_where_the_divisor_may_vanish():
    _, high = mover_ratio((5, 0), (10, 10))
    assert high is None


def test_mover_ratio_covers():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        a, b = rng.binomial(200, 0.3), rng.binomial(300, 0.5)
        low, high = mover_ratio((a, b), (200, 300))
        hits += low <= 0.6 <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_quantile_interval_covers_the_median():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(500):
        value, low, high = quantile_interval(rng.exponential(size=31), 0.5)
        assert low <= value <= high
        hits += low <= np.log(2) <= high
    assert hits / 500 >= 0.93


def test_quantile_interval_is_open_where_the_sample_is_small():
    _, low, high = quantile_interval(np.arange(30.0), 0.95)
    assert low is not None
    assert high is None
    assert quantile_interval(np.arange(71.0), 0.95)[2] is None
    assert quantile_interval(np.arange(72.0), 0.95)[2] is not None


def test_student_is_the_printed_table():
    assert [student(k) for k in (1, 4, 9, 10**9)] == pytest.approx([12.7062, 2.7764, 2.2622, 1.95996], abs=1e-4)


def test_a_size_that_may_be_nothing_reaches_zero():
    assert reaching_zero(0.1, (0.02, 0.25)) == (0.0, 0.25)
    assert reaching_zero(0.3, (0.2, 0.45)) == (pytest.approx(0.15), 0.45)
    assert reaching_zero(0.3, (0.2, 0.35)) == (0.2, 0.35)
    assert reaching_zero(0.3, (None, None)) == (None, None)
