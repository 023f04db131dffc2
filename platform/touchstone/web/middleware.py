"""Errors that a page lets through, whoever wrote the page."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from touchstone.core.errors import UserError
from touchstone.web.views.support import problem_page

_PROGRAMS = ("/api/", "/node/", "/registry/")


class ProblemMiddleware:
    """Shows a `UserError` as the page of its status. The interfaces for programs answer errors themselves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, UserError) and not request.path.startswith(_PROGRAMS):
            return problem_page(request, exception)
        return None
