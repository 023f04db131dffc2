"""The language of a page, and errors that a page lets through, whoever wrote the page."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from touchstone.core.errors import NotFound, UserError
from touchstone.core.problems import problem_response
from touchstone.web.views.support import problem_page

_PROGRAMS = ("/api/", "/node/", "/registry/")


class LanguageMiddleware(LocaleMiddleware):
    """Pages speak the language of the cookie, else of the browser; the interfaces for programs speak English."""

    def process_request(self, request: HttpRequest) -> None:
        if request.path.startswith(_PROGRAMS):
            translation.activate("en")
            request.LANGUAGE_CODE = "en"
        else:
            super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path.startswith(_PROGRAMS):
            return response
        patch_vary_headers(response, ("Cookie",))
        return super().process_response(request, response)


class ProblemMiddleware:
    """Shows a `UserError` as the page of its status, and an address that cannot be as one that is not there.

    The interfaces for programs answer errors themselves.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path:  # nothing has a name that the database cannot hold
            error = NotFound(_("There is no such address."), _("Check it for signs that were put in by mistake."))
            programs = request.path.startswith(_PROGRAMS)
            return problem_response(error, request=request) if programs else problem_page(request, error)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, UserError) and not request.path.startswith(_PROGRAMS):
            return problem_page(request, exception)
        return None
