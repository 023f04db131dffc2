import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.efficiency.growth import classes, power_law
from tests.factories.runner_models import Clock, NetModel, TimedModel, context, model_context

SIZES = np.unique(np.round(np.geomspace(1, 256, 9)))
GROWTH = {
    "1": lambda n: 5.0 + 0 * n,
    "log n": lambda n: 1 + np.log2(n),
    "n": lambda n: 2 + 0.1 * n,
    "n log n": lambda n: 2 + 0.1 * n * np.log2(n),
    "n^2": lambda n: 2 + 0.01 * n**2,
    "n^3": lambda n: 1 + 0.001 * n**3,
}


def timed(cost):
    clock = Clock()
    model = TimedModel(clock, cost)
    x = np.zeros((20, 3), dtype=np.float32)
    ctx = model_context(model, x, [0, 1] * 10, clock=clock)
    model.calls = model.queries = 0
    return ctx, model


def only(results):
    (result,) = results
    return result


@pytest.mark.parametrize("name", GROWTH)
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_class_is_recognised(name, noise):
    rng = np.random.default_rng(1)
    times = GROWTH[name](SIZES) * 1e-3 * (1 + noise * np.abs(rng.normal(size=SIZES.size)))
    best = classes(SIZES, times)[0]
    assert best.name == name
    assert best.plausible
    assert best.aicc == 0


@pytest.mark.parametrize(("name", "exponent"), [("n", 1), ("n^2", 2), ("n^3", 3)])
def test_exponent_is_that_of_the_power_with_the_constant_subtracted(name, exponent):
    rng = np.random.default_rng(2)
    times = GROWTH[name](SIZES) * 1e-3 * (1 + 0.02 * np.abs(rng.normal(size=SIZES.size)))
    fit = power_law(SIZES, times)
    assert fit.c == pytest.approx(exponent, abs=0.06)
    assert fit.low <= exponent <= fit.high
    assert fit.r2 > 0.99


def test_times_are_never_made_of_negative_parts():
    for times in (SIZES[::-1] * 1e-3, np.maximum(SIZES - 5, 1e-3), SIZES**1.5 * 1e-3):
        assert all(c.a >= 0 and c.b >= 0 for c in classes(SIZES, times))
        fit = power_law(SIZES, times)
        assert fit.a >= 0
        assert fit.b >= 0


def test_interval_covers_the_exponent():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(60):
        fit = power_law(SIZES, (2 + 0.2 * SIZES) * (1 + 0.03 * rng.normal(size=SIZES.size)))
        hits += fit.low is not None and fit.high is not None and fit.low <= 1 <= fit.high
    assert hits >= 53


@pytest.mark.parametrize(
    ("cost", "name", "exponent"),
    [
        (lambda n: 0.002 + 0.0005 * n, "n..n log n", 1.0),
        (lambda n: 0.002 + 0.00002 * n**2, "n^2", 2.0),
        (lambda n: 0.010 + 0.00002 * n, "n..n log n", 1.0),
    ],
)
def test_metric_on_a_synthetic_clock(cost, name, exponent):
    ctx, model = timed(cost)
    result = only(measure("efficiency.time_complexity", "t", {"seconds": 1000}, ctx))
    assert result.state == "ok", result.reason
    assert result.value == pytest.approx(exponent, abs=0.02)
    assert result.low <= exponent <= result.high
    assert result.details["class"] == name
    points = result.details["points"]
    assert len(points) >= 5
    assert [p["n"] for p in points] == sorted({p["n"] for p in points})
    assert points[-1]["min_ms"] == pytest.approx(1000 * cost(256))
    assert model.calls == len(points) * (7 + 1) + 1


def test_what_does_not_grow_cannot_be_told():
    result = only(measure("efficiency.time_complexity", "t", {}, timed(lambda n: 0.005)[0]))
    assert (result.value, result.state) == (None, "undefined")
    assert "cannot be told" in result.reason
    assert "constant cost" in result.reason
    assert result.details["class"] is None
    assert "1" in result.details["plausible"]


