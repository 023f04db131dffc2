"""Measuring in turns: what is compared is measured in the same minutes, so that a busy machine slows all of it."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def say(text: str) -> None:
    """Progress for whoever waits. stdout belongs to the JSON."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def alternate(cases: Mapping[str, Callable[[], T]], *, rounds: int) -> dict[str, list[T]]:
    """Call every case once a round, beginning with another one each round; the answers by case, in order of rounds."""
    names = list(cases)
    found: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(cases[name]())
    return found


def summary(values: Sequence[float], *, digits: int = 4) -> dict[str, float | int]:
    """Median, number, quartiles, and the spread: the distance of the quartiles as a share of the median."""
    if not values:
        raise ValueError("nothing was measured")
    median = statistics.median(values)
    low, high = _quartiles(values)
    return {
        "median": _round(median, digits),
        "n": len(values),
        "q1": _round(low, digits),
        "q3": _round(high, digits),
        "spread": _round((high - low) / median, 3) if median else 0.0,
    }


def ratio(over: Sequence[float], under: Sequence[float]) -> dict[str, float | int]:
    """Summary of over/under round by round: both of a pair were measured next to each other."""
    return summary([a / b for a, b in zip(over, under, strict=True)])


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def _round(value: float, digits: int) -> float:
    """Small numbers keep three significant digits."""
    return round(value, digits) if abs(value) >= 10.0**-digits * 100 else float(f"{value:.3g}")
