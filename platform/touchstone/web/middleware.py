"""Errors that a page lets through, whoever wrote the page."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from touchstone.core.errors import NotFound, UserError
from touchstone.core.problems import problem_response
from touchstone.web.views.support import problem_page

_PROGRAMS = ("/api/", "/node/", "/registry/")


class ProblemMiddleware:
    """Shows a `UserError` as the page of its status, and an address that cannot be as one that is not there.

    The interfaces for programs answer errors themselves.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path:  # nothing has a name that the database cannot hold
            error = NotFound("There is no such address.", "Check it for signs that were put in by mistake.")
            programs = request.path.startswith(_PROGRAMS)
            return problem_response(error, request=request) if programs else problem_page(request, error)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, UserError) and not request.path.startswith(_PROGRAMS):
            return problem_page(request, exception)
        return None
