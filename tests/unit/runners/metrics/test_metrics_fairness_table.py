"""The count table: in chunks, from strings or small integers, for one attribute or several, and cheap."""

import tracemalloc

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.fairness import table
from runners.metrics.fairness.joint import item_cells, joint_table
from runners.metrics.fairness.table import count, count_codes, encode
from runners.spec.models import AttributeSpec
from tests.factories.runner_models import binary_task, context


def sample(n, groups=("b", "a", "c"), seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(groups), n)
    return np.array(groups, dtype=object)[codes], codes, rng.random(n) < 0.4, rng.random(n) < 0.5


@pytest.mark.parametrize("chunk", [7, 64, 10_000])
def test_chunks_do_not_matter(monkeypatch, chunk):
    values, _, y, yhat = sample(1000)
    values[::11] = None
    values[::13] = ""
    whole = count(values, y, yhat)
    monkeypatch.setattr(table, "_CHUNK", chunk)
    part = count(values, y, yhat)
    assert part.groups == whole.groups == ("a", "b", "c")
    assert (part.counts == whole.counts).all()
    assert part.unknown == whole.unknown == len({*range(0, 1000, 11), *range(0, 1000, 13)})


def test_classes_are_compared_with_the_index():
    values, _, _, _ = sample(500)
    rng = np.random.default_rng(1)
    labels, predictions = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    found = count(values, labels, predictions, index=2)
    assert (found.counts == count(values, labels == 2, predictions == 2).counts).all()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int64])
@pytest.mark.parametrize("answers", [bool, np.int8, np.int64])
def test_columns_of_integers_give_the_same_table(monkeypatch, dtype, answers):
    monkeypatch.setattr(table, "_CHUNK", 128)
    values, codes, y, yhat = sample(1000)
    found = count_codes(codes.astype(dtype), y.astype(answers), yhat.astype(answers), ("b", "a", "c"))
    expected = count(values, y, yhat)
    assert found.groups == expected.groups
    assert (found.counts == expected.counts).all()
    assert found.counts.dtype == np.int64


def test_many_groups_do_not_overflow():
    groups = [f"g{i:03}" for i in range(200)]
    values, codes, y, yhat = sample(20_000, groups)
    found = count_codes(codes.astype(np.uint8), y, yhat, groups)
    assert (found.counts == count(values, y, yhat).counts).all()


@pytest.mark.parametrize("bad", [-1, 3])
def test_a_code_of_no_group_is_refused(bad):
    with pytest.raises(ValueError, match="codes of an attribute of 3 groups are 0"):
        count_codes(np.array([0, bad]), np.array([True, True]), np.array([True, True]), ("a", "b", "c"))


def test_numbers_and_texts_of_the_same_name_are_one_group():
    values = np.array([1, "1", 2, None], dtype=object)
    groups, codes = encode(values)
    assert groups == ("1", "2")
    assert codes.tolist() == [0, 0, 1, -1]


def test_an_empty_split_has_an_empty_table():
    empty = np.array([], dtype=bool)
    found = count(np.array([], dtype=object), empty, empty)
    assert (found.groups, found.counts.shape, found.unknown) == ((), (0, 2, 2), 0)


def two(n=3000, seed=3):
    rng = np.random.default_rng(seed)
    first = np.array(["x", "y", "z", None], dtype=object)[rng.integers(0, 4, n)]
    second = np.array(["m", "f"], dtype=object)[rng.integers(0, 2, n)]
    specs = {"one": AttributeSpec(privileged="x", minimum=5), "two": AttributeSpec(privileged="m", minimum=40)}
    return context(
        rng.integers(0, 2, n), rng.integers(0, 2, n), task=binary_task(favourable="yes"),
        attributes={"one": first, "two": second}, attribute_specs=specs,
    )  # fmt: skip


def test_joint_groups_are_those_of_joined_values(monkeypatch):
    monkeypatch.setattr(table, "_CHUNK", 100)
    ctx = two()
    found = joint_table(ctx, ("one", "two"), 1)
    joined = [None if a is None else f"{a} & {b}" for a, b in zip(*ctx.attributes.values(), strict=True)]
    expected = count(np.array(joined, dtype=object), ctx.labels == 1, ctx.predictions == 1)
    assert tuple(found.names) == expected.groups
    assert (found.counts == expected.counts).all()
    assert found.unknown == expected.unknown > 0
    assert found.minimum == 40
    where = item_cells(ctx, found)
    assert [None if i < 0 else found.names[i] for i in where] == joined


def test_a_comparison_takes_little_memory_of_its_own():
    """Two million items: what is needed on top are two chunks and the class of each item, never rows of strings."""
    n = 2_000_000
    rng = np.random.default_rng(0)
    values = np.array(["u", "p"], dtype=object)[rng.integers(0, 2, n)]
    ctx = context(
        rng.integers(0, 2, n), rng.integers(0, 2, n), task=binary_task(favourable="yes"),
        probabilities=np.tile([[0.25, 0.75]], (n, 1)), attributes={"a": values},
        attribute_specs={"a": AttributeSpec(privileged="p")},
    )  # fmt: skip
    tracemalloc.start()
    try:
        list(measure("fairness.statistical_parity_difference", "x", {"attribute": "a"}, ctx))
        list(measure("fairness.false_positive_rate", "y", {"attribute": "a"}, ctx))
        list(measure("fairness.calibration_within_groups", "c", {"attribute": "a"}, ctx))
        list(measure("fairness.generalized_equalized_odds_difference", "g", {"attribute": "a"}, ctx))
        list(measure("fairness.relative_performance", "r", {"attribute": "a"}, ctx))
        list(measure("fairness.theil_index", "t", {}, ctx))
        list(measure("fairness.intersectional_gap", "z", {"attribute": ["a"]}, ctx))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6
