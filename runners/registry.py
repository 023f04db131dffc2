"""One decorator per extension point: `@metric`, `@attack`, `@defence`, `@engine`.

Extensions are found by importing the packages `runners.metrics`, `runners.attacks`,
`runners.defences` and `runners.engines`, and through the entry point groups `touchstone.metrics`,
`touchstone.attacks`, `touchstone.defences` and `touchstone.engines`. `catalogue()` is the JSON that the server and
the client show and validate against; it is committed as `runners/spec/catalogue.json`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model

from runners.contract import Direction, State
from runners.errors import ScorerFault, UserError

Need = Literal[
    "predictions", "probabilities", "queries", "gradients", "attributes", "favourable", "binary", "validation"
]
Access = Literal["queries", "gradients"]


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
class Cost:
    """Items that a metric asks the model. `least`: whatever the model answers; `typical`: a usual or an upper count.

    `access`: what it asks through; a model without it is not asked at all.
    """

    least: int
    typical: int
    access: Access = "queries"


#: From the parameters of a metric and the number of items of the split to what it asks.
MetricCost = Callable[[Mapping[str, Any], int], Cost]
#: From the parameters of an attack to the items it asks for each item it attacks.
AttackCost = Callable[[Mapping[str, Any]], int]


@dataclass(frozen=True)
class MetricInfo:
    """A registered metric. `columns` has title, unit, direction and range filled in, one for each of `results`.

    `queries` says what it asks the model; None for one that only reads answers.
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

    @property
    def pillar(self) -> str:
        return self.name.split(".", 1)[0]

    def column(self, sub: str) -> Column:
        """The column that a returned sub-key belongs to: `[sex]`, `part[sex]` and `[sex=Male]` have templates."""
        part, bracket, _ = sub.partition("[")
        kinds = (f"{part}[attribute=group]", f"{part}[attribute]") if bracket else (sub,)
        for column in self.columns:
            if column.key in kinds:
                return column
        raise ValueError(f"metric {self.name} returned {sub!r}, which is not among its results {list(self.results)}")

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.function) or "").split("\n\n", 1)[0].replace("\n", " ")


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


_METRICS: dict[str, MetricInfo] = {}
_ATTACKS: dict[str, AttackInfo] = {}
_DEFENCES: dict[str, DefenceInfo] = {}
_ENGINES: dict[str, type[Any]] = {}
_LOADED: set[str] = set()

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type[Any])


def _parameter_model(
    name: str, function: Callable[..., Any], *, without: frozenset[str] = frozenset()
) -> type[BaseModel]:
    """The keyword-only arguments of a function as a model that refuses unknown keys.

    A function with `**parameters` passes them on (to an attack), which checks them itself; the schema
    then still names no others, for who validates it adds those of the attack.
    """
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    config = ConfigDict(extra="forbid")
    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and key not in without:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[key] = (hints[key], default)
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": False})
    return create_model(f"{name}_parameters", __config__=config, **fields)


#: Given by the caller of an attack, not by competition.yml.
_ATTACK_ARGUMENTS = frozenset({"norm", "eps", "value_range", "rng"})
_DEFENCE_ARGUMENTS = frozenset({"value_range"})


def metric(
    name: str,
    *,
    title: str,
    direction: Direction,
    range: tuple[float | None, float | None],  # noqa: A002 - the field's word
    unit: str = "",
    needs: tuple[Need, ...] = (),
    results: tuple[str | Column, ...] = ("",),
    reference: str = "",
    queries: MetricCost | None = None,
) -> Callable[[F], F]:
    """Register `function(ctx: MetricContext, *, <typed parameters>) -> MetricReturn`.

    Args:
        name: `<pillar>.<metric>`, the field's name.
        direction: `maximise`, `minimise`, `zero` (ideal 0), `one` (ideal 1) or `none`.
        range: smallest and largest possible value; None is unbounded.
        needs: what the submission or data must offer; anything missing gives `not_applicable`.
        results: sub-keys it may return ("" for itself; "[attribute]" per attribute; "[attribute=group]" per
            value of one), or a `Column` where title, unit, direction or range differ from the metric's.
        reference: the source of the definition.
        queries: for a metric that asks the model: how many items, from its typed parameters and the items of the
            split. A submission's running time is estimated with it; without it the metric counts as free.
    """

    def register(function: F) -> F:
        if name in _METRICS:
            raise ValueError(f"metric {name} is registered twice")
        given = (Column(result) if isinstance(result, str) else result for result in results)
        columns = tuple(
            Column(
                c.key, c.title or title, unit if c.unit is None else c.unit, c.direction or direction, c.range or range
            )
            for c in given
        )
        _METRICS[name] = MetricInfo(
            name=name, title=title, function=function, direction=direction, range=range, unit=unit,
            needs=needs, results=tuple(column.key for column in columns), reference=reference,
            parameters=_parameter_model(name, function), columns=columns, queries=queries,
        )  # fmt: skip
        return function

    return register


