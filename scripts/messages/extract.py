"""Which texts pages show: calls of gettext in Python, `translate` tags in templates, the catalogue of metrics."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils.translation.template import templatize

_MODULE = "django.utils.translation"
_SINGULAR = frozenset({"gettext", "gettext_lazy", "gettext_noop"})
_PLURAL = frozenset({"ngettext", "ngettext_lazy"})
_STRING = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
#: Of a metric, an attack or a defence; beside them the titles of a metric's results.
_SAID = ("title", "summary", "interval", "limits", "reference", "unit")
#: What `templatize` writes for a tag.
_CALL = re.compile(rf"\b(n?gettext|_)\({_STRING}(?:, {_STRING}, count)?\)")


class NotLiteral(Exception):
    """A marked text that is put together at run time: no catalogue can hold it."""


@dataclass(frozen=True)
class Message:
    """A text, and its plural where it has one."""

    text: str
    plural: str = ""


def messages(root: Path, catalogue: Path) -> dict[Message, list[str]]:
    """Every marked text below `root` and every text of `catalogue`, with the names of the files that hold it."""
    found: dict[Message, list[str]] = {}
    files = [path for path in root.rglob("*") if path.suffix in (".py", ".html", ".txt", ".svg") and _is_source(path)]
    for path in sorted(files):
        text = path.read_text()
        name = path.relative_to(root).as_posix()
        for message in in_python(text, name) if path.suffix == ".py" else in_template(text):
            names = found.setdefault(message, [])
            if name not in names:
                names.append(name)
    for message in in_catalogue(catalogue.read_text()):
        found.setdefault(message, [catalogue.name])
    return _with_plurals(found)


def _is_source(path: Path) -> bool:
    parts = set(path.parts)
    return not parts & {"migrations", "static", "locale"} and (path.suffix == ".py" or "templates" in parts)


def _with_plurals(found: dict[Message, list[str]]) -> dict[Message, list[str]]:
    """gettext knows a text by its singular: where both are marked, the one with a plural stands for both."""
    plurals = {message.text: message for message in found if message.plural}
    merged: dict[Message, list[str]] = {}
    for message, names in found.items():
        merged.setdefault(plurals.get(message.text, message), []).extend(names)
    return {message: list(dict.fromkeys(names)) for message, names in merged.items()}


def in_python(source: str, name: str) -> Iterator[Message]:
    tree = ast.parse(source)
    known = _names(tree)
    if not known:
        return
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        function = known.get(call.func.id)
        if function in _PLURAL:
            yield Message(_literal(call, 0, name), _literal(call, 1, name))
        elif function in _SINGULAR and not _passes_on(call):
            yield Message(_literal(call, 0, name))


def _names(tree: ast.AST) -> dict[str, str]:
    """What a file calls the functions of gettext."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == _MODULE
        for alias in node.names
        if alias.name in _SINGULAR | _PLURAL
    }


def _passes_on(call: ast.Call) -> bool:
    """`gettext(title)`: the text itself is marked where it is written."""
    return bool(call.args) and not isinstance(call.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)


def _literal(call: ast.Call, at: int, name: str) -> str:
    value = call.args[at] if at < len(call.args) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    raise NotLiteral(f"{name}:{call.lineno}: a text to translate is one literal with named placeholders")


def in_catalogue(source: str) -> Iterator[Message]:
    """What the catalogue of metrics and attacks says to readers; formulas are of no language."""
    for entries in json.loads(source).values():
        for entry in entries.values():
            columns = [column["title"] for column in entry.get("columns", {}).values()]
            said = [*(entry.get(part, "") for part in _SAID), *columns, *_fields(entry.get("parameters", {}))]
            yield from (Message(text) for text in said if text.strip())


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    """What the form of a metric calls its parameters and their choices where it has no better words."""
    for name, field in schema.get("properties", {}).items():
        yield name.replace("_", " ").capitalize()
        item = field.get("items", {})
        for part in (field, item, *field.get("anyOf", []), *item.get("anyOf", [])):
            yield from (value.replace("_", " ") for value in part.get("enum", []) if isinstance(value, str))


def in_template(source: str) -> Iterator[Message]:
    for _name, text, plural in _CALL.findall(templatize(source)):
        yield Message(ast.literal_eval(text), ast.literal_eval(plural) if plural else "")
