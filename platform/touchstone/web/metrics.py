"""The metrics of a competition as people read them: from the catalogue, by pillar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from runners.spec import catalogue
from touchstone.core.names import named
from touchstone.web import present


@dataclass(frozen=True)
class MetricItem:
    """A metric of `metrics:`. `prefix` is the first part of its result keys; `parameters` has a line for each use."""

    prefix: str
    title: str
    summary: str
    unit: str
    direction: str
    reference: str
    parameters: list[str]


@dataclass(frozen=True)
class MetricGroup:
    name: str
    metrics: list[MetricItem]


def _item(uses: list[dict[str, Any]], known: dict[str, Any]) -> MetricItem:
    """An extension that this server does not know is shown by its name, with what it is missing."""
    use = uses[0]
    info = known["metrics"].get(use["use"], {})
    attack = known["attacks"].get(use.get("attack", ""), {})
    title = named(info.get("title", "")) or use["use"]
    return MetricItem(
        prefix=use.get("as") or use["use"],
        title=f"{title}: {named(attack['title'])}" if attack else title,
        summary=named(info.get("summary", ""))
        or _("This metric comes from an extension that the catalogue here does not describe."),
        unit=named(info.get("unit", "")),
        direction=info.get("direction", "none"),
        reference="; ".join(filter(None, [named(info.get("reference", "")), named(attack.get("reference", ""))])),
        parameters=[line for line in map(_parameters, uses) if line],
    )


def _parameters(use: dict[str, Any]) -> str:
    shown = present.shown_parameters(use)
    given = {key: value for key, value in shown.items() if key not in {"use", "as"} and value is not None}
    return ", ".join(f"{key} = {_value(value)}" for key, value in given.items())


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def metric_groups(spec: dict[str, Any]) -> list[MetricGroup]:
    """The metrics of a competition.yml (as JSON) by pillar, in the order of the file; uses of one name together."""
    known = catalogue()
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for use in spec["metrics"]:
        uses = groups.setdefault(use["use"].split(".", 1)[0], {})
        uses.setdefault(use.get("as") or use["use"], []).append(use)
    return [MetricGroup(name, [_item(same, known) for same in uses.values()]) for name, uses in groups.items()]
