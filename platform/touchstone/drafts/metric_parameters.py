"""Parameters of a metric as things to fill in: from the catalogue's JSON Schema to typed values and back to text.

A parameter that is left as it was by default is not written into competition.yml.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from runners.spec.catalogue_file import catalogue
from runners.spec.parameters import ParameterProblem, parameter_problems

#: What a parameter's name says beyond its schema: it names something that the draft or the catalogue has.
_PICKERS = {
    "attribute": "attributes", "attack": "attacks", "attacks": "attacks", "defence": "defences",
    "surrogates": "surrogates",
}  # fmt: skip
#: Parameters that hold those of something else, by the parameter that names it.
NESTED = {"defence_parameters": ("defence", "defences"), "attack_parameters": ("attacks", "attacks")}
KNOWN = catalogue()
ABSENT: Any = object()


@dataclass(frozen=True)
class Choices:
    """What the draft offers to pickers: names of its attributes and of its surrogates."""

    attributes: tuple[str, ...] = ()
    surrogates: tuple[str, ...] = ()

    def of(self, kind: str) -> tuple[str, ...]:
        if kind in ("attacks", "defences"):
            return tuple(KNOWN[kind])
        return self.surrogates if kind == "surrogates" else self.attributes


@dataclass(frozen=True)
class Parameter:
    """One thing to fill in. `path`: where its value lies in the metric's parameters.

    `kind`: `choice`, `choices`, `switch`, `number`, `numbers`, `text` or `texts`. `words` may stand in place of a
    number. `low`, `high`: bounds, and whether they are themselves allowed.
    """

    path: tuple[str, ...]
    kind: str
    required: bool
    default: Any
    whole: bool = False
    empty: bool = False
    words: tuple[str, ...] = ()
    low: tuple[float, bool] | None = None
    high: tuple[float, bool] | None = None
    options: tuple[str, ...] = ()
    picker: str = ""
    exactly: int = 0
    owner: str = ""

    @property
    def name(self) -> str:
        """Of the field in a form."""
        return ".".join(self.path)

    @property
    def last(self) -> str:
        """The parameter's own name."""
        return self.path[-1]


class Unreadable(ValueError):
    """What was typed is of another type. The text says what is expected."""


@dataclass(frozen=True)
class Reading:
    """Typed parameters, without those that are as by default, and what is wrong, by the name of the field."""

    values: dict[str, Any]
    problems: dict[str, list[str]] = field(default_factory=dict)


def parameters_of(metric: str, values: Mapping[str, Any], choices: Choices) -> list[Parameter]:
    """What a metric takes, those of the attacks and of the defence that `values` name among it."""
    schema = KNOWN["metrics"][metric]["parameters"]
    properties, required = schema.get("properties", {}), schema.get("required", [])
    own = [
        _parameter((name,), entry, name in required, choices)
        for name, entry in properties.items()
        if name not in NESTED
    ]
    own.sort(key=lambda parameter: (not parameter.required, _late(parameter.last)))
    found = list(own)
    attack = values.get("attack") if "attack" in properties else None
    if isinstance(attack, str) and attack in KNOWN["attacks"]:
        found += _others((), "attacks", attack, choices)
    for holder, (names, group) in NESTED.items():
        if holder not in properties:
            continue
        chosen = values.get(names)
        several = chosen if isinstance(chosen, list) else [chosen]
        for name in several:
            if isinstance(name, str) and name in KNOWN[group]:
                found += _others((holder, name) if group == "attacks" else (holder,), group, name, choices)
    return found


def _late(name: str) -> int:
    """Settings of checks come last: they say nothing of what is measured."""
    first = ("attribute", "attack", "attacks", "norm", "eps", "items")
    return first.index(name) if name in first else 90 if name.startswith("check_") else 50


def _others(prefix: tuple[str, ...], group: str, name: str, choices: Choices) -> list[Parameter]:
    schema = KNOWN[group][name]["parameters"]
    required = schema.get("required", [])
    return [
        _parameter((*prefix, key), entry, key in required, choices, owner=f"{group}.{name}")
        for key, entry in schema.get("properties", {}).items()
    ]


def _parameter(
    path: tuple[str, ...], schema: Mapping[str, Any], required: bool, choices: Choices, *, owner: str = ""
) -> Parameter:
    options = [dict(option) for option in schema.get("anyOf", [schema])]
    empty = any(option.get("type") == "null" for option in options)
    words = tuple(str(option["const"]) for option in options if "const" in option)
    main = next(option for option in options if option.get("type") != "null" and "const" not in option)
    picker = _PICKERS.get(path[-1], "") if not owner else ""
    listed = main.get("type") == "array"
    item = main.get("items", {}) if listed else main
    given = tuple(map(str, item.get("enum", ()))) or (choices.of(picker) if picker else ())
    kind = _kind(item, listed=listed, pick="enum" in item or bool(picker and (given or picker != "surrogates")))
    return Parameter(
        path=path, kind=kind, required=required, default=schema.get("default"), whole=item.get("type") == "integer",
        empty=empty, words=words, low=_bound(item, "minimum", "exclusiveMinimum"),
        high=_bound(item, "maximum", "exclusiveMaximum"), options=given, picker=picker,
        exactly=len(main.get("prefixItems", ())), owner=owner,
    )  # fmt: skip


def _kind(item: Mapping[str, Any], *, listed: bool, pick: bool) -> str:
    if pick:
        return "choices" if listed else "choice"
    if item.get("type") == "boolean":
        return "switch"
    kind = "number" if item.get("type") in ("integer", "number") else "text"
    return f"{kind}s" if listed else kind


def _bound(schema: Mapping[str, Any], closed: str, opened: str) -> tuple[float, bool] | None:
    if closed in schema:
        return schema[closed], True
    return (schema[opened], False) if opened in schema else None


