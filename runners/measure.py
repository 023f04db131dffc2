"""Compute one registered metric in one context: the only way from a metric to its results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from runners.context import MetricContext
from runners.contract import MetricResult
from runners.errors import ScorerFault, UserError
from runners.models.base import BudgetSpent
from runners.registry import MetricInfo, MetricValue, get_metric, parse_parameters, undefined


def _finite(value: float | None) -> bool:
    return value is None or math.isfinite(value)


def _json_safe(value: JsonValue) -> JsonValue:
    """The same JSON with NaN and infinity as null: they have no JSON form."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    return value


def _checked(value: MetricValue) -> MetricValue:
    """NaN and infinity never leave: they become undefined with a reason."""
    if not _finite(value.value):
        return replace(
            value, value=None, low=None, high=None, state="undefined", reason="the formula gave no finite number"
        )
    if not _finite(value.low) or not _finite(value.high):
        return replace(value, low=None, high=None)
    return value


def _absent(info: MetricInfo, parameters: Mapping[str, Any], reason: str) -> dict[str, MetricValue]:
    """`not_applicable` for each result that the metric would have given, so that columns stay aligned."""
    attribute, sources = parameters.get("attribute"), parameters.get("surrogates") or ()
    value = undefined(reason, state="not_applicable")
    absent: dict[str, MetricValue] = {}
    for key in info.results:
        part, bracket, inside = key.partition("[")
        if inside.startswith("source="):
            absent |= {f"{part}[source={source}]": value for source in sources}
        else:
            absent[f"{part}[{attribute}]" if bracket else key] = value
    return absent


def _unknowable(info: MetricInfo, ctx: MetricContext) -> str:
    """Why nothing can be said of what this submission takes, where the metric is about that."""
    return getattr(ctx.model, "unknowable", "") if info.pillar == "efficiency" else ""


def _too_dear(prefix: str, ctx: MetricContext) -> str:
    """Why there is no use in beginning: it would ask more than may be asked. An endpoint knows."""
    told = getattr(ctx.model, "too_dear", None)
    return "" if told is None else str(told(prefix))


def _known(name: str) -> MetricInfo:
    try:
        return get_metric(name)
    except UserError as error:
        raise ScorerFault(error.message, hint=error.hint, code=error.code) from error


def measure(
    name: str, prefix: str, parameters: Mapping[str, Any], ctx: MetricContext, *, parse: bool = True
) -> Iterator[MetricResult]:
    """Compute one metric and yield its results; anything missing is `not_applicable` with the reason.

    Raises:
        ScorerFault: no metric has this name, or its parameters are wrong.
    """
    info = _known(name)
    typed = parse_parameters(info, parameters) if parse else dict(parameters)
    started = ctx.clock()
    missing = _unknowable(info, ctx) or ctx.missing(info.needs) or _too_dear(prefix, ctx)
    try:
        values = _absent(info, typed, missing) if missing else info.function(ctx, **typed)
    except BudgetSpent as spent:
        values = _absent(info, typed, f"not measured: {spent}")
    seconds = ctx.clock() - started
    if isinstance(values, MetricValue):
        values = {"": values}
    shown = {key: _json_safe(value) for key, value in typed.items() if value is not None}
    for sub, returned in values.items():
        joint = "" if not sub or sub.startswith("[") else "."
        value, column = _checked(returned), info.column(sub)
        yield MetricResult(
            key=f"{prefix}{joint}{sub}", metric=name, pillar=info.pillar, value=value.value, low=value.low,
            high=value.high, n=value.n, unit=(column.unit or "") if value.unit is None else value.unit,
            direction=value.direction or column.direction or info.direction, state=value.state,
            reason=value.reason, title=value.title or column.title,
            details={key: _json_safe(item) for key, item in value.details.items()},
            parameters=shown, seconds=seconds,
        )  # fmt: skip
