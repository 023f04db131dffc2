"""What every request passes: it gets an id, and the body of a form must not be too long."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from touchstone.core.errors import TooLarge

_LEGAL = re.compile(r"^[A-Za-z0-9_-]{8,64}$")


class BodyLimitMiddleware:
    """Refuses a page's form that is too long before anything reads it.

    The interfaces for programs look at their bodies themselves, once they know who asks.
    """

    _OTHERS = ("/api/", "/node/")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = _length(request)
        if length <= settings.TOUCHSTONE_FORM_BYTES_ANONYMOUS or request.path.startswith(self._OTHERS):
            return self.get_response(request)
        known = request.user.is_authenticated
        limit = settings.TOUCHSTONE_FORM_BYTES if known else settings.TOUCHSTONE_FORM_BYTES_ANONYMOUS
        if length <= limit:
            return self.get_response(request)
        hint = _("Send large files with the command line, which sends them by parts.") if known else _("Sign in first.")
        problem = TooLarge(
            _("The form has %(length)s bytes; %(limit)s are allowed.") % {"length": length, "limit": limit}, hint
        )
        response = render(request, "413.html", {"problem": problem}, status=problem.status)
        response["Connection"] = "close"  # nobody reads the rest
        return response


def _length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0  # Django takes it for 0 too


class RequestIdMiddleware:
    """The id is on every log line, in every problem response, and in the answer's header.

    A well-formed `X-Request-ID` of a proxy is kept; anything else is replaced.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _LEGAL.fullmatch(given) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response
