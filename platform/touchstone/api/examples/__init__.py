"""An example of every operation, and the errors it has of its own: JSON files beside this one.

Each file maps operation ids to what `Example` holds; a test compares them all with the schema.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from touchstone.core.problems import CONTENT_TYPE, problem, title_of

_FOLDER = Path(__file__).parent
_REQUEST_ID = "6f1c0d0a5be94c7d8b1f0f6f4f6b8f11"


@dataclass(frozen=True)
class Example:
    """One request and its answer. `actor` is who asks; `errors` maps "409 name_taken" to what that means."""

    actor: str = "participant"
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    request: Any = None
    status: int = 200
    response: Any = None
    errors: dict[str, str] = field(default_factory=dict)


@cache
def examples() -> dict[str, Example]:
    """All of them, by operation id."""
    found: dict[str, Example] = {}
    for file in sorted(_FOLDER.glob("*.json")):
        for name, given in json.loads(file.read_text(encoding="utf-8")).items():
            if name in found:
                raise ValueError(f"{file.name}: a second example of {name}")
            found[name] = Example(**({"actor": given.pop("as", "participant")} | given))
    return found


def describe(operation: dict[str, Any]) -> None:
    """Write the example of an operation, where there is one, into its description."""
    example = examples().get(operation["operationId"])
    if example is None:
        return
    for parameter in operation.get("parameters", []):
        given = {"path": example.path, "query": example.query, "header": example.headers}.get(parameter["in"], {})
        if parameter["name"] in given:
            parameter["example"] = given[parameter["name"]]
    if example.request is not None:
        for media in operation["requestBody"]["content"].values():
            media["example"] = example.request
            break  # the others are forms with a file
    if example.response is not None:
        _first(operation, str(example.status))["example"] = example.response
    _errors(operation, example.errors)


def _first(operation: dict[str, Any], status: str) -> dict[str, Any]:
    return next(iter(operation["responses"][status]["content"].values()))  # type: ignore[no-any-return]


def _errors(operation: dict[str, Any], errors: dict[str, str]) -> None:
    lines = []
    for key, text in errors.items():
        status, code = key.split(" ")
        lines.append(f"* {status} `{code}`: {text}")
        if status not in operation["responses"]:  # only this operation answers so
            schema = _first(operation, "400")["schema"]
            content = {CONTENT_TYPE: {"schema": schema}}
            operation["responses"][status] = {"description": title_of(int(status)), "content": content}
        media = _first(operation, status)
        body = problem(status=int(status), detail=text, code=code, request_id=_REQUEST_ID)
        media.setdefault("examples", {})[code] = {"value": body}
    operation["responses"] = dict(sorted(operation["responses"].items()))
    if lines:
        operation["description"] += "\n\n" + "\n".join(["Errors of its own:", "", *lines])
