"""The OpenAPI 3.1 description: settings, names of components, and the problem answers that every operation may give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from touchstone.api.examples import describe
from touchstone.core.problems import CONTENT_TYPE

F = TypeVar("F", bound=Callable[..., Any])

_DESCRIPTION = """REST interface of Touchstone, the evaluation platform for trustworthy AI.

Names, not numbers: a competition is its slug, a phase `{slug}/{phase}`, a leaderboard `{slug}/{phase}/{board}`.
Every error is a problem document (RFC 9457) with a `code`, a `hint` and the request's id.
Lists come in pages: pass `next` of one page as `after` of the next request.
"""

SETTINGS: dict[str, Any] = {
    "TITLE": "Touchstone",
    "DESCRIPTION": _DESCRIPTION,
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {"SubmissionKind": "touchstone.submissions.models.Submission.Kind"},
    "TAGS": [
        {"name": "competitions", "description": "What is on offer, and publishing it."},
        {"name": "submissions", "description": "Sending work and reading what became of it."},
        {"name": "uploads", "description": "Files by parts, resumable."},
        {"name": "leaderboards", "description": "Who is where, and how sure it is."},
        {"name": "organising", "description": "Running a competition: people, phases, announcements."},
        {"name": "teams", "description": "One's participation and its people."},
        {"name": "drafts", "description": "Writing a competition step by step."},
        {"name": "nodes", "description": "What evaluates submissions, and what waits for it."},
        {"name": "account", "description": "Oneself and one's tokens."},
    ],
}

_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "`ETag` of the answer before.",
}
_PROBLEMS = {"400": "Invalid request", "429": "Too many requests", "500": "Internal error", "503": "Not available"}


class FaultItem(serializers.Serializer[Any]):
    """One fault of the request."""

    pointer = serializers.CharField(allow_blank=True, help_text="JSON pointer into the body, or the query parameter.")
    message = serializers.CharField()
    code = serializers.CharField()


class DefectItem(serializers.Serializer[Any]):
    """One defect of a competition bundle."""

    code = serializers.CharField()
    message = serializers.CharField()
    where = serializers.CharField(allow_blank=True, help_text="Key path, such as phases[1].closes.")
    file = serializers.CharField(allow_blank=True)
    line = serializers.IntegerField(allow_null=True)
    hint = serializers.CharField(allow_blank=True)


class Problem(serializers.Serializer[Any]):
    """RFC 9457 problem document."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What happened and why.")
    code = serializers.CharField(help_text="For programs; does not change.")
    hint = serializers.CharField(required=False, help_text="The next step.")
    request_id = serializers.CharField(required=False, help_text="What an operator finds the request by.")
    errors = FaultItem(many=True, required=False)
    defects = DefectItem(many=True, required=False)
    reset_at = serializers.DateTimeField(required=False, help_text="When the next submission is free.")


class ApiSchema(AutoSchema):
    """Names nested serializers by their view, and adds the problems that any operation may answer with."""

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        return str(serializer.__class__.__qualname__).replace(".", "").removesuffix("Out")

    def get_auth(self) -> Any:
        auth = super().get_auth()
        return [*auth, {}] if self._scope() == "" else auth

    def get_description(self) -> str:
        return ""  # the docstrings of views are for readers of the code

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        described = super().get_operation(*args, **kwargs)
        if described is not None:
            scope = self._scope()
            needed = f"Scope: `{scope}`." if scope else "For everybody; who may see more gets more."
            described["description"] = f"{described.get('description', '')}\n\n{needed}".strip()
            if self.method in getattr(self.view, "deprecated", {}):
                described["deprecated"] = True
            if self._is_tagged():
                described.setdefault("parameters", []).append(_IF_NONE_MATCH)
            describe(described)
        return described

    def _is_tagged(self) -> bool:
        return self.method == "GET" and getattr(self.view, "tags", False)

    def _scope(self) -> str:
        return str(getattr(self.view, "scopes", {}).get(self.method, ""))

    def get_tags(self) -> list[str]:
        return [getattr(self.view, "tag", "account")]

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        if direction == "response":
            for status, text in self._problems().items():
                bodies.setdefault(status, self._problem(text))
            if self._is_tagged():
                bodies.setdefault("304", {"description": "Not changed"})
        return dict(sorted(bodies.items()))

    def _problems(self) -> dict[str, str]:
        found = dict(_PROBLEMS)
        found["401"] = "The token is not valid, or none is given where one is needed"
        found["403"] = "Not allowed"
        if "{" in self.path or self.method == "POST" or self.method in getattr(self.view, "competition_in", {}):
            found["404"] = "Not found"
        if self.method in ("POST", "PUT", "PATCH", "DELETE"):
            found |= {"409": "Conflict", "413": "Too large", "415": "Unsupported content type"}
        return found

    def _problem(self, text: str) -> dict[str, Any]:
        component = self.resolve_serializer(Problem(), "response")
        return {"description": text, "content": {CONTENT_TYPE: {"schema": component.ref}}}


def operation(**options: Any) -> Callable[[F], F]:
    """Describes a method of a view; the same as `extend_schema`, on top of `ApiSchema` instead of a global default."""

    def decorate(method: F) -> F:
        method.kwargs = {"schema": ApiSchema}  # type: ignore[attr-defined]
        return extend_schema(**options)(method)  # type: ignore[no-any-return]

    return decorate
