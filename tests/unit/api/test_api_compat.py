"""What programs were written against goes on: the description of the first release, kept, against today's."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.factories.api_compat import breaks
from touchstone.api.views.schema import schema_document

KEPT = Path(__file__).resolve().parents[2] / "fixtures" / "openapi-v1.json"
#: Values that no request that was answered can have had.
MEANT = {
    "POST /api/v1/competitions/{slug}/reruns: the field before_version: maximum is 2147483647 now",
    "POST /api/v1/tokens: the field scopes: maxItems is 20 now",
}


def test_version_1_is_as_it_was_for_who_uses_it() -> None:
    found = set(breaks(json.loads(KEPT.read_text()), schema_document()))
    assert found <= MEANT, (
        "Version 1 would break programs that use it. Add beside what there is, mark the old as deprecated "
        "(docs/api.md, Versions), or make a version 2:\n" + "\n".join(sorted(found - MEANT))
    )


OLD: dict[str, Any] = {
    "components": {"schemas": {
        "Thing": {
            "type": "object", "required": ["id"],
            "properties": {"id": {"type": "string"}, "size": {"type": "integer"}, "parts": {
                "type": "array", "items": {"$ref": "#/components/schemas/Thing"}}},
        },
        "New": {
            "type": "object", "required": ["name"],
            "properties": {"name": {"type": "string"}, "kind": {"type": "string", "enum": ["a", "b"]}},
        },
    }},
    "paths": {"/things": {
        "get": {
            "parameters": [{"in": "query", "name": "q", "schema": {"type": "string"}}],
            "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
        },
        "post": {
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
            "responses": {"200": {}, "201": {}, "409": {}},
        },
    }},
}  # fmt: skip


def changed(*path: str, to: Any = None) -> dict[str, Any]:
    """The description with one place replaced, or taken out."""
    new = copy.deepcopy(OLD)
    place = new
    for key in path[:-1]:
        place = place[key] if isinstance(place, dict) else place[int(key)]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return new


_THING = ("components", "schemas", "Thing")
_NEW = ("components", "schemas", "New")
_GET, _POST = ("paths", "/things", "get"), ("paths", "/things", "post")


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (changed(*_POST), "POST /things: the operation is gone"),
        (changed(*_POST, "responses", "409"), "POST /things: status 409 is gone"),
        (changed(*_GET, "parameters", to=[]), "GET /things: the parameter q is gone"),
        (
            changed(
                *_GET, "parameters", to=[{"in": "query", "name": "q", "required": True, "schema": {"type": "string"}}]
            ),
            "GET /things: the parameter q is required now",
        ),
        (changed(*_THING, "properties", "size"), "GET /things: answer 200: the field size is gone"),
        (changed(*_THING, "required", to=[]), "GET /things: answer 200: the field id may be missing now"),
        (
            changed(*_THING, "properties", "size", to={"type": ["integer", "null"]}),
            "GET /things: answer 200: size may be null now",
        ),
        (changed(*_NEW, "required", to=["name", "kind"]), "POST /things: the field kind is required now"),
        (changed(*_NEW, "properties", "name"), "POST /things: the field name is no longer taken"),
        (
            changed(*_NEW, "properties", "kind", "enum", to=["a"]),
            "POST /things: the field kind: b is no longer taken",
        ),
        (
            changed(*_NEW, "properties", "name", "maxLength", to=5),
            "POST /things: the field name: maxLength is 5 now",
        ),
        (
            changed(*_POST, "requestBody", "content", to={"text/csv": {"schema": {}}}),
            "POST /things: a body of application/json is no longer taken",
        ),
    ],
)  # fmt: skip
def test_what_breaks_is_told(new: dict[str, Any], told: str) -> None:
    assert told in breaks(OLD, new)


def test_what_is_added_breaks_nothing() -> None:
    new = changed(*_THING, "properties", "colour", to={"type": "string"})
    new["paths"]["/more"] = new["paths"]["/things"]
    new["components"]["schemas"]["New"]["properties"]["colour"] = {"type": "string"}
    new["paths"]["/things"]["post"]["responses"]["429"] = {}
    assert breaks(OLD, new) == []
    assert breaks(OLD, OLD) == []
