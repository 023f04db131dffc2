"""Every error of the REST interface as an RFC 9457 problem: one handler for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from touchstone.core.clock import now
from touchstone.core.errors import QuotaExceeded, TooBusy, UserError
from touchstone.core.problems import CONTENT_TYPE, problem, problem_from, request_id_of

_log = structlog.get_logger(__name__)

#: Codes of answers after which the same request soon fares otherwise.
_SOON = ("key_in_use",)
_HINTS = {
    "not_signed_in": "Send `Authorization: Bearer ts_…`; make a token on your account page.",
    "bad_authorization": "Send `Authorization: Bearer ts_…`.",
    "bad_token": "Make a new token on your account page.",
    "scope_missing": "Make a token with this scope on your account page.",
    "malformed_json": "Send one JSON object, encoded as UTF-8.",
    "throttled": "Wait as long as the Retry-After header says, then go on more slowly.",
    "csrf": "Send the X-CSRFToken header with the value of the csrftoken cookie; or use a token.",
}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """The response for whatever a view raised. Nothing gets past: a bug becomes a 500 with the request's id."""
    set_rollback()
    request_id = request_id_of(context["request"]._request)
    if isinstance(error, UserError):
        return _user_error(error, request_id)
    error = _as_api_exception(error)
    if isinstance(error, exceptions.APIException):
        return _api_error(error, request_id)
    if isinstance(error, (OperationalError, InterfaceError)):
        _log.warning("database_unavailable", error=str(error))
        body = problem(
            status=503,
            detail="The database cannot be reached at the moment.",
            hint="Send the same request again in a few seconds.",
            code="unavailable",
            request_id=request_id,
        )
        return _response(body, {"Retry-After": "2"})
    _log.error("unhandled_exception", exc_info=error)
    body = problem(
        status=500,
        detail="Something went wrong on our side; it was logged.",
        hint="Try again. If it stays, tell the operator the request id.",
        code="internal_error",
        request_id=request_id,
    )
    return _response(body)


def _as_api_exception(error: Exception) -> Exception:
    if isinstance(error, Http404):
        return exceptions.NotFound()
    if isinstance(error, DjangoPermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, SuspiciousOperation):
        return exceptions.ParseError("The request is not acceptable.")
    return error


def _user_error(error: UserError, request_id: str) -> Response:
    body = problem_from(error, request_id=request_id)
    fields = body.pop("fields", {})
    if fields:
        body["errors"] = [
            {"pointer": f"/{name}", "message": text, "code": error.code}
            for name, texts in fields.items()
            for text in texts
        ]
    headers = {}
    if isinstance(error, QuotaExceeded) and error.reset_at is not None:
        headers["Retry-After"] = str(max(1, math.ceil((error.reset_at - now()).total_seconds())))
    if isinstance(error, TooBusy):
        headers["Retry-After"] = str(error.retry_after)
    if error.code in _SOON:
        headers["Retry-After"] = "2"
    return _response(body, headers)


def _api_error(error: exceptions.APIException, request_id: str) -> Response:
    if isinstance(error, exceptions.ValidationError):
        return _validation_error(error, request_id)
    code = _code(error)
    body = problem(
        status=error.status_code, detail=_detail(error), hint=_hint(error, code), code=code, request_id=request_id
    )
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
    if isinstance(error, exceptions.Throttled) and error.wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.wait)))
    return _response(body, headers)


def _validation_error(error: exceptions.ValidationError, request_id: str) -> Response:
    errors = list(_flat(error.detail, ""))
    names = ", ".join(dict.fromkeys(item["pointer"] or "the request" for item in errors))
    body = problem(
        status=400,
        detail=f"The request has {len(errors)} fault{'s' if len(errors) != 1 else ''}: {names}.",
        hint="Correct what `errors` lists and send the request again.",
        code="invalid",
        request_id=request_id,
        errors=errors,
    )
    return _response(body)


def _flat(detail: Any, pointer: str) -> Any:
    """Nested messages as a list of `{pointer, message, code}`; `pointer` is a JSON pointer (RFC 6901)."""
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            part = "" if key == "non_field_errors" else f"/{str(key).replace('~', '~0').replace('/', '~1')}"
            yield from _flat(value, pointer + part)
    elif isinstance(detail, list):
        for index, value in enumerate(detail):
            nested = isinstance(value, (Mapping, list))
            yield from _flat(value, f"{pointer}/{index}" if nested else pointer)
    else:
        yield {"pointer": pointer, "message": str(detail), "code": getattr(detail, "code", "invalid")}


def _code(error: exceptions.APIException) -> str:
    code = str(error.get_codes())
    if isinstance(error, exceptions.ParseError) and code == "parse_error":
        return "malformed_json"
    if isinstance(error, exceptions.PermissionDenied) and str(error.detail).startswith("CSRF"):
        return "csrf"
    return code


def _detail(error: exceptions.APIException) -> str:
    if isinstance(error, exceptions.NotFound) and error.get_codes() == "not_found":
        return "There is nothing at this address, or you may not see it."
    return str(error.detail)


def _hint(error: exceptions.APIException, code: str) -> str:
    if code in _HINTS:
        return _HINTS[code]
    if isinstance(error, exceptions.MethodNotAllowed):
        return "See the Allow header for what this address offers."
    if isinstance(error, exceptions.UnsupportedMediaType):
        return "See the schema at /api/v1/schema for the content types that this address takes."
    if isinstance(error, exceptions.NotFound):
        return "Check the names in the address; /api/v1/schema lists all addresses. They end without a slash."
    return ""


def _response(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encodable(body), status=body["status"], headers=dict(headers or {}), content_type=CONTENT_TYPE)


def _encodable(value: Any) -> Any:
    """The same without halves of surrogate pairs, which JSON can bring in and UTF-8 cannot carry out."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {key: _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list) else value
