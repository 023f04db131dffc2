"""The list of a draft's metrics: one more, one less, another order. All leave the list that they are given as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from touchstone.drafts.metric_cards import Surroundings
from touchstone.drafts.metric_parameters import KNOWN


def entries(body: Mapping[str, Any]) -> list[Any]:
    """The metrics of a section, whatever was stored."""
    found = body.get("metrics")
    return list(found) if isinstance(found, list) else []


def added(uses: Sequence[Any], use: Mapping[str, Any]) -> list[Any]:
    """With one more at the end. The very same is not added twice."""
    return [*uses] if use in uses else [*uses, dict(use)]


def put(uses: Sequence[Any], index: int, use: Mapping[str, Any]) -> list[Any]:
    """With another in place of one."""
    return [dict(use) if at == index else old for at, old in enumerate(uses)]


def removed(uses: Sequence[Any], index: int) -> list[Any]:
    """Without one."""
    return [old for at, old in enumerate(uses) if at != index]


def moved(uses: Sequence[Any], index: int, by: int) -> list[Any]:
    """With one a place further; at the ends nothing moves."""
    made, to = list(uses), index + by
    if 0 <= index < len(made) and 0 <= to < len(made):
        made[index], made[to] = made[to], made[index]
    return made


def usual_values(metric: str, uses: Sequence[Any], around: Surroundings) -> tuple[dict[str, Any], str]:
    """What the form of a new metric begins with: the first attribute, and a name where its own is taken."""
    schema = KNOWN["metrics"][metric]["parameters"]
    properties, values = schema.get("properties", {}), {}
    if "attribute" in schema.get("required", []) and around.attributes:
        used = {_attribute(use) for use in uses if isinstance(use, dict) and use.get("use") == metric}
        name = next((name for name in around.attributes if name not in used), around.attributes[0])
        values["attribute"] = [name] if properties["attribute"].get("type") == "array" else name
    taken = {str(use.get("as") or use.get("use")) for use in uses if isinstance(use, dict)}
    clash = metric in taken and (not values or any(_attribute(use) == values["attribute"] for use in _of(metric, uses)))
    short = metric.rpartition(".")[2]
    return values, next(f"{short}_{n}" for n in count(2) if f"{short}_{n}" not in taken) if clash else ""


def _of(metric: str, uses: Sequence[Any]) -> list[Any]:
    return [use for use in uses if isinstance(use, dict) and use.get("use") == metric and not use.get("as")]


def _attribute(use: Mapping[str, Any]) -> Any:
    given = use.get("attribute")
    return given[0] if isinstance(given, list) and given else given
