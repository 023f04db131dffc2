"""Other looks at a leaderboard: two results against each other, entries beside each other, and how it came about."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from touchstone.leaderboards.comparing import board_readable, compared_get, plane_get
from touchstone.leaderboards.models import Leaderboard
from touchstone.leaderboards.selectors import leaderboard_among, leaderboards_of
from touchstone.leaderboards.timeline import frontier_get
from touchstone.web import board_pictures
from touchstone.web.comparison import compare_rows
from touchstone.web.views.board import tagged_page
from touchstone.web.views.frame import Frame, context, frame
from touchstone.web.views.support import page


def _board(request: HttpRequest, slug: str, phase: str, board: str) -> tuple[Frame, Leaderboard]:
    shown = frame(request, slug)
    every = list(leaderboards_of(competition=shown.competition))
    return shown, leaderboard_among(every, shown.competition, phase=phase, board=board)


def _show(request: HttpRequest, shown: Frame, found: Leaderboard, name: str, **extra: Any) -> HttpResponseBase:
    template = f"web/competition/board_{name}.html"
    return render(request, template, context(shown, "leaderboard", board=found, view=name, **extra))


@page
@require_safe
def pareto(request: HttpRequest, slug: str, phase: str, board: str) -> HttpResponseBase:
    """Two results of all entries in a plane, and which of them no other beats in both."""
    shown, found = _board(request, slug, phase, board)

    def answer() -> HttpResponseBase:
        get = request.GET
        plane = plane_get(leaderboard=found, user=request.user, x=get.get("x", "")[:200], y=get.get("y", "")[:200])
        return _show(
            request, shown, found, "pareto", plane=plane, chart=board_pictures.plane_chart(plane),
            axes=board_pictures.axis_choices(found, plane), missing=board_pictures.missing_texts(plane),
        )  # fmt: skip

    return tagged_page(request, shown, found, answer)


@page
@require_safe
def compare(request: HttpRequest, slug: str, phase: str, board: str) -> HttpResponseBase:
    """Two to four entries in every result."""
    shown, found = _board(request, slug, phase, board)

    def answer() -> HttpResponseBase:
        compared = compared_get(leaderboard=found, user=request.user, submissions=request.GET.getlist("e")[:10])
        names = [entry.participation.display_name for entry in compared.entries]
        return _show(
            request, shown, found, "compare", compared=compared, names=names, rows=compare_rows(compared.results),
            heads=board_pictures.compared_heads(compared),
            charts=[] if compared.blunt else board_pictures.group_charts(compared, names),
        )  # fmt: skip

    return tagged_page(request, shown, found, answer)


@page
@require_safe
def history(request: HttpRequest, slug: str, phase: str, board: str) -> HttpResponseBase:
    """Who led the board, and since when."""
    shown, found = _board(request, slug, phase, board)

    def answer() -> HttpResponseBase:
        blunt = board_readable(leaderboard=found, user=request.user)
        steps = frontier_get(leaderboard=found, user=request.user)
        column = board_pictures.ranking_column(found, blunt)
        return _show(
            request, shown, found, "history", column=column, steps=board_pictures.step_rows(steps, column),
            chart=board_pictures.frontier_chart(steps, column),
        )  # fmt: skip

    return tagged_page(request, shown, found, answer)
