"""Latency per token against the length of the context."""

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.efficiency.latency_per_token import line
from runners.registry import get_metric
from tests.unit.runners.metrics.test_metrics_eff_sweep import tokens

LENGTHS = np.array([8, 16, 40, 88, 184, 392, 848, 1832, 4096.0])


def found(ctx, **parameters):
    given = {"seconds": 1e6, **parameters}
    return {r.key: r for r in measure("efficiency.latency_per_token", "m", given, ctx)}


def test_the_line_goes_through_exact_times():
    fit = line(LENGTHS, 0.004 + 2e-5 * LENGTHS + 3e-9 * LENGTHS**2)
    assert (fit.fixed, fit.each, fit.slope) == pytest.approx((0.004, 2e-5, 3e-9))


def test_the_intervals_hold_what_is_true_as_often_as_they_say():
    rng = np.random.default_rng(2)
    hits = {"slope": 0, "token": 0}
    for _ in range(300):
        t = (0.004 + 2e-5 * LENGTHS + 3e-9 * LENGTHS**2) * (1 + 0.02 * rng.normal(size=LENGTHS.size))
        fit = line(LENGTHS, t)
        _, low, high = fit.interval((0, 0, 1))
        hits["slope"] += low <= 3e-9 <= high
        _, low, high = fit.interval((0, 1, 64))
        hits["token"] += low <= 2e-5 + 64 * 3e-9 <= high
    assert all(270 <= number <= 298 for number in hits.values()), hits


def test_a_linear_server_is_flat_whatever_a_question_costs_besides():
    """0.1 ms a token; the fixed 20 ms make a naive latency per token fall by 2.5 ms over the sweep."""
    result = found(tokens(lambda n: 0.02 + 1e-4 * n)[0])
    slope = result["m"]
    assert slope.value == pytest.approx(0.0, abs=0.5)
    assert slope.low < 0 < slope.high
    assert slope.details["flat"] is True
    assert slope.details["fixed_ms"] == pytest.approx(20, rel=0.05)
    assert (slope.unit, slope.direction) == ("µs/token per 1000 tokens", "zero")
    assert result["m.at_usual_length"].value == pytest.approx(0.1, rel=0.02)
    assert result["m.at_usual_length"].direction == "minimise"


def test_attention_grows_by_its_square():
    """t = 2 ms + 10 µs·n + 1 ns·n²: a token takes 1 µs more for each thousand more of context."""
    result = found(tokens(lambda n: 0.002 + 1e-5 * n + 1e-9 * n**2)[0])
    assert result["m"].value == pytest.approx(1.0, rel=1e-6)
    assert result["m"].low < 1.0 < result["m"].high
    assert result["m"].low > 0
    assert result["m"].details["flat"] is False
    assert result["m.at_usual_length"].value == pytest.approx(1e-2 + 64e-6, rel=1e-6)
    assert result["m.at_usual_length"].details == {"length": 64}


def test_constant_cost_hides_what_a_token_takes():
    result = found(tokens(lambda _n: 0.01)[0])
    assert result["m"].value == pytest.approx(0.0, abs=1e-6)
    assert result["m.at_usual_length"].state == "undefined"
    assert "hides" in result["m.at_usual_length"].reason


def test_noise_is_told_as_not_to_be_told():
    rng = np.random.default_rng(0)
    result = found(tokens(lambda n: (0.001 + 1e-5 * n) * rng.uniform(0.4, 2))[0], repeats=3)
    assert result["m"].details["flat"] is None


def test_where_it_does_not_apply():
    absent = found(tokens(lambda n: n, sizes=None)[0])
    assert {r.state for r in absent.values()} == {"not_applicable"}
    assert list(absent) == ["m", "m.at_usual_length"]
    refused = found(tokens(lambda n: 0.001 * n, refuses=lambda n: n > 64)[0])
    assert {r.state for r in refused.values()} == {"undefined"}
    assert "tokens, please" in refused["m"].reason


def test_declared_questions_are_those_asked():
    ctx, server = tokens(lambda n: 0.001 + 1e-5 * n)
    found(ctx)
    assert (
        server.queries == get_metric("efficiency.latency_per_token").queries({"lengths": 9, "repeats": 7}, 20).typical
    )
