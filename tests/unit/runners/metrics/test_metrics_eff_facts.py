"""Percentiles and their sample sizes; memory, size, parameters and operations as the judge knows them."""

import numpy as np
import pytest

from runners.context import SubmissionFacts
from runners.measure import measure
from runners.registry import get_metric
from tests.factories.runner_models import Clock, TimedModel, context, model_context


def found(ctx, name, **parameters):
    return {r.key.removeprefix("m").lstrip("."): r for r in measure(name, "m", parameters, ctx)}


def timed(cost):
    clock = Clock()
    return model_context(TimedModel(clock, cost), np.zeros((20, 3), dtype=np.float32), [0, 1] * 10, clock=clock)


def test_percentiles_of_known_times():
    """A thousand answers of 1, 2, … 1000 ms."""
    ticks = iter([0.0, *(np.arange(1, 1001) / 1000)])  # the first is that of the context itself
    result = found(timed(lambda _n: float(next(ticks))), "efficiency.latency", repeats=1000, warm_up=0)
    assert result[""].value == pytest.approx(500.5)
    assert result["p95"].value == pytest.approx(950.05)
    assert result["p99"].value == pytest.approx(990.01)
    assert result["p99"].low < 990.01 < result["p99"].high
    assert result["p99"].title == "Latency (99th percentile)"


@pytest.mark.parametrize(("repeats", "p95", "p99"), [
    (99, "undefined", "undefined"), (100, "ok", "undefined"), (999, "ok", "undefined"), (1000, "ok", "ok"),
])  # fmt: skip
def test_a_percentile_needs_samples_beyond_it(repeats, p95, p99):
    result = found(timed(lambda _n: 0.001), "efficiency.latency", repeats=repeats)
    assert (result["p95"].state, result["p99"].state) == (p95, p99)
    for key, least in (("p95", 100), ("p99", 1000)):
        row = result[""].details["batches"][0][f"{key}_ms"]
        assert (row is None) == (result[key].value is None)
        if result[key].value is None:
            assert f"`repeats` to {least}" in result[key].reason
            assert f"the {key[1:]}th percentile" in result[key].reason


FACTS = {
    "efficiency.peak_memory": "peak_memory",
    "efficiency.model_size": "model_bytes",
    "efficiency.parameters": "parameters",
    "efficiency.flops": "flops",
}


@pytest.mark.parametrize(("name", "field"), FACTS.items())
def test_facts_are_told_as_they_are(name, field):
    everything = dict.fromkeys(FACTS.values(), 1)
    ctx = context([0, 1], [0, 1], facts=SubmissionFacts(**{**everything, field: 77}))
    result = found(ctx, name)[""]
    assert (result.value, result.state, result.direction) == (77, "ok", "minimise")


@pytest.mark.parametrize("name", FACTS)
def test_what_is_not_known_is_not_zero(name):
    file = found(context([0, 1], [0, 1]), name)[""]
    assert (file.value, file.state) == (None, "not_applicable")
    assert "file of answers" in file.reason
    other = found(context([0, 1], [0, 1], facts=SubmissionFacts()), name)[""]
    assert (other.value, other.state) == (None, "not_applicable")
    assert other.reason
    assert "file of answers" not in other.reason


def test_the_operator_that_is_not_counted_is_named():
    facts = SubmissionFacts(uncounted="the operators Det are not counted")
    assert found(context([0], [0], facts=facts), "efficiency.flops")[""].reason == "the operators Det are not counted"


def test_an_image_has_its_own_size():
    facts = SubmissionFacts(image_bytes=5)
    assert found(context([0], [0], facts=facts), "efficiency.model_size")[""].value == 5


def test_facts_cost_no_questions():
    assert all(get_metric(name).queries is None for name in FACTS)
