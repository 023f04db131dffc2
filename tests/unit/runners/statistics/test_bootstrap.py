import numpy as np
import pytest

from runners.statistics.bootstrap import (
    cluster_codes,
    cluster_tables,
    mean_interval,
    multinomial_tables,
    percentile_interval,
    resample_sums,
    table_interval,
)
from runners.statistics.intervals import wilson


def rng():
    return np.random.default_rng(1)


def test_same_seed_same_interval():
    values = rng().random(200)
    assert mean_interval(values, None, rng=rng()) == mean_interval(values, None, rng=rng())


def test_mean_interval_is_close_to_the_normal_one():
    values = rng().normal(size=1000)
    low, high = mean_interval(values, None, rng=rng())
    half = 1.96 * values.std() / np.sqrt(1000)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_clusters_widen_the_interval_as_theory_says():
    # Ten copies of each of 100 values: the effective size is 100, not 1000.
    values = np.repeat(rng().normal(size=100), 10)
    codes = np.repeat(np.arange(100), 10)
    narrow = np.diff(mean_interval(values, None, rng=rng()))[0]
    wide = np.diff(mean_interval(values, codes, rng=rng()))[0]
    assert wide / narrow == pytest.approx(np.sqrt(10), rel=0.1)


def test_one_cluster_gives_no_interval():
    assert mean_interval(np.ones(5), np.zeros(5, dtype=np.int64), rng=rng()) == (None, None)


def test_multinomial_tables_keep_the_total_and_the_mean():
    table = np.array([[10, 20], [30, 40]])
    tables = multinomial_tables(table, draws=5000, rng=rng())
    assert (tables.sum(axis=(1, 2)) == 100).all()
    assert tables.mean(axis=0) == pytest.approx(table, rel=0.05)


def test_multinomial_agrees_with_wilson():
    cells = np.repeat([0, 1], [300, 700])
    low, high = table_interval(lambda t: t[:, 1] / t.sum(axis=1), cells, (2,), None, rng=rng())
    assert (low, high) == pytest.approx(wilson(700, 1000), abs=0.003)


def test_cluster_tables_draw_whole_clusters():
    codes = np.array([0, 0, 0, 1, 1])
    cells = np.array([0, 0, 0, 1, 1])
    tables = cluster_tables(codes, cells, 2, draws=200, rng=rng())
    assert set(map(tuple, tables.tolist())) == {(6, 0), (3, 2), (0, 4)}


def test_large_inputs_keep_at_least_200_draws():
    assert resample_sums(np.ones((1_000_001, 1)), draws=2000, rng=rng()).shape[0] == 200


def test_cluster_codes():
    assert cluster_codes(None) is None
    assert cluster_codes(np.array(["a", "b", None], dtype=object)) is None
    codes = cluster_codes(np.array(["a", None, "a", None], dtype=object))
    assert codes.tolist() == [0, 1, 0, 2]


def test_no_interval_where_too_many_replicates_are_undefined():
    values = np.arange(100.0)
    values[:20] = np.nan
    assert percentile_interval(values) == (None, None)
    values[:15] = 1.0
    assert percentile_interval(values)[0] is not None
