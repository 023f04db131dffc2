"""Leaderboards: page, CSV and JSON, each answered with 304 while nothing has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.contrib.messages import get_messages
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotModified,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from touchstone.competitions.selectors import competition_get
from touchstone.core.clock import now
from touchstone.core.text import clean
from touchstone.leaderboards.exports import csv_lines, parquet_file
from touchstone.leaderboards.filters import ONLY, WHO
from touchstone.leaderboards.models import Leaderboard
from touchstone.leaderboards.selectors import (
    board_blunt,
    board_hidden,
    leaderboard_among,
    leaderboard_export_rows,
    leaderboard_get,
    leaderboard_page,
    leaderboards_of,
)
from touchstone.submissions.models import Submission
from touchstone.web import board_query, boards
from touchstone.web.forms import KINDS
from touchstone.web.views.frame import Frame, context, frame
from touchstone.web.views.support import page

Rows = Iterator[dict[str, Any]]

_LIMIT = 50
#: What pages of boards look like comes from these.
_LOOK = ("css/board.css", "css/chart.css", "css/tables.css", "css/parts.css", "js/app.js", "js/chart.js")


def query_of(request: HttpRequest) -> board_query.Query:
    get = request.GET
    cols = ",".join(key for part in get.getlist("cols") for key in part.split(",") if key)
    return board_query.Query(
        sort=get.get("sort", "")[:300],
        q=clean(get.get("q", "")[:100]),
        cols=cols[:4000],
        after=get.get("after", "")[:500],
        kind=_one_of(get.get("kind", ""), Submission.Kind.values),
        who=_one_of(get.get("who", ""), WHO),
        only=_one_of(get.get("only", ""), ONLY),
    )


def _one_of(value: str, known: Sequence[str]) -> str:
    return value if value in known else ""


def _etag(request: HttpRequest, board: Leaderboard, *extra: object) -> str:
    """Of what the answer is made of: the hour too, for pages show how long something still lasts, and the look."""
    hour = int(now().timestamp() // 3600)
    look = (
        static("web/css/board.css"),
        static("web/css/tables.css"),
        static("web/css/parts.css"),
        static("web/js/app.js"),
    )
    parts = (look, board.pk, board.version, request.get_full_path(), request.user.pk, hour, get_language(), *extra)
    return f'W/"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


def _unchanged(request: HttpRequest, etag: str) -> bool:
    given = {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
    return etag.removeprefix("W/") in given


def _tagged(response: HttpResponseBase, etag: str) -> HttpResponseBase:
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


@page
@require_safe
def default_board(request: HttpRequest, slug: str) -> HttpResponse:
    """To the board of the open phase; else of the last phase that began; else the first."""
    competition = competition_get(user=request.user, slug=slug)
    found = list(leaderboards_of(competition=competition))
    if not found:
        raise Http404
    begun = [board for board in found if board.phase.opens <= now()]
    still_open = [board for board in begun if board.phase.closes is None or now() < board.phase.closes]
    last = [board for board in begun if board.phase_id == begun[-1].phase_id] if begun else []
    chosen = (still_open or last or found)[0]
    return redirect("web:board", slug, chosen.phase.slug, chosen.slug)


@page
@require_safe
def board(request: HttpRequest, slug: str, phase: str, board: str) -> HttpResponseBase:
    """The page. Sorting, search, columns and place are in the address."""
    shown = frame(request, slug)
    every = list(leaderboards_of(competition=shown.competition))
    found = leaderboard_among(every, shown.competition, phase=phase, board=board)
    return tagged_page(
        request, shown, found,
        lambda: render(request, "web/competition/leaderboard.html", _context(request, shown, found, every)),
    )  # fmt: skip


def tagged_page(
    request: HttpRequest, shown: Frame, found: Leaderboard, answer: Callable[[], HttpResponseBase]
) -> HttpResponseBase:
    """A page made of a board and its frame: 304 while neither has changed."""
    etag = _etag(request, found, shown.competition.updated_at, shown.state, _who(shown))
    if _unchanged(request, etag) and not get_messages(request):
        return HttpResponseNotModified(headers={"ETag": etag, "Cache-Control": "private, no-cache"})
    return _tagged(answer(), etag)


def _who(shown: Frame) -> tuple[object, ...]:
    joined = shown.participation
    return (shown.organiser, joined.pk if joined else None, joined.display_name if joined else "")


def _shown(request: HttpRequest, board: Leaderboard) -> tuple[object, ...]:
    """What of a board this person may see now, and the version of the bundle that says so."""
    seen = {"phase": board.phase, "user": request.user}
    return board_hidden(**seen), board_blunt(**seen), board.phase.competition.version


def _context(request: HttpRequest, shown: Frame, found: Leaderboard, every: list[Leaderboard]) -> dict[str, Any]:
    query = query_of(request)
    result = leaderboard_page(
        leaderboard=found,
        user=request.user,
        sort=query.sort,
        cols=query.cols,
        after=query.after,
        limit=_LIMIT,
        filters=query.filters,
        own=shown.participation.pk if shown.participation else 0,
    )
    heads = boards.headers(result, query)
    return context(
        shown,
        "leaderboard",
        board=found,
        all_boards=every,
        page=result,
        query=query,
        headers=heads,
        spans=boards.spans(heads),
        rows=boards.rows(result, query),
        plot=boards.plot(result) if not query.after and query.sort in ("", "rank") else None,
        picker=[] if result.hidden else boards.picker(result),
        gates=found.spec.get("gates", []),
        kinds=[(kind, KINDS[kind].title) for kind in shown.competition.spec["submission"]["kinds"]],
        who=board_query.WHO_TEXTS,
        only=board_query.ONLY_TEXTS,
        carried=query.others("q", "kind", "who", "only"),
        carried_cols=query.others("cols"),
        total=boards.total_text(result),
        share_query=query.url(),
        withdrawn=[{**item, "at": datetime.fromisoformat(item["at"])} for item in result.withdrawn],
        rank_url=query.url(sort="-rank" if query.sort in ("", "rank") else ""),
        name_url=query.url(sort="-participant" if query.sort == "participant" else "participant"),
        submitted_url=query.url(sort="submitted" if query.sort == "-submitted" else "-submitted"),
        submissions_url=query.url(sort="submissions" if query.sort == "-submissions" else "-submissions"),
        next_url=f"{query.url()}&after={result.next}" if result.next else "",
        first_url=query.url() if query.after else "",
        plain_url=query.url(q="", kind="", who="", only=""),
        default_cols_url=query.url(cols=""),
    )


def _exported(
    request: HttpRequest, slug: str, phase: str, board: str, made: Callable[[Leaderboard, Rows], HttpResponseBase]
) -> HttpResponseBase:
    """What `made` makes of all entries; 304 where whoever asks has it already."""
    found = leaderboard_get(competition=competition_get(user=request.user, slug=slug), phase=phase, board=board)
    etag = _etag(request, found, *_shown(request, found))
    if _unchanged(request, etag):
        return HttpResponseNotModified(headers={"ETag": etag})
    return _tagged(made(found, leaderboard_export_rows(leaderboard=found, user=request.user)), etag)


@page
@require_safe
def board_csv(request: HttpRequest, slug: str, phase: str, board: str) -> HttpResponseBase:
    """All entries with raw numbers."""

    def made(_: Leaderboard, rows: Rows) -> HttpResponseBase:
        response = StreamingHttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{slug}-{phase}-{board}.csv"'
        return response

    return _exported(request, slug, phase, board, made)


@page
@require_safe
def board_json(request: HttpRequest, slug: str, phase: str, board: str) -> HttpResponseBase:
    """The same as JSON, with the version of the board."""

    def made(found: Leaderboard, rows: Rows) -> HttpResponseBase:
        head = {"competition": slug, "phase": phase, "leaderboard": board, "version": found.version}
        return JsonResponse({**head, "rows": list(rows)})

    return _exported(request, slug, phase, board, made)


@page
@require_safe
def board_parquet(request: HttpRequest, slug: str, phase: str, board: str) -> HttpResponseBase:
    """The same as a Parquet file, with the types of the columns."""

    def made(found: Leaderboard, rows: Rows) -> HttpResponseBase:
        told = {"competition": slug, "phase": phase, "leaderboard": board, "version": str(found.version)}
        return FileResponse(
            parquet_file(rows, told=told), as_attachment=True, filename=f"{slug}-{phase}-{board}.parquet",
            content_type="application/vnd.apache.parquet",
        )  # fmt: skip

    return _exported(request, slug, phase, board, made)
