"""The reference of the REST interface as a page: made on the server, with nothing that a strict policy forbids."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from touchstone.api.reference import reference


@require_safe
def api_reference(request: HttpRequest) -> HttpResponse:
    """Every operation with its parameters, its errors, and an example as a command."""
    sections = reference()
    count = sum(len(section.operations) for section in sections)
    return render(request, "web/api_reference.html", {"nav": "", "sections": sections, "count": count})
