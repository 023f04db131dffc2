"""The metrics of a competition as people read them: from the catalogue, by pillar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from runners.spec import catalogue


@dataclass(frozen=True)
class MetricItem:
    """One entry of `metrics:`. `prefix` is the first part of its result keys."""

    prefix: str
    title: str
    summary: str
    unit: str
    direction: str
    reference: str
    parameters: str


@dataclass(frozen=True)
class MetricGroup:
    name: str
    metrics: list[MetricItem]


def _item(use: dict[str, Any], known: dict[str, Any]) -> MetricItem:
    """An extension that this server does not know is shown by its name, with what it is missing."""
    info = known["metrics"].get(use["use"], {})
    attack = known["attacks"].get(use.get("attack", ""), {})
    title = info.get("title") or use["use"]
    return MetricItem(
        prefix=use.get("as") or use["use"],
        title=f"{title}: {attack['title']}" if attack else title,
        summary=info.get("summary") or _("This metric comes from an extension that the catalogue here does not describe."),
        unit=info.get("unit", ""),
        direction=info.get("direction", "none"),
        reference="; ".join(filter(None, [info.get("reference", ""), attack.get("reference", "")])),
        parameters=", ".join(f"{key} = {_value(value)}" for key, value in use.items() if key not in {"use", "as"}),
    )


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def metric_groups(spec: dict[str, Any]) -> list[MetricGroup]:
    """The metrics of a competition.yml (as JSON) by pillar, in the order of the file."""
    known = catalogue()
    groups: dict[str, list[MetricItem]] = {}
    for use in spec["metrics"]:
        groups.setdefault(use["use"].split(".", 1)[0], []).append(_item(use, known))
    return [MetricGroup(name, items) for name, items in groups.items()]
