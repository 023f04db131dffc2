"""Parameters of a metric against the JSON Schema that the catalogue holds for them.

The part of JSON Schema that typed Python signatures produce: type, enum, const, anyOf, $ref,
bounds, items, required and additionalProperties.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runners.spec.defects import Loc, suggestion
from runners.spec.wording import found_text

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "array": (list,), "object": (dict,), "null": (type(None),),
}  # fmt: skip
_WORDS = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a mapping", "null": "nothing",
}  # fmt: skip
_LIMITS: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
    ("minimum", "at least", operator.ge),
    ("maximum", "at most", operator.le),
    ("exclusiveMinimum", "more than", operator.gt),
    ("exclusiveMaximum", "less than", operator.lt),
)


@dataclass(frozen=True)
class ParameterProblem:
    """`loc` is relative to the metric: ("eps",) or ("sizes", 2)."""

    code: str
    loc: Loc
    message: str
    hint: str


def parameter_problems(
    schema: Mapping[str, Any], given: Mapping[str, Any], *, also: Mapping[str, Any] | None = None
) -> list[ParameterProblem]:
    """Everything wrong with given parameters. `also` is a second schema whose keys are allowed too."""
    properties: dict[str, Any] = dict(schema.get("properties", {}))
    required = list(schema.get("required", []))
    definitions = {**schema.get("$defs", {})}
    if also is not None:
        properties = {**also.get("properties", {}), **properties}
        required += also.get("required", [])
        definitions |= also.get("$defs", {})
    problems = []
    for name in required:
        if name not in given:
            text = f"the parameter `{name}` is missing"
            problems.append(ParameterProblem("missing_parameter", (), text, f"Add `{name}: ...`."))
    for name, value in given.items():
        if name in properties:
            problems += _check(properties[name], value, (name,), definitions)
        elif schema.get("additionalProperties") is False:
            hint = suggestion(name, [*properties, "as"], what="Its parameters")
            text = f"this metric has no parameter named `{name}`"
            problems.append(ParameterProblem("unknown_parameter", (name,), text, hint))
    return problems


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema


def _check(schema: Mapping[str, Any], value: Any, loc: Loc, definitions: Mapping[str, Any]) -> list[ParameterProblem]:
    schema = _resolve(schema, definitions)
    if "anyOf" in schema:
        return _any_of(schema["anyOf"], value, loc, definitions)
    if "enum" in schema or "const" in schema:
        choices = schema.get("enum", [schema.get("const")])
        same = any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in choices)
        if same:
            return []
        names = [str(choice) for choice in choices]
        text = f"expected {' or '.join(names)}, found {found_text(value)}"
        return [ParameterProblem("parameter", loc, text, suggestion(str(value), names, what="Choices"))]
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        text = f"expected {_WORDS[kind]}, found {found_text(value)}"
        return [ParameterProblem("parameter", loc, text, "Change the value.")]
    problems = [ParameterProblem("parameter", loc, text, "Change the value.") for text in _bounds(schema, value)]
    if isinstance(value, list):
        for index, item in enumerate(value):
            problems += _check(schema.get("items", {}), item, (*loc, index), definitions)
    return problems


def _any_of(
    options: list[Mapping[str, Any]], value: Any, loc: Loc, definitions: Mapping[str, Any]
) -> list[ParameterProblem]:
    """None where one option fits; else what the option of the value's own type says, else all of them."""
    found = [_check(option, value, loc, definitions) for option in options]
    if any(not problems for problems in found):
        return []
    kinds = [_resolve(option, definitions).get("type") for option in options]
    for kind, problems in zip(kinds, found, strict=True):
        if kind is not None and _is(value, kind):
            return problems
    words = " or ".join(_WORDS[kind] for kind in kinds if kind is not None)
    text = f"expected {words}, found {found_text(value)}"
    return [ParameterProblem("parameter", loc, text, "Change the value.")]


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _TYPES[kind])


def _bounds(schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    if isinstance(value, (str, list)):
        size, unit = len(value), "characters" if isinstance(value, str) else "entries"
        low = schema.get("minLength" if isinstance(value, str) else "minItems", 0)
        high = schema.get("maxLength" if isinstance(value, str) else "maxItems")
        if size < low:
            yield f"expected at least {low} {unit}, found {size}"
        if high is not None and size > high:
            yield f"expected at most {high} {unit}, found {size}"
    if isinstance(value, (int, float)):
        for key, words, holds in _LIMITS:
            if key in schema and not holds(value, schema[key]):
                yield f"expected {words} {schema[key]:g}, found {value:g}"
