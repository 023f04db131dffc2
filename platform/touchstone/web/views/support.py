"""What all views share: errors of services as pages, and answers to forms sent by htmx."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone

from touchstone.accounts.models import User
from touchstone.core.errors import UserError

View = Callable[..., HttpResponseBase]
Viewer = User | AnonymousUser

_TEMPLATES = {400: "400.html", 403: "403.html", 404: "404.html", 409: "409.html", 413: "413.html", 429: "429.html"}


def page(view: View) -> View:
    """Turn a `UserError` that a view lets through into the page of its status."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except UserError as error:
            return problem_page(request, error)

    return wrapper


def problem_page(request: HttpRequest, error: UserError) -> HttpResponse:
    """The page of an error: what, why, and the next step."""
    response = render(request, _TEMPLATES.get(error.status, "400.html"), {"problem": error}, status=error.status)
    reset_at = getattr(error, "reset_at", None)
    if reset_at is not None:
        response["Retry-After"] = str(max(1, int((reset_at - timezone.now()).total_seconds())))
    return response


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def form_answer(request: HttpRequest, *, whole: str, part: str, context: Mapping[str, Any]) -> HttpResponse:
    """A form that was refused: the part alone for htmx, else the page; 422 in both cases."""
    return render(request, part if is_htmx(request) else whole, dict(context), status=422)


def go_to(request: HttpRequest, url: str) -> HttpResponse:
    """A redirect that also works for a form sent by htmx."""
    if is_htmx(request):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = url
        return response
    return redirect(url)
