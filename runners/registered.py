"""What is registered: a metric's value, its columns and cost, and all that is said about a metric, attack or defence.

`runners.registry` fills these in and looks them up by name; import them from there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, JsonValue

from runners.contract import Direction, State

Need = Literal[
    "predictions", "probabilities", "queries", "gradients", "explanations", "attributes", "favourable", "binary",
    "validation", "surrogates",
]  # fmt: skip
Access = Literal["queries", "gradients", "explanations"]


@dataclass(frozen=True)
class MetricValue:
    """What a metric returns. Undefined is `value=None` with a state and a reason, never 0 or NaN."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unit: str | None = None
    state: State = "ok"
    reason: str = ""
    direction: Direction | None = None
    title: str = ""
    details: dict[str, JsonValue] = field(default_factory=dict)


def undefined(reason: str, *, n: int | None = None, state: State = "undefined") -> MetricValue:
    """A value that does not exist, and why."""
    return MetricValue(None, n=n, state=state, reason=reason)


#: A metric returns one value, or several by sub-key: "" is the metric itself, "robust_accuracy"
#: becomes `<prefix>.robust_accuracy`, "[gender]" becomes `<prefix>[gender]`.
MetricReturn = MetricValue | Mapping[str, MetricValue]
MetricFunction = Callable[..., MetricReturn]


@dataclass(frozen=True)
class Column:
    """One result of a metric: its sub-key, and what differs from the metric's own title, unit, direction, range."""

    key: str
    title: str = ""
    unit: str | None = None
    direction: Direction | None = None
    range: tuple[float | None, float | None] | None = None


@dataclass(frozen=True)
class Asks:
    """Questions to a model. `answers`: a forward pass each. `gradients`: a forward and a backward pass each."""

    answers: int
    gradients: int = 0

    @property
    def total(self) -> int:
        """Items asked, and forward passes."""
        return self.answers + self.gradients

    def __add__(self, other: Asks) -> Asks:
        return Asks(self.answers + other.answers, self.gradients + other.gradients)

    def __mul__(self, times: int) -> Asks:
        return Asks(self.answers * times, self.gradients * times)


@dataclass(frozen=True)
class Cost:
    """Items that a metric asks the model. `least`: whatever the model answers; `typical`: a usual or an upper count.

    `access`: what it asks through; a model without it is not asked at all. `gradients`: those of `typical` that are
    answered with a gradient, by a forward and a backward pass; not given, all where `access` is gradients, else none.
    `seconds`: time that it takes whatever the pace, with as many questions as fit, of which `typical` are the fewest.
    """

    least: int
    typical: int
    access: Access = "queries"
    gradients: int | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, asks: Asks, *, least: int, access: Access = "queries") -> Cost:
        """From questions told apart."""
        return cls(least=least, typical=asks.total, access=access, gradients=asks.gradients)

    @property
    def backward(self) -> int:
        """Backward passes among the `typical` questions."""
        if self.gradients is None:
            return self.typical if self.access == "gradients" else 0
        return self.gradients


#: From the parameters of a metric and the number of items of the split to what it asks.
MetricCost = Callable[[Mapping[str, Any], int], Cost]
#: From the parameters of an attack to what it asks about each item; a number is of gradients where it requires them.
AttackCost = Callable[[Mapping[str, Any]], "int | Asks"]


@dataclass(frozen=True)
class MetricInfo:
    """A registered metric. `columns` has title, unit, direction and range filled in, one for each of `results`.

    `queries` says what it asks the model; None for one that only reads answers. `formula`, `interval` and `limits`
    are texts for people: how it is computed, how its 95 % interval is made, what it does not tell.
    """

    name: str
    title: str
    function: MetricFunction
    direction: Direction
    range: tuple[float | None, float | None]
    unit: str
    needs: tuple[Need, ...]
    results: tuple[str, ...]
    reference: str
    parameters: type[BaseModel]
    columns: tuple[Column, ...] = ()
    queries: MetricCost | None = None
    formula: str = ""
    interval: str = ""
    limits: str = ""

    @property
    def pillar(self) -> str:
        return self.name.split(".", 1)[0]

    def column(self, sub: str) -> Column:
        """The column that a returned sub-key belongs to: `[sex]`, `part[sex]` and `[sex=Male]` have templates."""
        part, bracket, inside = sub.partition("[")
        # The nearer template first: a metric may have one for the attribute and another for each of its values.
        kinds = [f"{part}[attribute]", f"{part}[attribute=group]"] if bracket else [sub]
        if inside.startswith("source="):
            kinds = [f"{part}[source=name]"]
        elif "=" in inside:
            kinds.reverse()
        columns = {column.key: column for column in self.columns}
        for kind in kinds:
            if kind in columns:
                return columns[kind]
        raise ValueError(f"metric {self.name} returned {sub!r}, which is not among its results {list(self.results)}")

    @property
    def summary(self) -> str:
        return _summary(self.function)


@dataclass(frozen=True)
class AttackInfo:
    """A registered attack: `function(model, x, y, *, norm, eps, value_range, rng, **parameters)`."""

    name: str
    title: str
    function: Callable[..., Any]
    requires: Access
    norms: tuple[str, ...]
    reference: str
    parameters: type[BaseModel]
    queries: AttackCost | None = None
    limits: str = ""

    def asks(self, parameters: Mapping[str, Any]) -> Asks:
        """What it declares to ask about each item, for its typed parameters."""
        found = 0 if self.queries is None else self.queries(parameters)
        if isinstance(found, Asks):
            return found
        return Asks(0, found) if self.requires == "gradients" else Asks(found)

    @property
    def summary(self) -> str:
        return _summary(self.function)


@dataclass(frozen=True)
class DefenceInfo:
    """A registered defence: `function(x, *, value_range, **parameters)` gives changed inputs and a way back.

    `path` says what the way back is: `exact`, the derivative itself, or `approximate`, a stand-in (BPDA).
    """

    name: str
    title: str
    function: Callable[..., Any]
    path: Literal["exact", "approximate"]
    reference: str
    parameters: type[BaseModel]
    limits: str = ""

    @property
    def summary(self) -> str:
        return _summary(self.function)


def _summary(function: Callable[..., Any]) -> str:
    """The first paragraph of its docstring, in one line."""
    return (inspect.getdoc(function) or "").split("\n\n", 1)[0].replace("\n", " ")
