import numpy as np
import pytest

from runners.statistics.bootstrap import (
    cluster_codes,
    cluster_tables,
    groups_of,
    mean_interval,
    multinomial_tables,
    percentile_interval,
    resample_sums,
    table_interval,
    tail,
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
    tables = np.concatenate(list(cluster_tables(codes, cells, 2, draws=200, rng=rng())))
    assert set(map(tuple, tables.tolist())) == {(6, 0), (3, 2), (0, 4)}


def test_large_tables_are_drawn_like_small_ones(monkeypatch):
    """Above some size a table for each cluster is kept sparse, and replicates are made in parts."""
    codes = np.repeat(np.arange(40), 5)
    cells = rng().integers(0, 60, size=codes.size)
    few = np.concatenate(list(cluster_tables(codes, cells, 60, draws=200, rng=rng())))
    monkeypatch.setattr("runners.statistics.bootstrap._CHUNK", 40_000)
    many = list(cluster_tables(codes, cells * 20, 1181, draws=200, rng=rng()))
    assert len(many) > 1
    assert max(part.size for part in many) <= 40_000
    whole = np.concatenate(many)
    assert (whole.sum(axis=1) == codes.size).all()
    assert whole[:, ::20].mean(axis=0) == pytest.approx(few.mean(axis=0), abs=1.0)


def test_a_statistic_of_many_cells_needs_little_memory():
    cells = rng().integers(0, 10**6, size=1000)
    seen = []

    def statistic(tables):
        seen.append(tables.size)
        return tables[:, : 10**5].sum(axis=1).astype(float)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runners.statistics.bootstrap.TABLE_DRAWS", 10)
        low, high = table_interval(statistic, cells, (10**6,), None, rng=rng())
    assert 50 < low < high < 150
    assert max(seen) <= 4_000_000


def test_groups_of():
    codes, kinds = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 2, 2])
    assert groups_of(codes, kinds, 4).tolist() == [2, 0, 2, 0]


def test_equal_values_give_no_interval():
    """Resampling them would claim that the mean is known for certain."""
    assert mean_interval(np.full(50, 0.3), None, rng=rng()) == (None, None)
    assert mean_interval(np.full(50, 0.3), np.repeat([0, 1], 25), rng=rng()) == (None, None)


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


def test_equal_replicates_give_no_interval():
    """Four clusters with two of four each: drawing them anew gives one half every time, which nobody is sure of."""
    assert percentile_interval(np.full(1000, 0.5)) == (None, None)
    values = np.tile([1.0, 1.0, 0.0, 0.0], 4)
    assert mean_interval(values, np.repeat(np.arange(4), 4), rng=rng()) == (None, None)
    cells = values.astype(np.int64)
    found = table_interval(lambda t: t[:, 1] / t.sum(axis=1), cells, (2,), np.repeat(np.arange(4), 4), rng=rng())
    assert found == (None, None)


def test_few_units_have_a_wider_interval():
    """Student's t with four degrees of freedom and a spread of five values: 2.776 * sqrt(5 / 4) for 1.96."""
    assert tail(None) == 0.025
    assert tail(10**6) == pytest.approx(0.025, abs=1e-5)
    replicates = rng().normal(size=200_000)
    low, high = percentile_interval(replicates, units=5)
    assert high == pytest.approx(2.7764451 * np.sqrt(5 / 4), rel=0.05)
    assert low == pytest.approx(-high, rel=0.1)
    assert percentile_interval(replicates, units=1) == (None, None)


def test_intervals_of_few_units_cover():
    source, hits = rng(), []
    for _ in range(300):
        low, high = mean_interval(source.normal(size=8), None, rng=source)
        hits.append(low <= 0 <= high)
    assert np.mean(hits) >= 0.92
