"""Attributes as codes: what they read like, what they refuse, and that items are counted once a run."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.attributes import Attribute
from runners.data.columns import coded
from runners.measure import measure
from runners.metrics.fairness import table
from runners.registry import metrics
from tests.factories.runner_models import group_context

COUNTS = np.array([[[40, 10], [10, 40]], [[30, 20], [5, 45]]])
VALUES = st.lists(st.sampled_from(["", None, "a", "b", "ä", "10", "9"]), max_size=40)


@given(VALUES)
@settings(deadline=None)
def test_an_attribute_reads_like_the_strings_it_stands_for(values):
    known = [value or None for value in values]
    for attribute in (
        Attribute.of(values),
        Attribute.of(np.array(values, dtype=object)),
        coded(pa.array(values, pa.string())),
    ):
        assert list(attribute) == attribute.tolist() == known
        assert np.asarray(attribute).tolist() == known
        assert (len(attribute), attribute.shape) == (len(values), (len(values),))
        assert attribute.known.tolist() == [value is not None for value in known]
        assert attribute.sizes() == {name: known.count(name) for name in sorted(set(known) - {None})}
        for name in ("a", "10", "absent"):
            assert (attribute == name).tolist() == [value == name for value in known]
            assert (attribute != name).tolist() == [value != name for value in known]
        assert attribute[1::2].tolist() == known[1::2]
        assert [attribute[i] for i in range(len(values))] == known


def test_codes_are_as_small_as_the_values_are_few():
    assert Attribute.of(["b", "a", None]).names == ("a", "b")
    assert Attribute.of(["b", "a", None]).codes.tolist() == [1, 0, -1]
    for size, kind in ((128, np.int8), (129, np.int16), (1 << 15, np.int16), ((1 << 15) + 1, np.int32)):
        many = Attribute.of([str(i) for i in range(size)])
        assert many.codes.dtype == kind
        assert many.tolist()[-1] == str(size - 1)
    assert Attribute.of([3, 1.5, True]).tolist() == ["3", "1.5", "True"]


@pytest.mark.parametrize(("names", "codes"), [(("b", "a"), [0]), (("a", "a"), [0]), (("a",), [1]), (("a",), [-2])])
def test_what_is_no_attribute_is_refused(names, codes):
    with pytest.raises(ValueError, match="an attribute"):
        Attribute(names, np.array(codes, dtype=np.int8))


def test_values_that_only_others_have_are_no_groups():
    attribute = Attribute.of(["a", "b", "c", None])[np.array([0, 2, 2])]
    y = np.array([True, False, True])
    found = table.count(attribute, y, y)
    assert found.groups == ("a", "c")
    assert found.counts.tolist() == [[[0, 0], [0, 1]], [[1, 0], [0, 1]]]
    assert [part if isinstance(part, tuple) else part.tolist() for part in table.encode(attribute)] == [
        ("a", "c"),
        [0, 1, 1],
    ]


def test_all_metrics_of_a_run_share_one_table(monkeypatch):
    counted = []

    def count(*arguments, **more):
        counted.append(arguments)
        return real(*arguments, **more)

    real = table.count
    monkeypatch.setattr(table, "count", count)
    ctx = group_context(COUNTS)
    names = [
        name for name, info in metrics().items()
        if name.startswith("fairness.") and set(info.needs) == {"predictions", "attributes", "favourable"}
        and "attribute" in info.parameters.model_fields and info.results == ("[attribute]",)
    ]  # fmt: skip
    first = [result for name in names for result in measure(name, name, {"attribute": "a"}, ctx)]
    assert len(names) > 15
    assert len(counted) == 1
    (theil,) = measure("fairness.theil_index", "t", {}, ctx)
    assert theil.details["counts"] == COUNTS.sum(axis=0).tolist()
    assert len(counted) == 1
    # Other answers are counted anew.
    (turned,) = measure(names[0], names[0], {"attribute": "a"}, replace(ctx, predictions=1 - ctx.predictions))
    assert len(counted) == 2
    assert turned.value != first[0].value