def value_at(values: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at a path, `ABSENT` where there is none; None stands for a value that was switched off."""
    found: Any = values
    for part in path:
        found = found.get(part, ABSENT) if isinstance(found, Mapping) else ABSENT
    return found


def shown(parameter: Parameter, values: Mapping[str, Any]) -> Any:
    """What its field shows: text, true or false, or a list of names."""
    value = value_at(values, parameter.path)
    value = parameter.default if value is ABSENT else value
    if parameter.kind == "switch":
        return bool(value)
    if parameter.kind == "choices":
        return [str(entry) for entry in value] if isinstance(value, list) else []
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value)
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e6 else f"{value:g}"
    return str(value)


def read(metric: str, posted: Mapping[str, Any], choices: Choices) -> Reading:
    """Typed parameters from what a form has. `posted`: by field name, text or a list of texts."""
    values: dict[str, Any] = {}
    problems: dict[str, list[str]] = {}
    # What the attack and the defence take is known only once they are.
    for parameter in parameters_of(metric, _named(posted), choices):
        try:
            value = _value(parameter, posted.get(parameter.name))
        except Unreadable as error:
            problems.setdefault(parameter.name, []).append(str(error))
            continue
        if parameter.required or value not in (None, parameter.default):
            _put(values, parameter.path, value)
        elif value is None and parameter.default is not None and parameter.empty:
            _put(values, parameter.path, None)
    for problem in _problems(metric, values):
        name = ".".join(str(part) for part in problem.loc if isinstance(part, str))
        if not problems.get(name):
            problems.setdefault(name, []).append(f"{problem.message} {problem.hint}".strip())
    return Reading(values, problems)


def _named(posted: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: posted.get(name) for name in ("attack", "attacks", "defence")}
    return {name: value for name, value in named.items() if value}


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


def _value(parameter: Parameter, typed: Any) -> Any:
    """The typed value of what one field has. Raises `Unreadable`."""
    if parameter.kind == "switch":
        return bool(typed)
    if parameter.kind == "choices":
        chosen = [str(entry) for entry in typed or ()]
        if all(isinstance(entry, str) for entry in parameter.default or ()):
            return _in_order(chosen, parameter) or _missing(parameter)
        return chosen
    text = str(typed or "").strip()
    if not text:
        return _missing(parameter)
    if parameter.kind in ("choice", "text") or text in parameter.words:
        return text
    if parameter.kind == "number":
        return _number(text, parameter)
    parts = [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]
    if parameter.exactly and len(parts) != parameter.exactly:
        raise Unreadable(_("Write %(exactly)s values with a comma between them.") % {"exactly": parameter.exactly})
    return [_number(part, parameter) for part in parts] if parameter.kind == "numbers" else parts


def _in_order(chosen: list[str], parameter: Parameter) -> list[str]:
    """As the options stand, so that the same choice is always the same text."""
    return [*(name for name in parameter.options if name in chosen), *(n for n in chosen if n not in parameter.options)]


def _missing(parameter: Parameter) -> Any:
    if parameter.required:
        raise Unreadable(_("Choose at least one.") if parameter.kind == "choices" else _("This is needed."))
    return None if parameter.empty else parameter.default


def _number(text: str, parameter: Parameter) -> int | float:
    text = text.replace("−", "-").replace("\u202f", "").replace(" ", "")
    what = _("a whole number") if parameter.whole else _("a number")
    instead = "".join(_(", or %(word)s") % {"word": word} for word in parameter.words)
    try:
        number: int | float = int(text) if parameter.whole else float(text)
    except ValueError as error:
        hint = _(" Use a point for decimals.") if "," in text else ""
        raise Unreadable(
            _("Write %(what)s%(instead)s, not “%(text)s”.%(hint)s")
            % {"what": what, "instead": instead, "text": text[:40], "hint": hint}
        ) from error
    if isinstance(number, float) and not math.isfinite(number):
        raise Unreadable(_("Write %(what)s%(instead)s that is finite.") % {"what": what, "instead": instead})
    if abs(number) >= 2**63:
        raise Unreadable(_("The number is too large."))
    return number


def _problems(metric: str, values: Mapping[str, Any]) -> list[ParameterProblem]:
    entry = KNOWN["metrics"][metric]
    attack = (
        KNOWN["attacks"].get(values.get("attack")) if "attack" in entry["parameters"].get("properties", {}) else None
    )
    found = parameter_problems(entry["parameters"], values, also=attack["parameters"] if attack else None)
    found = [problem for problem in found if problem.code != "missing_parameter"]
    norm = values.get("norm") or entry["parameters"].get("properties", {}).get("norm", {}).get("default")
    if attack is not None and norm not in attack["norms"]:
        hint = _("It has %(names)s.") % {"names": ", ".join(attack["norms"])}
        found.append(
            ParameterProblem(
                "parameter",
                ("norm",),
                _("The attack %(title)s does not know %(norm)s.") % {"title": attack["title"], "norm": norm},
                hint,
            )
        )
    for holder, (names, group) in NESTED.items():
        for path, schema, given in _nested(holder, group, values.get(names), values.get(holder)):
            found += [
                ParameterProblem(p.code, (*path, *p.loc), p.message, p.hint) for p in parameter_problems(schema, given)
            ]
    return found


def _nested(holder: str, group: str, chosen: Any, given: Any) -> list[tuple[tuple[str, ...], Any, Any]]:
    if not isinstance(given, dict):
        return []
    if group == "defences":
        return [((holder,), KNOWN[group][chosen]["parameters"], given)] if chosen in KNOWN[group] else []
    return [((holder, name), KNOWN[group][name]["parameters"], own) for name, own in given.items()]
