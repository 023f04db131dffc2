"""Energy and carbon dioxide of an answer: measured by the machine's counters, or estimated, never mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import sleep
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from runners.context import Inputs, MetricContext
from runners.metrics.efficiency.counters import Counters, between
from runners.metrics.efficiency.timing import batch, seconds_of, surroundings
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric, undefined
from runners.statistics.intervals import quantile_interval

_KWH = 3.6e6
#: Windows without which a median has no interval.
_FEWEST = 6
#: Counters are renewed about every millisecond: a shorter window would be mostly rounding.
_SHORTEST_WINDOW = 0.05


def _cost(parameters: Mapping[str, Any], _items: int) -> Cost:
    """At least one question a window and one to warm up; how many fit into its time is not known before."""
    asked = parameters["batch_size"] * (parameters["windows"] + 1)
    return Cost(least=asked, typical=asked, seconds=parameters["windows"] * parameters["seconds"])


@dataclass(frozen=True)
class _Window:
    """Joules by counter, items answered and seconds of one window."""

    joules: dict[str, float]
    items: int
    seconds: float


@metric(
    "efficiency.energy",
    title="Energy of an item (measured)",
    direction="minimise",
    range=(0.0, None),
    unit="J",
    needs=("queries",),
    results=(
        "",
        Column("co2e", title="CO2e of 1000 items (measured)", unit="g"),
        Column("estimated", title="Energy of an item (estimated)", direction="none"),
        Column("estimated_co2e", title="CO2e of 1000 items (estimated)", unit="g", direction="none"),
    ),
    reference="RAPL and NVML counters; median of windows with interval by order statistics; PUE: ISO/IEC 30134-2",
    formula="E = median over windows of joules of the machine / items answered, times `pue`\n"
    "CO2e of 1000 items = 1000 · E · grid / 3.6 · 10⁶; estimated: seconds of an item · `watts` · `pue`",
    interval="Order statistics of the windows (binomial).",
    limits="The whole machine is in it, idle parts and other runs included (`details.idle_watts`). Without "
    "counters, as on most virtual machines, it is undefined. The estimate rests on a number of watts that somebody "
    "declared, so nothing can be ranked by it, and the two are never mixed.",
    queries=_cost,
)
def energy(
    ctx: MetricContext,
    *,
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 16,
    windows: Annotated[int, Field(ge=_FEWEST, le=1000)] = 12,
    seconds: Annotated[float, Field(ge=_SHORTEST_WINDOW, le=60)] = 0.5,
    pue: Annotated[float, Field(ge=1, le=10)] = 1.0,
    grid: Annotated[float, Field(ge=0, le=3000)] | None = None,
    watts: Annotated[float, Field(gt=0)] | None = None,
) -> MetricReturn:
    """Joules for one item while the submission is asked without pause, times `pue`, the overhead of the building.

    The whole machine is measured, idle parts and other runs included: `details.idle_watts` is what it drew just
    before. Undefined where the machine has no counters, as most virtual ones. `estimated` is seconds of an item times
    `watts`, a number that the organiser declares; nothing can be ranked by it. CO2e needs `grid`, grams a
    kilowatt-hour.
    """
    keys = ("", "co2e", "estimated", "estimated_co2e")
    if ctx.n == 0:
        return {key: undefined("the split has no items", n=0) for key in keys}
    x = batch(ctx, batch_size, ctx.rng("efficiency.energy"))
    seconds_of(ctx, x)
    found = []
    with Counters() as counters:
        idle = _idle(ctx, counters, seconds)
        for number in range(windows):
            found.append(_window(ctx, counters, x, seconds))
            ctx.progress("energy", (number + 1) / windows)
    each = np.array([window.seconds / window.items for window in found])
    details: dict[str, JsonValue] = {
        "windows": windows, "window_seconds": seconds, "batch_size": batch_size, "pue": pue, "grid_g_per_kwh": grid,
        "items": sum(window.items for window in found), **surroundings(),
    }  # fmt: skip
    measured = _measured(found, idle, pue, details, counters.lacking)
    if watts is None:
        guessed = undefined("nothing is estimated: the competition declares no `watts`")
    else:
        guessed = _quantiles(each * watts * pue, {**details, "watts": watts, "estimated": True})
    return {
        "": measured, "co2e": _carbon(measured, grid),
        "estimated": guessed, "estimated_co2e": _carbon(guessed, grid),
    }  # fmt: skip


def _idle(ctx: MetricContext, counters: Counters, seconds: float) -> dict[str, float]:
    """Watts by counter while nothing is asked."""
    before, started = counters.read(), ctx.clock()
    if not before:
        return {}
    sleep(seconds)
    spent, passed = between(before, counters.read()), ctx.clock() - started
    return {name: joules / passed for name, joules in spent.items()} if passed > 0 else {}


def _window(ctx: MetricContext, counters: Counters, x: Inputs, seconds: float) -> _Window:
    before = counters.read()
    items, spent = 0, 0.0
    while spent < seconds:
        spent += seconds_of(ctx, x)
        items += len(x)
    return _Window(between(before, counters.read()), items, spent)


def _measured(
    found: list[_Window], idle: dict[str, float], pue: float, details: dict[str, JsonValue], lacking: list[str]
) -> MetricValue:
    names = sorted(set.union(*(set(window.joules) for window in found)))
    if not names:
        return undefined("nothing was measured: " + "; ".join(lacking))
    # A window without one of the counters would be too low.
    found = [window for window in found if len(window.joules) == len(names)]
    if len(found) < _FEWEST:
        return undefined(f"a counter was lost meanwhile: {len(found)} windows are whole, {_FEWEST} are needed")
    totals = np.array([sum(window.joules[name] for name in names) / window.items for window in found])
    if not totals.any():
        return undefined("nothing was measured: the counters stood still")
    more: dict[str, JsonValue] = {
        "measured": True,
        "counters": {name: sum(w.joules[name] for w in found) for name in names},
        "idle_watts": {name: idle[name] for name in names if name in idle},
    }
    return _quantiles(totals * pue, details | more)


def _quantiles(values: Any, details: dict[str, JsonValue]) -> MetricValue:
    value, low, high = quantile_interval(values, 0.5)
    return MetricValue(value, low=low, high=high, n=len(values), details=details)


def _carbon(joules: MetricValue, grid: float | None) -> MetricValue:
    """Grams for 1000 items."""
    if joules.value is None:
        return undefined(joules.reason)
    if grid is None:
        return undefined("the competition declares no `grid` factor (grams of CO2e a kilowatt-hour)")
    factor = 1000 * grid / _KWH
    low, high = (None if end is None else end * factor for end in (joules.low, joules.high))
    return MetricValue(joules.value * factor, low=low, high=high, n=joules.n, details={"grid_g_per_kwh": grid})
