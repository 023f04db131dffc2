"""Results of a run as rows of a table, by pillar, with the geometry of their intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from runners.spec import catalogue
from touchstone.core.names import named
from touchstone.evaluations.models import Result
from touchstone.evaluations.validity import validity_of
from touchstone.web import charts, present


@dataclass(frozen=True)
class ScoreRow:
    """One result, formatted."""

    key: str
    title: str
    value: str
    interval: str
    mark: charts.Interval | None
    n: str
    unit: str
    direction: present.Direction
    state: str
    reason: str
    parameters: str
    verdict: str
    doubts: tuple[str, ...]
    summary: str = ""


@dataclass(frozen=True)
class ScoreGroup:
    name: str
    rows: list[ScoreRow]


def scale_for(result: Result, metrics: dict[str, Any]) -> charts.Scale | None:
    """The metric's own range where it is bounded on both sides; else from 0 (or the lowest) to a little above."""
    ideal = present.direction(result.direction).ideal
    shown = [value for value in (result.value, result.low, result.high) if value is not None]
    low, high = metrics.get(result.metric, {}).get("range", (None, None))
    if low is not None and high is not None and shown and low <= min(shown) and max(shown) <= high:
        return charts.Scale(float(low), float(high))
    if not shown:
        return None
    return charts.scale_of([*shown, 0.0, max(shown) * 1.1], ideal=ideal)


def _row(result: Result, metrics: dict[str, Any]) -> ScoreRow:
    direction = present.direction(result.direction)
    parameters = present.shown_parameters(result.parameters)
    validity = validity_of(result.details)
    return ScoreRow(
        key=result.key,
        title=named(result.title) or result.metric,
        value=present.number(result.value),
        interval=present.interval_text(result.low, result.high),
        mark=charts.interval(scale_for(result, metrics), result.value, result.low, result.high, ideal=direction.ideal),
        n=present.count(result.n),
        unit=named(result.unit),
        direction=direction,
        state=result.state,
        reason=result.reason,
        parameters=", ".join(f"{key} = {value}" for key, value in parameters.items() if key != "attribute"),
        verdict=validity.verdict,
        doubts=validity.doubts,
        summary=named(str(metrics.get(result.metric, {}).get("summary", ""))),
    )


def score_groups(results: Iterable[Result]) -> list[ScoreGroup]:
    """Results by pillar, in the order in which the pillars come first."""
    metrics: dict[str, Any] = catalogue()["metrics"]
    groups: dict[str, list[ScoreRow]] = {}
    before = ""
    for result in results:
        row = _row(result, metrics)
        # Results of one metric share their parameters: said once is enough.
        shown = replace(row, parameters="") if row.parameters == before else row
        before = row.parameters
        groups.setdefault(result.pillar, []).append(shown)
    return [ScoreGroup(name, rows) for name, rows in groups.items()]