def test_noise_cannot_be_told():
    rng = np.random.default_rng(0)
    ctx, _ = timed(lambda n: 0.001 * rng.uniform(1, 30))
    result = only(measure("efficiency.time_complexity", "t", {"repeats": 3}, ctx))
    assert (result.value, result.state) == (None, "undefined")
    assert "cannot be told" in result.reason


def test_answers_faster_than_the_clock_cannot_be_told():
    for cost in (lambda n: 0.0, lambda n: 1e-9 * n):
        result = only(measure("efficiency.time_complexity", "t", {}, timed(cost)[0]))
        assert (result.value, result.state) == (None, "undefined")


def test_sweep_stops_where_it_would_take_too_long():
    ctx, model = timed(lambda n: 0.1 * n)
    result = only(measure("efficiency.time_complexity", "t", {"seconds": 30, "largest": 4096}, ctx))
    assert len(result.details["points"]) < 9
    assert ctx.clock() < 120
    assert model.queries < 4096 * 8


def test_sweep_ends_where_a_question_is_split():
    ctx, model = timed(lambda n: 0.001 + 0.0001 * n)
    whole = model.predict

    def split(x):
        parts = [whole(x[i : i + 100]) for i in range(0, len(x), 100)]
        return np.concatenate(parts)

    model.predict = split
    result = only(measure("efficiency.time_complexity", "t", {"largest": 1024, "sizes": 12}, ctx))
    assert max(p["n"] for p in result.details["points"]) <= 100
    assert result.value == pytest.approx(1.0, abs=0.02)


def test_latency_on_a_synthetic_clock():
    turns = iter(range(10**6))
    ctx, model = timed(lambda n: (0.001 + 0.0001 * n) * (3 if next(turns) % 10 == 0 else 1))
    results = {r.key: r for r in measure("efficiency.latency", "l", {"batch_sizes": [1, 16], "repeats": 200}, ctx)}
    assert list(results)[:4] == ["l", "l.p95", "l.p99", "l.throughput"]
    assert results["l"].value == pytest.approx(1.1)
    assert results["l"].low == results["l"].high == pytest.approx(1.1)
    assert results["l"].n == 200
    assert results["l"].unit == "ms"
    assert results["l.p95"].value == pytest.approx(3.3)
    assert results["l.throughput"].value == pytest.approx(16 / 0.0026)
    assert results["l.throughput"].unit == "items/s"
    assert results["l.throughput"].direction == "maximise"
    assert model.calls == 2 * (200 + 10)
    assert {row["batch_size"] for row in results["l"].details["batches"]} == {1, 16}
    assert results["l"].parameters["batch_sizes"] == [1, 16]


def test_p95_of_a_small_sample_is_no_value():
    ctx, _ = timed(lambda n: 0.001)
    results = {r.key: r for r in measure("efficiency.latency", "l", {"repeats": 30}, ctx)}
    assert (results["l.p95"].value, results["l.p95"].state) == (None, "undefined")
    assert results["l"].value == pytest.approx(1.0)


def test_real_clock_on_a_real_workload():
    rng = np.random.default_rng(0)
    model = NetModel([rng.normal(size=(64, 64)), rng.normal(size=(64, 2))], [np.zeros(64), np.zeros(2)])
    x = rng.random((50, 64)).astype(np.float32)
    ctx = model_context(model, x, model.predict(x).argmax(axis=1))
    latency = {r.key: r for r in measure("efficiency.latency", "l", {"repeats": 30}, ctx)}
    assert latency["l"].value > 0
    complexity = only(measure("efficiency.time_complexity", "t", {"repeats": 3}, ctx))
    # What the machine does meanwhile decides whether it can be told; both answers are sound.
    assert complexity.state in {"ok", "undefined"}
    assert len(complexity.details["points"]) >= 5
    assert all(p["min_ms"] > 0 for p in complexity.details["points"])


def test_a_file_of_answers_has_no_latency():
    results = list(measure("efficiency.latency", "l", {}, context([0, 1], [0, 1])))
    assert [r.key for r in results][:4] == ["l", "l.p95", "l.p99", "l.throughput"]
    assert {r.state for r in results} == {"not_applicable"}
