"""--fail-under: a CI job that fails when a result is not good enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from touchstone_client.summary import Judged
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
    return [item.text for item in judged(thresholds, results) if not item.passed]


def judged(thresholds: Sequence[Threshold], results: Results) -> list[Judged]:
    """Each threshold with what was measured."""
    by_key = {item.key: item for item in results.items}
    return [_judged(item, by_key) for item in thresholds]


def _judged(threshold: Threshold, by_key: dict[str, MetricValue]) -> Judged:
    found = by_key.get(threshold.key)
    limit = f"{threshold.value:g}"
    if found is None:
        there = f"no such result; there are {', '.join(by_key) or 'none to see'}"
        return Judged(threshold.key, limit, "no such result", False, f"{threshold.key}: {there}")
    if found.value is None:
        why = f"{found.state}{f' ({found.reason})' if found.reason else ''}"
        return Judged(threshold.key, limit, why, False, f"{threshold.key}: {why}")
    measured, relation = _compared(found)
    passed = measured >= threshold.value if relation == "at least" else measured <= threshold.value  # no NaN does
    wanted = f"{relation} {limit}"
    text = f"{threshold.key}: {measured:.6g}, wanted {wanted}"
    return Judged(threshold.key, wanted, f"{measured:.6g}", passed, text)


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
