"""The committed catalogue of metrics and attacks, and which result keys a use of a metric gives."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from runners.spec.models import MetricUse

_ONE = "[attribute]"
_GROUP = "[attribute=group]"
_SOURCE = "[source=name]"


@cache
def _text() -> str:
    return files("runners.spec").joinpath("catalogue.json").read_text(encoding="utf-8")


def catalogue() -> dict[str, Any]:
    """Metrics and attacks with titles, needs, results and the JSON Schema of their parameters."""
    loaded: dict[str, Any] = json.loads(_text())
    return loaded


@dataclass(frozen=True)
class Column:
    """What is known of a result before any run: its metric, direction and range."""

    metric: str
    direction: str
    range: tuple[float | None, float | None]


@dataclass
class Offer:
    """The result keys that metrics give. `groups` maps `prefix[attribute=` to its column."""

    exact: dict[str, Column] = field(default_factory=dict)
    groups: dict[str, Column] = field(default_factory=dict)

    def find(self, key: str) -> Column | None:
        """The column of a result key, or None where no metric gives it."""
        if key in self.exact:
            return self.exact[key]
        head, equals, group = key.partition("=")
        return self.groups.get(head + equals) if group.endswith("]") and len(group) > 1 else None

    def group_of(self, key: str) -> tuple[str, str] | None:
        """(attribute, group) of a key such as `x[race=White]`."""
        if key in self.exact or self.find(key) is None:
            return None
        head, _, group = key.partition("=")
        return head.rpartition("[")[2], group[:-1]

    def keys(self) -> list[str]:
        """All keys, with `...` where a group goes."""
        return [*self.exact, *(f"{head}...]" for head in self.groups)]

    def add(self, other: Offer) -> list[str]:
        """Take in another offer; returns the keys that both give."""
        doubled = [key for key in other.exact if key in self.exact]
        doubled += [f"{head}...]" for head in other.groups if head in self.groups]
        self.exact.update(other.exact)
        self.groups.update(other.groups)
        return doubled


def _attributes(use: MetricUse, declared: Iterable[str]) -> list[str]:
    given = use.parameters.get("attribute")
    if isinstance(given, str):
        return [given]
    return [str(name) for name in given] if isinstance(given, list) else list(declared)


def _sources(use: MetricUse) -> list[str]:
    given = use.parameters.get("surrogates")
    return [str(name) for name in given] if isinstance(given, list) else []


def _column(use: MetricUse, entry: dict[str, Any], result: str) -> Column:
    own = entry.get("columns", {}).get(result, {})
    low, high = own.get("range") or entry["range"]
    return Column(use.use, own.get("direction") or entry["direction"], (low, high))


def offer_of(use: MetricUse, entry: dict[str, Any], attributes: Iterable[str]) -> Offer:
    """The result keys that one use of a metric gives. `entry` is its entry in the catalogue."""
    offer = Offer()
    names = _attributes(use, attributes)
    for result in entry["results"]:
        column = _column(use, entry, result)
        key = f"{use.prefix}{'' if not result or result.startswith('[') else '.'}{result}"
        if _GROUP in key:
            offer.groups |= {key.replace(_GROUP, f"[{name}="): column for name in names}
        elif _SOURCE in key:
            offer.exact |= {key.replace(_SOURCE, f"[source={name}]"): column for name in _sources(use)}
        elif _ONE in key:
            offer.exact |= {key.replace(_ONE, f"[{name}]"): column for name in names}
        else:
            offer.exact[key] = column
    return offer
