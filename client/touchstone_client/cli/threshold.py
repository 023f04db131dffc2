"""--fail-under: a CI job that fails when a result is not good enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

import typer

from touchstone_client.types import MetricValue, Results


@dataclass(frozen=True)
class Threshold:
    """`value` is the worst that passes, in the metric's own unit and direction."""

    key: str
    value: float


def parse(texts: list[str], *, waiting: bool) -> list[Threshold]:
    """`KEY=VALUE` texts. Raises usage errors for other forms, and where nobody waits for the results."""
    if texts and not waiting:
        raise typer.BadParameter("needs --wait: there are no results yet", param_hint="--fail-under")
    return [_threshold(text) for text in texts]


def _threshold(text: str) -> Threshold:
    key, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not key or not math.isfinite(value):
        raise typer.BadParameter(f"{text!r} is not of the form KEY=VALUE", param_hint="--fail-under")
    return Threshold(key.strip(), value)


def missed(thresholds: list[Threshold], results: Results) -> list[str]:
    """A sentence for each threshold that is not met. A result that is missing or undefined meets none."""
    by_key = {item.key: item for item in results.items}
    return [text for item in thresholds if (text := _missed(item, by_key)) is not None]


def _missed(threshold: Threshold, by_key: dict[str, MetricValue]) -> str | None:
    found = by_key.get(threshold.key)
    if found is None:
        return f"{threshold.key}: no such result; there are {', '.join(by_key) or 'none to see'}"
    if found.value is None:
        return f"{threshold.key}: {found.state}{f' ({found.reason})' if found.reason else ''}"
    measured, relation = _compared(found)
    worse = measured < threshold.value if relation == "at least" else measured > threshold.value
    return f"{threshold.key}: {measured:.6g}, wanted {relation} {threshold.value:g}" if worse else None


def _compared(found: MetricValue) -> tuple[float, str]:
    """The number to compare and the side that passes. For metrics that are best at 0 or 1: the distance from there."""
    value = found.value or 0.0
    if found.direction == "minimise":
        return value, "at most"
    if found.direction == "zero":
        return abs(value), "at most"
    if found.direction == "one":
        return abs(value - 1.0), "a distance from 1 of at most"
    return value, "at least"
