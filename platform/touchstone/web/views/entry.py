"""One entry of a leaderboard as everybody may see it, and its badge."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from touchstone.competitions.selectors import competition_get
from touchstone.leaderboards.entries import EntryView, entry_get
from touchstone.leaderboards.selectors import board_blunt
from touchstone.leaderboards.timeline import participant_history
from touchstone.submissions.selectors import provenance_shown
from touchstone.web import board_pictures, entry_pages
from touchstone.web.scores import score_groups
from touchstone.web.views.frame import context, frame
from touchstone.web.views.support import page


@page
@require_safe
def entry(request: HttpRequest, slug: str, pk: uuid.UUID) -> HttpResponse:
    """Scores by pillar with what they mean, pictures, where it came from, and what it does not say."""
    shown = frame(request, slug)
    found = entry_get(competition=shown.competition, user=request.user, id=pk)
    more = {} if found.withdrawn else _context(request, found)
    return render(
        request, "web/competition/entry.html", context(shown, "leaderboard", found=found, board=found.board, **more)
    )


def _context(request: HttpRequest, found: EntryView) -> dict[str, Any]:
    blunt = board_blunt(phase=found.board.phase, user=request.user)
    column = board_pictures.ranking_column(found.board, blunt)
    steps = participant_history(
        leaderboard=found.board, user=request.user, participation=found.submission.participation
    )
    badge_url = reverse("web:badge", args=[found.board.phase.competition.slug, found.submission.pk])
    return {
        "groups": score_groups(found.results),
        "meanings": entry_pages.meanings(found.results),
        "charts": entry_pages.pictures(found.results),
        "places": entry_pages.places(found.places),
        "provenance": entry_pages.provenance(found),
        "ci": provenance_shown(submission=found.submission, user=request.user),
        "blunt": blunt,
        "steps": board_pictures.step_rows(steps, column),
        "column": column,
        "history_chart": board_pictures.participant_chart(steps, column),
        "badge_url": badge_url,
        "badge_markdown": entry_pages.badge_markdown(request, found, badge_url),
    }


@page
@require_safe
def badge(request: HttpRequest, slug: str, pk: uuid.UUID) -> HttpResponseBase:
    """A small picture with the range of the rank and the score, for a README: the same for everybody, so in English."""
    found = entry_get(competition=competition_get(user=request.user, slug=slug), user=None, id=pk)
    with translation.override("en"):
        label, text = entry_pages.badge_texts(found, blunt=board_blunt(phase=found.board.phase, user=None))
        svg = entry_pages.badge_svg(label, text or _("not ranked"))
    etag = f'"{hashlib.sha256(svg.encode()).hexdigest()[:32]}"'
    if etag in request.headers.get("If-None-Match", ""):
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(svg, content_type="image/svg+xml; charset=utf-8")
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=300" if request.user.is_authenticated else "public, max-age=300"
    return response
