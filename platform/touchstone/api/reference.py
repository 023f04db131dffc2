"""The description of the interface as something to read: from the same document as everything else."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from touchstone.api.examples import Example, examples
from touchstone.api.views.schema import schema_document

_ERROR = re.compile(r"^\* (\d{3}) `(\w+)`: (.*)$")


@dataclass(frozen=True)
class Parameter:
    """Of the address, the query or the headers."""

    name: str
    place: str
    required: bool
    kind: str
    text: str


@dataclass(frozen=True)
class Field:
    """A member of the body."""

    name: str
    required: bool
    kind: str
    text: str


@dataclass(frozen=True)
class Operation:
    """One operation, ready to be shown. `texts` are paragraphs in pieces: (text, whether it is code)."""

    id: str
    method: str
    path: str
    summary: str
    deprecated: bool
    texts: list[list[tuple[str, bool]]]
    errors: list[tuple[str, str, str]]
    parameters: list[Parameter]
    fields: list[Field]
    statuses: list[tuple[str, str]]
    curl: str
    answer: str
    status: int


@dataclass(frozen=True)
class Section:
    """A tag and its operations."""

    name: str
    text: str
    operations: list[Operation] = field(default_factory=list)


@cache
def reference() -> list[Section]:
    """Everything, by tag; made once a process."""
    document = schema_document()
    told = {each["name"]: each["description"] for each in document.get("tags", [])}
    sections = {name: Section(name, text) for name, text in told.items()}
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            tag = described["tags"][0]
            made = _operation(document, path, method.upper(), described)
            sections.setdefault(tag, Section(tag, "")).operations.append(made)
    return [section for section in sections.values() if section.operations]


def _operation(document: dict[str, Any], path: str, method: str, described: dict[str, Any]) -> Operation:
    example = examples().get(described["operationId"], Example())
    texts, errors = _texts(described["description"])
    media = described.get("requestBody", {}).get("content", {})
    answers = described["responses"]
    return Operation(
        id=described["operationId"], method=method, path=path, summary=described.get("summary", ""),
        deprecated=bool(described.get("deprecated")), texts=[_pieces(text) for text in texts],
        errors=errors,
        parameters=[_parameter(each) for each in described.get("parameters", [])],
        fields=_fields(document, media), statuses=[(code, answer["description"]) for code, answer in answers.items()],
        curl=curl(path=path, method=method, media=next(iter(media), ""), example=example),
        answer=_pretty(example.response), status=example.status,
    )  # fmt: skip


def _texts(description: str) -> tuple[list[str], list[tuple[str, str, str]]]:
    """Paragraphs, and the errors that stand in a list at the end."""
    texts, errors = [], []
    for block in description.split("\n\n"):
        found = [match.groups() for line in block.splitlines() if (match := _ERROR.match(line))]
        errors += found
        if not found and block.strip() != "Errors of its own:":
            texts.append(" ".join(block.split()))
    return texts, errors  # type: ignore[return-value]


def _pieces(text: str) -> list[tuple[str, bool]]:
    """What stands between backticks is code."""
    return [(piece, number % 2 == 1) for number, piece in enumerate(text.split("`")) if piece]


def _parameter(given: dict[str, Any]) -> Parameter:
    return Parameter(
        given["name"], given["in"], bool(given.get("required")), _kind(given.get("schema", {})),
        given.get("description", ""),
    )  # fmt: skip


def _fields(document: dict[str, Any], media: dict[str, Any]) -> list[Field]:
    schema = next(iter(media.values()), {}).get("schema", {})
    schema = _resolved(document, schema)
    required = schema.get("required", [])
    return [
        Field(name, name in required, _kind(part), part.get("description", ""))
        for name, part in schema.get("properties", {}).items()
    ]


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return dict(document["components"]["schemas"][name]) if name else schema


def _kind(schema: dict[str, Any]) -> str:
    """The type of a value in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    parts = schema.get("oneOf") or schema.get("anyOf") or schema.get("allOf")
    if parts:
        return " or ".join(_kind(part) for part in parts)
    kind = schema.get("type", "any")
    kinds = [kind] if isinstance(kind, str) else list(kind)
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    return " or ".join(kinds) + (f" ({schema['format']})" if "format" in schema else "")


def curl(*, path: str, method: str, media: str, example: Example) -> str:
    """The example as a command of a shell."""
    address = settings.TOUCHSTONE_BASE_URL + path.format_map(_Named(example.path))
    query = {name: value for name, value in example.query.items() if value != ""}
    if query:
        address += f"?{urlencode(query, safe=',')}"
    words = ["curl -sS"] + ([f"-X {method}"] if method != "GET" else [])
    if example.actor != "anonymous":
        words.append('-H "Authorization: Bearer $TOUCHSTONE_TOKEN"')
    words += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in example.headers.items()]
    if isinstance(example.request, str):
        words += [f"-H 'Content-Type: {media}'", "--data-binary @FILE"]
    elif example.request is not None:
        words += ["--json " + shlex.quote(json.dumps(example.request, ensure_ascii=False))]
    return " \\\n  ".join([*words, shlex.quote(address)])


class _Named(dict[str, Any]):
    """Names of an address that the example does not fill stay as they are."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def _pretty(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, indent=2, ensure_ascii=False)
