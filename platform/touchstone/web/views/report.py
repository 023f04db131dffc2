"""Reports in plain language: whoever may see a phase's leaderboard may read what it says."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from touchstone.competitions.selectors import phase_get
from touchstone.core.addresses import client_address
from touchstone.core.rates import REPORTS, rate_take
from touchstone.web.report.build import Report, report_of
from touchstone.web.report.pdf import font_url, pdf_of
from touchstone.web.views.frame import Frame, context, frame
from touchstone.web.views.support import page


@page
@require_safe
def report(request: HttpRequest, slug: str, phase: str) -> HttpResponse:
    """The page."""
    shown = frame(request, slug)
    found = _report(request, shown, phase)
    return render(request, "web/report/report.html", context(shown, "leaderboard", report=found))


@page
@require_safe
def report_pdf(request: HttpRequest, slug: str, phase: str) -> HttpResponse:
    """The same as a file."""
    shown = frame(request, slug)
    found = _report(request, shown, phase)
    rate_take(rate=REPORTS, subjects={"address": client_address(request)})  # setting one takes a processor for seconds
    html = render_to_string("web/report/pdf.html", {"report": found, "font": font_url()})
    answer = HttpResponse(pdf_of(html=html), content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="{slug}-{found.phase.slug}-report.pdf"'
    answer["Cache-Control"] = "private, no-cache"
    return answer


def _report(request: HttpRequest, shown: Frame, phase: str) -> Report:
    found = phase_get(competition=shown.competition, slug=phase)
    return report_of(competition=shown.competition, phase=found, user=request.user)
