"""Problem responses (RFC 9457): one JSON shape for every error of every API."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from touchstone.core.clock import now
from touchstone.core.errors import QuotaExceeded, UserError

CONTENT_TYPE = "application/problem+json"
_FOR_PROGRAMS = ("/api/", "/node/", "/registry/")

_TITLES = {
    400: "Invalid request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported content type",
    422: "Invalid content",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}


def title_of(status: int) -> str:
    """What a status means, in words."""
    return _TITLES.get(status, "Error")


def problem(
    *, status: int, detail: str, hint: str = "", code: str = "", request_id: str = "", **extra: Any
) -> dict[str, Any]:
    """The body of a problem response. `extra` members (`fields`, `defects`, `reset_at`) are added as they are."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "code": code or "error",
    }
    if hint:
        body["hint"] = hint
    if request_id:
        body["request_id"] = request_id
    return body | {key: value for key, value in extra.items() if value}


def problem_from(error: UserError, *, request_id: str = "") -> dict[str, Any]:
    """A `UserError` as a problem, with the defects and reset time that some of them carry."""
    extra: dict[str, Any] = {"fields": error.fields}
    if isinstance(error, QuotaExceeded) and error.reset_at is not None:
        extra["reset_at"] = error.reset_at.isoformat()
    defects = getattr(error, "defects", None)
    if defects:
        extra["defects"] = [
            {key: getattr(d, key, None) for key in ("code", "message", "where", "file", "line", "hint")}
            for d in defects
        ]
    return problem(
        status=error.status,
        detail=error.message,
        hint=error.hint,
        code=error.code,
        request_id=request_id,
        **extra,
    )


def request_id_of(request: HttpRequest) -> str:
    """The id that `RequestIdMiddleware` gave this request."""
    return str(getattr(request, "request_id", ""))


def problem_response(error: UserError, *, request: HttpRequest) -> JsonResponse:
    """`error` as a response, with `Retry-After` where a quota says when."""
    body = problem_from(error, request_id=request_id_of(request))
    response = JsonResponse(body, status=error.status, content_type=CONTENT_TYPE)
    if isinstance(error, QuotaExceeded) and error.reset_at is not None:
        response["Retry-After"] = str(max(1, int((error.reset_at - now()).total_seconds())))
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What no view was asked about: a host that is not ours, too many fields. Programs get a problem, people a page."""
    if not request.path.startswith(_FOR_PROGRAMS):
        return defaults.bad_request(request, exception)
    return _told(
        request, 400, "The request is not acceptable.", "Look at its host, its headers and its size.", "invalid"
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """A fault of ours outside every view."""
    if not request.path.startswith(_FOR_PROGRAMS):
        return defaults.server_error(request)
    hint = "Try again. If it stays, tell the operator the request id."
    return _told(request, 500, "Something went wrong on our side; it was logged.", hint, "internal_error")


def _told(request: HttpRequest, status: int, detail: str, hint: str, code: str) -> HttpResponse:
    body = problem(status=status, detail=detail, hint=hint, code=code, request_id=request_id_of(request))
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)
