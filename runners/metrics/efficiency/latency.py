"""Latency and throughput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import MetricContext
from runners.metrics.efficiency.timing import calibrated, surroundings
from runners.metrics.efficiency.turns import Times, ask_in_turns, net
from runners.registry import Column, Cost, MetricReturn, MetricValue, get_metric, metric, undefined
from runners.statistics.intervals import quantile_interval

_BatchSizes = Annotated[tuple[Annotated[int, Field(ge=1, le=65536)], ...], Field(min_length=1, max_length=16)]

#: Samples that a percentile needs: five, and ten, beyond it.
_LEAST_SAMPLES = {0.95: 100, 0.99: 1000}
_TAILS = {"p95": 0.95, "p99": 0.99}


#: Samples without which a median has no interval.
_LEAST = 6


def _cost(parameters: Mapping[str, Any], _items: int) -> Cost:
    """Where time is short it repeats less often, so only the warm-up is sure."""
    items = sum(set(parameters["batch_sizes"]))
    least = items * parameters["warm_up"]
    return Cost(least=least, typical=least + items * parameters["repeats"])


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
        Column("calibrated", title="Latency (median, calibrated)"),
        Column("overhead", title="Latency of an echo (median)", direction="none"),
        Column("net", title="Net latency (median)"),
        Column("net_p95", title="Net latency (95th percentile)"),
        Column("net_p99", title="Net latency (99th percentile)"),
        Column("net_throughput", title="Net throughput", unit="items/s", direction="maximise"),
    ),
    reference="Percentiles with distribution-free intervals (order statistics); after warm-up",
    formula="latency = median of `repeats` times of one question of batch_sizes[0] items\n"
    "throughput = max over batch sizes of size / median time\n"
    "overhead = median time of a server of the platform's own that answers the same questions at once\n"
    "net = quantile - overhead; net throughput = max of size / net\n"
    "calibrated = latency · multiply-adds a second of a processor of the node / 5·10¹⁰",
    interval="Order statistics (binomial); none where the sample is too small for one of its ends. Of net by MOVER "
    "from those of both quantiles.",
    limits="The judge's clock: protocol and the node's other work are in it. `net` is without the typical way there "
    "and back; a tail is undefined where slow ways make up most of it, and all of it where the way hides the answer. "
    "No echo, hence no net, on a cluster and for images with a TCP server of their own. Calibrated by one product of "
    "matrices: memory, disk and devices may differ otherwise. A submission that remembers answers to items of the "
    "split looks faster than it is; one that keeps processors busy between its answers may slow the echo, and look "
    "faster in `net`: read `overhead` beside it.",
    queries=_cost,
)
def latency(
    ctx: MetricContext,
    *,
    batch_sizes: _BatchSizes = (1,),
    repeats: Annotated[int, Field(ge=30, le=100_000)] = 100,
    warm_up: Annotated[int, Field(ge=0, le=10_000)] = 10,
) -> MetricReturn:
    """Milliseconds from question to answer, seen by the judge, at the first batch size: total, and without the way.

    Each of `batch_sizes` is asked `repeats` times after `warm_up` questions that do not count, in turns with an echo,
    in an order drawn by the run's seed. Throughput is that of the best batch size. The 95th percentile needs 100
    repeats and the 99th 1000: with fewer it would be little more than the slowest answer, and is undefined. Where the
    run has too little time left there are fewer repeats.
    """
    keys = [column.key for column in get_metric("efficiency.latency").columns]
    if ctx.n == 0:
        return {key: undefined("the split has no items", n=0) for key in keys}
    rng = ctx.rng("efficiency.latency")
    times = ask_in_turns(ctx, batch_sizes, repeats=repeats, warm_up=warm_up, rng=rng)
    first = times.total[batch_sizes[0]]
    if first.size < _LEAST:
        reason = f"the time that the run had left allowed {first.size} repeats only; {_LEAST} are needed"
        return {key: undefined(reason, n=first.size) for key in keys}
    rows: list[JsonValue] = [_row(size, times.total[size]) for size in times.total]
    details: dict[str, JsonValue] = {
        "samples": first.size, "warm_up": warm_up, "batch_size": batch_sizes[0], "batches": rows,
        "without_echo": times.without, **surroundings(),
    }  # fmt: skip
    median = _quantile(first, 0.5, details)
    return {
        "": median,
        **{key: _tail(first, q, batch_sizes[0]) for key, q in _TAILS.items()},
        "throughput": _throughput(times.total),
        "calibrated": calibrated(ctx, median),
        **_separated(times, batch_sizes[0]),
    }


def _separated(times: Times, size: int) -> dict[str, MetricValue]:
    """The echo, and what is left without it."""
    tails = {key: _tail(times.total[size], q, size) for key, q in _TAILS.items()}
    own = {f"net_{key}": tail if tail.value is None else net(times, size, _TAILS[key]) for key, tail in tails.items()}
    if times.without:
        absent = undefined(times.without, state="not_applicable")
        return {**dict.fromkeys(("overhead", "net", "net_throughput"), absent), **dict.fromkeys(own, absent)}
    overhead = _quantile(times.echo[size], 0.5, {"p95_ms": _p95(times.echo[size]), "batch_size": size})
    return {"overhead": overhead, "net": net(times, size, 0.5), **own, "net_throughput": _net_throughput(times)}


def _net_throughput(times: Times) -> MetricValue:
    """Items a second of net time, at the batch size with the most."""
    nets = {size: net(times, size, 0.5) for size in times.total}
    told = {size: value.value for size, value in nets.items() if value.value is not None}
    if not told:
        return next(iter(nets.values()))
    size = max(told, key=lambda s: s / told[s])
    low, high = (None if end is None else 1000 * size / end for end in (nets[size].high, nets[size].low))
    return MetricValue(
        1000 * size / told[size], low=low, high=high, n=times.total[size].size, details={"batch_size": size}
    )


def _p95(seconds: npt.NDArray[np.float64]) -> float | None:
    return float(np.quantile(seconds, 0.95)) * 1000 if seconds.size >= _LEAST_SAMPLES[0.95] else None


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
