"""Latency and throughput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import MetricContext
from runners.metrics.efficiency.timing import batch, seconds_of, surroundings
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric, undefined
from runners.statistics.intervals import quantile_interval

_BatchSizes = Annotated[tuple[Annotated[int, Field(ge=1, le=65536)], ...], Field(min_length=1, max_length=16)]

#: Samples that a percentile needs: five, and ten, beyond it.
_LEAST_SAMPLES = {0.95: 100, 0.99: 1000}


def _cost(parameters: Mapping[str, Any], _items: int) -> Cost:
    asked = sum(set(parameters["batch_sizes"])) * (parameters["repeats"] + parameters["warm_up"])
    return Cost(least=asked, typical=asked)


@metric(
    "efficiency.latency",
    title="Latency (median)",
    direction="minimise",
    range=(0.0, None),
    unit="ms",
    needs=("queries",),
    results=(
        "",
        Column("p95", title="Latency (95th percentile)"),
        Column("p99", title="Latency (99th percentile)"),
        Column("throughput", title="Throughput", unit="items/s", direction="maximise"),
    ),
    reference="Percentiles with distribution-free intervals (order statistics); after warm-up",
    queries=_cost,
)
def latency(
    ctx: MetricContext,
    *,
    batch_sizes: _BatchSizes = (1,),
    repeats: Annotated[int, Field(ge=30, le=100_000)] = 100,
    warm_up: Annotated[int, Field(ge=0, le=10_000)] = 10,
) -> MetricReturn:
    """Milliseconds from question to answer, seen by the judge, protocol included, at the first batch size.

    Each of `batch_sizes` is asked `repeats` times after `warm_up` questions that do not count, in an
    order drawn by the run's seed. Throughput is that of the best batch size. The 95th percentile needs 100 repeats and
    the 99th 1000: with fewer it would be little more than the slowest answer, and is undefined.
    """
    if ctx.n == 0:
        return {key: undefined("the split has no items", n=0) for key in ("", "p95", "p99", "throughput")}
    times = _measure(ctx, batch_sizes, repeats, warm_up)
    first = times[batch_sizes[0]]
    rows: list[JsonValue] = [_row(size, times[size]) for size in dict.fromkeys(batch_sizes)]
    details: dict[str, JsonValue] = {
        "samples": repeats, "warm_up": warm_up, "batch_size": batch_sizes[0], "batches": rows, **surroundings(),
    }  # fmt: skip
    return {
        "": _quantile(first, 0.5, details),
        "p95": _tail(first, 0.95, batch_sizes[0]),
        "p99": _tail(first, 0.99, batch_sizes[0]),
        "throughput": _throughput(times),
    }


def _measure(
    ctx: MetricContext, batch_sizes: tuple[int, ...], repeats: int, warm_up: int
) -> dict[int, npt.NDArray[np.float64]]:
    """Seconds of each question by batch size; sizes take turns at random, so that drift hits all alike."""
    rng = ctx.rng("efficiency.latency")
    questions = {size: batch(ctx, size, rng) for size in batch_sizes}
    for x in questions.values():
        for _ in range(warm_up):
            seconds_of(ctx, x)
    times: dict[int, list[float]] = {size: [] for size in questions}
    for size in rng.permutation(np.repeat(list(questions), repeats)).tolist():
        times[size].append(seconds_of(ctx, questions[size]))
        done = sum(map(len, times.values()))
        if done % max(1, repeats // 10) == 0:
            ctx.progress("latency", done / (repeats * len(questions)))
    return {size: np.array(values) for size, values in times.items()}


def _tail(seconds: npt.NDArray[np.float64], q: float, size: int) -> MetricValue:
    """A high percentile, where there are enough samples for it to be more than the largest of them."""
    needed = _LEAST_SAMPLES[q]
    if seconds.size < needed:
        reason = f"{seconds.size} samples cannot tell the {q * 100:.0f}th percentile; set `repeats` to {needed} or more"
        return undefined(reason, n=seconds.size)
    return _quantile(seconds, q, {"samples": seconds.size, "batch_size": size})


def _row(size: int, seconds: npt.NDArray[np.float64]) -> JsonValue:
    p50 = float(np.median(seconds)) * 1000
    tails: dict[str, JsonValue] = {
        f"p{q * 100:.0f}_ms": float(np.quantile(seconds, q)) * 1000 if seconds.size >= needed else None
        for q, needed in _LEAST_SAMPLES.items()
    }
    return {
        "batch_size": size, "p50_ms": p50, **tails, "min_ms": float(seconds.min()) * 1000,
        "max_ms": float(seconds.max()) * 1000, "items_per_second": _per_second(size, p50 / 1000),
    }  # fmt: skip


def _per_second(size: int, seconds: float) -> float | None:
    return size / seconds if seconds > 0 else None


def _quantile(seconds: npt.NDArray[np.float64], q: float, details: dict[str, JsonValue]) -> MetricValue:
    value, low, high = quantile_interval(seconds * 1000, q)
    # Half an interval would read as certainty on the open side.
    closed = low is not None and high is not None
    return MetricValue(
        value, low=low if closed else None, high=high if closed else None, n=seconds.size, details=details
    )


def _throughput(times: dict[int, npt.NDArray[np.float64]]) -> MetricValue:
    """Items a second at the batch size with the most, from the median time."""
    medians = {size: quantile_interval(seconds, 0.5) for size, seconds in times.items()}
    usable = {size: m for size, m in medians.items() if m[0] > 0}
    if not usable:
        return undefined("the answers came faster than the clock can tell")
    size = max(usable, key=lambda s: s / usable[s][0])
    median, fast, slow = usable[size]
    bounded = fast is not None and slow is not None and fast > 0
    return MetricValue(
        size / median,
        low=size / slow if bounded and slow else None,
        high=size / fast if bounded and fast else None,
        n=times[size].size,
        details={"batch_size": size},
    )