def attack(
    name: str,
    *,
    title: str,
    requires: Access,
    norms: tuple[str, ...],
    reference: str,
    queries: AttackCost | None = None,
) -> Callable[[F], F]:
    """Register an attack: `function(model, x, y, *, norm, eps, value_range, rng, <typed parameters>)`.

    It returns adversarial inputs of the shape of `x`. It need not be trusted: the caller clips,
    measures and asks the model again. `queries`: items asked for each item attacked, from its typed parameters.
    """

    def register(function: F) -> F:
        if name in _ATTACKS:
            raise ValueError(f"attack {name} is registered twice")
        _ATTACKS[name] = AttackInfo(
            name=name, title=title, function=function, requires=requires, norms=norms, reference=reference,
            parameters=_parameter_model(name, function, without=_ATTACK_ARGUMENTS), queries=queries,
        )  # fmt: skip
        return function

    return register


def defence(name: str, *, title: str, path: Literal["exact", "approximate"], reference: str) -> Callable[[F], F]:
    """Register an input defence: `function(x, *, value_range, <typed parameters>) -> (changed, back)`.

    `changed` has the shape of `x`, float32, within the value range. `back(gradient)` takes the gradient with respect
    to `changed` to that with respect to `x`, by the derivative or, where it is useless, by a stand-in for it
    (Athalye et al. 2018): a defence without a way back would only hide gradients.
    """

    def register(function: F) -> F:
        if name in _DEFENCES:
            raise ValueError(f"defence {name} is registered twice")
        _DEFENCES[name] = DefenceInfo(
            name=name, title=title, function=function, path=path, reference=reference,
            parameters=_parameter_model(name, function, without=_DEFENCE_ARGUMENTS),
        )  # fmt: skip
        return function

    return register


def engine(name: str) -> Callable[[C], C]:
    """Register a class that implements `runners.engines.base.Engine`."""

    def register(cls: C) -> C:
        _ENGINES[name] = cls
        return cls

    return register


def _load(kind: str) -> None:
    if kind in _LOADED:
        return
    package = importlib.import_module(f"runners.{kind}")
    for module in pkgutil.walk_packages(package.__path__, f"runners.{kind}."):
        importlib.import_module(module.name)
    for point in entry_points(group=f"touchstone.{kind}"):
        point.load()
    _LOADED.add(kind)


def metrics() -> dict[str, MetricInfo]:
    """All metrics by name, in order of name."""
    _load("metrics")
    return dict(sorted(_METRICS.items()))


def attacks() -> dict[str, AttackInfo]:
    """All attacks by name, in order of name."""
    _load("attacks")
    return dict(sorted(_ATTACKS.items()))


def defences() -> dict[str, DefenceInfo]:
    """All defences by name, in order of name."""
    _load("defences")
    return dict(sorted(_DEFENCES.items()))


def engines() -> dict[str, type[Any]]:
    """All engine classes by name."""
    _load("engines")
    return dict(_ENGINES)


def _find(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=3)
    hint = f"Did you mean {', '.join(close)}?" if close else f"Known: {', '.join(known)}."
    raise UserError(f"There is no {kind} named {name!r}.", hint=hint, code=f"unknown_{kind}")


def get_metric(name: str) -> MetricInfo:
    """A metric by name. Raises `UserError` that lists close matches."""
    info: MetricInfo = _find("metric", name, metrics())
    return info


def get_attack(name: str) -> AttackInfo:
    """An attack by name. Raises `UserError` that lists close matches."""
    info: AttackInfo = _find("attack", name, attacks())
    return info


def get_defence(name: str) -> DefenceInfo:
    """A defence by name. Raises `UserError` that lists close matches."""
    info: DefenceInfo = _find("defence", name, defences())
    return info


def parse_parameters(info: MetricInfo | AttackInfo | DefenceInfo, given: Mapping[str, Any]) -> dict[str, Any]:
    """Typed parameters with defaults filled in. Raises `ScorerFault` naming each wrong one."""
    try:
        model = info.parameters.model_validate(dict(given))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ScorerFault(f"{info.name} has wrong parameters. " + "; ".join(lines)) from error
    return {key: getattr(model, key) for key in info.parameters.model_fields} | (model.model_extra or {})


def catalogue() -> dict[str, Any]:
    """Metrics, attacks and defences as JSON: what they mean, need and take."""
    return {
        "metrics": {
            name: {
                "title": m.title, "pillar": m.pillar, "summary": m.summary, "direction": m.direction,
                "range": list(m.range), "unit": m.unit, "needs": list(m.needs), "results": list(m.results),
                "reference": m.reference, "parameters": m.parameters.model_json_schema(),
                "columns": {
                    c.key: {"title": c.title, "unit": c.unit, "direction": c.direction, "range": list(c.range or ())}
                    for c in m.columns
                },
            }
            for name, m in metrics().items()
        },
        "attacks": {
            name: {
                "title": a.title, "requires": a.requires, "norms": list(a.norms), "reference": a.reference,
                "parameters": a.parameters.model_json_schema(),
            }
            for name, a in attacks().items()
        },
        "defences": {
            name: {
                "title": d.title, "path": d.path, "reference": d.reference,
                "parameters": d.parameters.model_json_schema(),
            }
            for name, d in defences().items()
        },
    }  # fmt: skip
