"""Validation errors in words for people: what is expected, what was found, what to write instead."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from runners.spec.defects import Defect, Loc, path_text, suggestion
from runners.spec.models import CompetitionSpec
from runners.spec.values import KeyProblems
from runners.spec.yamlfile import Document

_PATTERNS = {
    r"^[a-z0-9]+(?:-[a-z0-9]+)*$": ("a short name of a-z, 0-9 and single hyphens", "Write for example my-name."),
    r"^[A-Za-z_][A-Za-z0-9_]*$": (
        "a name of letters, digits and _ that starts with no digit",
        "Write for example age_group.",
    ),
    r"^[a-z0-9-]+(?:\.[a-z0-9-]+)+$": ("a domain in lower case, without @", "Write for example example.org."),
}
_EXPECTED = {
    "string_type": ("text", "Put the value in quotes."),
    "int_type": ("a whole number", "Write it without quotes, for example 5."),
    "int_from_float": ("a whole number", "Write it without a fraction."),
    "int_parsing": ("a whole number", "Write it without quotes, for example 5."),
    "float_type": ("a number", "Write it without quotes, for example 0.5."),
    "float_parsing": ("a number", "Write it without quotes, for example 0.5."),
    "bool_type": ("true or false", "Write true or false without quotes."),
    "list_type": ("a list", "Write [a, b] or one `- item` a line."),
    "tuple_type": ("a list", "Write [a, b] or one `- item` a line."),
    "dict_type": ("a mapping of keys to values", "Write `key: value` lines."),
    "model_type": ("a mapping of keys to values", "Write `key: value` lines or {key: value}."),
    "model_attributes_type": ("a mapping of keys to values", "Write `key: value` lines or {key: value}."),
    "datetime_type": ("a time with a zone", "Write for example 2026-01-31T23:59Z."),
    "datetime_parsing": ("a time with a zone", "Write for example 2026-01-31T23:59Z."),
    "datetime_from_date_parsing": ("a time with a zone", "Write for example 2026-01-31T23:59Z."),
    "datetime_object_invalid": ("a time that exists", "Write for example 2026-01-31T23:59Z."),
}
_BOUNDS = {
    "greater_than": ("gt", "more than"), "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"), "less_than_equal": ("le", "at most"),
}  # fmt: skip


def found_text(value: object) -> str:
    """A value as the reader of a message should see it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    kind = "the text " if isinstance(value, str) else "the number " if isinstance(value, (int, float)) else ""
    return kind + (text if len(text) <= 60 else text[:57] + "...")


def defects_of(errors: list[Any], document: Document, *, file: str) -> list[Defect]:
    """Defects for the errors of one validation; errors that only follow from others are left out."""
    locs = [tuple(error["loc"]) for error in errors]
    found = []
    for error, loc in zip(errors, locs, strict=True):
        follows = error["type"] == "too_short" and any(other[: len(loc)] == loc and other != loc for other in locs)
        if not follows:
            found += _defects(error, loc, document, file)
    return found


def _defects(error: Any, loc: Loc, document: Document, file: str) -> list[Defect]:
    def make(code: str, message: str, hint: str, at: Loc) -> Defect:
        return Defect(code, message, path_text(at), file, document.line(at), hint)

    kind = error["type"]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, KeyProblems):
        return [make("value", message, "", (*loc, key)) for key, message in cause.problems]
    if loc and loc[-1] == "[key]":
        loc = loc[:-1]
    if kind == "missing":
        return [make("missing_key", f"the key `{loc[-1]}` is missing", _description(loc), loc[:-1])]
    if kind == "extra_forbidden":
        parent = path_text(loc[:-1]) or "competition.yml"
        hint = suggestion(str(loc[-1]), known_keys(loc[:-1]), what="Known keys")
        return [make("unknown_key", f"{parent} has no key named `{loc[-1]}`", hint, loc)]
    message, hint = _wording(kind, error, cause)
    return [make("value" if kind == "value_error" else "type", message, hint, loc)]


def _wording(kind: str, error: Any, cause: object) -> tuple[str, str]:
    context = error.get("ctx", {})
    found = found_text(error["input"])
    if kind in _EXPECTED:
        expected, hint = _EXPECTED[kind]
        return f"expected {expected}, found {found}", hint
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"expected {words} {context[key]:g}, found {found}", "Change the number."
    if kind == "value_error":
        return str(cause), ""
    if kind in ("literal_error", "enum"):
        choices = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        hint = suggestion(str(error["input"]), choices, what="Choices")
        return f"expected {context['expected']}, found {found}", hint
    maker = _SIZES.get(kind)
    if maker is not None:
        return maker(context, found)
    return f"{error['msg'].removeprefix('Input ')}, found {found}", "Correct the value."


def _pattern(context: Mapping[str, Any], found: str) -> tuple[str, str]:
    expected, hint = _PATTERNS.get(context["pattern"], (f"text like {context['pattern']}", ""))
    return f"expected {expected}, found {found}", hint


def _entries(number: int) -> str:
    return f"{number} entry" if number == 1 else f"{number} entries"


_SIZES: dict[str, Callable[[Mapping[str, Any], str], tuple[str, str]]] = {
    "string_pattern_mismatch": _pattern,
    "string_too_short": lambda _c, _f: ("expected some text, found none", "Write something here."),
    "string_too_long": lambda c, _f: (f"the text is longer than {c['max_length']} characters", "Shorten it."),
    "too_short": lambda c, _f: (
        f"expected at least {_entries(c['min_length'])}, found {c['actual_length']}", "Add what is missing.",
    ),
    "too_long": lambda c, _f: (
        f"expected at most {_entries(c['max_length'])}, found {c['actual_length']}", "Remove what is too much.",
    ),
}  # fmt: skip


def _plain(annotation: Any) -> Any:
    """An annotation without Annotated and without `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        return _plain(inner[0])
    return annotation


def _model_at(loc: Loc) -> type[BaseModel] | None:
    """The model that describes the mapping at a key path."""
    current: Any = CompetitionSpec
    for part in loc:
        current = _plain(current)
        if isinstance(current, type) and issubclass(current, BaseModel):
            info = current.model_fields.get(str(part))
            if info is None:
                return None
            current = info.annotation
        elif get_args(current):
            current = get_args(current)[1 if get_origin(current) is dict else 0]
        else:
            return None
    current = _plain(current)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def known_keys(loc: Loc) -> list[str]:
    """The keys that a mapping at this key path may have."""
    model = _model_at(loc)
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def _description(loc: Loc) -> str:
    model = _model_at(loc[:-1])
    info = model.model_fields.get(str(loc[-1])) if model else None
    return f"Add it: {info.description}" if info is not None and info.description else f"Add `{loc[-1]}: ...`."
