"""One decorator per extension point: `@metric`, `@attack`, `@defence`, `@engine`.

Extensions are found by importing the packages `runners.metrics`, `runners.attacks`,
`runners.defences` and `runners.engines`, and through the entry point groups `touchstone.metrics`,
`touchstone.attacks`, `touchstone.defences` and `touchstone.engines`. `runners.catalogue` writes what is registered
as the JSON that the server and the client show and validate against.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from runners.contract import Direction
from runners.errors import ScorerFault, UserError
from runners.registered import (
    Access,
    Asks,
    AttackCost,
    AttackInfo,
    Column,
    Cost,
    DefenceInfo,
    MetricCost,
    MetricFunction,
    MetricInfo,
    MetricReturn,
    MetricValue,
    Need,
    undefined,
)

__all__ = [
    "Access", "Asks", "AttackCost", "AttackInfo", "Column", "Cost", "DefenceInfo", "MetricCost", "MetricFunction",
    "MetricInfo", "MetricReturn", "MetricValue", "Need", "attack", "attacks", "defence", "defences", "engine",
    "engines", "get_attack", "get_defence", "get_metric", "metric", "metrics", "parse_parameters", "undefined",
]  # fmt: skip

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
    formula: str = "",
    interval: str = "",
    limits: str = "",
) -> Callable[[F], F]:
    """Register `function(ctx: MetricContext, *, <typed parameters>) -> MetricReturn`.

    Args:
        name: `<pillar>.<metric>`, the field's name.
        direction: `maximise`, `minimise`, `zero` (ideal 0), `one` (ideal 1) or `none`.
        range: smallest and largest possible value; None is unbounded.
        needs: what the submission or data must offer; anything missing gives `not_applicable`. One that needs
            `surrogates` has the parameters of `robustness.transfer`: they say which examples are made for it.
        results: sub-keys it may return ("" for itself; "[attribute]" per attribute; "[attribute=group]" per
            value of one; "[source=name]" per surrogate), or a `Column` where title, unit, direction or range differ
            from the metric's.
        reference: the source of the definition.
        queries: for a metric that asks the model: how many items, from its typed parameters and the items of the
            split. A submission's running time is estimated with it; without it the metric counts as free.
        formula: how the value is computed, in a line or two of plain Unicode (no LaTeX).
        interval: how its 95 % interval is made, or why there is none.
        limits: what the value does not tell, and the traps of reading it.
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
            formula=formula, interval=interval, limits=limits,
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
    limits: str = "",
) -> Callable[[F], F]:
    """Register an attack: `function(model, x, y, *, norm, eps, value_range, rng, <typed parameters>)`.

    It returns adversarial inputs of the shape of `x`. It need not be trusted: the caller clips,
    measures and asks the model again. `queries`: items asked for each item attacked, from its typed parameters.
    `limits`: what its result does not tell.
    """

    def register(function: F) -> F:
        if name in _ATTACKS:
            raise ValueError(f"attack {name} is registered twice")
        _ATTACKS[name] = AttackInfo(
            name=name, title=title, function=function, requires=requires, norms=norms, reference=reference,
            parameters=_parameter_model(name, function, without=_ATTACK_ARGUMENTS), queries=queries,
            limits=limits,
        )  # fmt: skip
        return function

    return register


def defence(
    name: str, *, title: str, path: Literal["exact", "approximate"], reference: str, limits: str = ""
) -> Callable[[F], F]:
    """Register an input defence: `function(x, *, value_range, <typed parameters>) -> (changed, back)`.

    `changed` has the shape of `x`, float32, within the value range. `back(gradient)` takes the gradient with respect
    to `changed` to that with respect to `x`, by the derivative or, where it is useless, by a stand-in for it
    (Athalye et al. 2018): a defence without a way back would only hide gradients. `limits`: what it does not
    help against, and what it costs.
    """

    def register(function: F) -> F:
        if name in _DEFENCES:
            raise ValueError(f"defence {name} is registered twice")
        _DEFENCES[name] = DefenceInfo(
            name=name, title=title, function=function, path=path, reference=reference,
            parameters=_parameter_model(name, function, without=_DEFENCE_ARGUMENTS), limits=limits,
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
