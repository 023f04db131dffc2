"""Data splits and what may be downloaded of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from touchstone.competitions import selectors
from touchstone.competitions.models import DataSplit
from touchstone.core.storage import blob_open
from touchstone.drafts.datacard import CARD, card_parse
from touchstone.web import charts
from touchstone.web.data_card import card_meter
from touchstone.web.present import SPLIT_TEXTS
from touchstone.web.views.frame import Frame, context, frame
from touchstone.web.views.support import page

#: Files of a split that are listed.
SHOWN_FILES = 25


@dataclass(frozen=True)
class SplitItem:
    """A split with the files that this person may download; `more` are left out of the page."""

    split: DataSplit
    text: str | Promise
    files: list[dict[str, Any]]
    more: int
    phases: str


@page
def data(request: HttpRequest, slug: str) -> HttpResponse:
    shown = frame(request, slug)
    items, counts = [], {}
    for split in shown.competition.splits.all():
        split.competition = shown.competition
        files = selectors.split_download_files(user=request.user, split=split)
        counts[split.name] = selectors.split_counts(split=split, files=files)
        used = ", ".join(item.phase.title for item in shown.phases if item.phase.split_id == split.pk)
        text, more = SPLIT_TEXTS[split.visibility], len(files[SHOWN_FILES:])
        items.append(SplitItem(split, text, files[:SHOWN_FILES], more, used))
    allowed = selectors.downloads_allowed(user=request.user, competition=shown.competition)
    card = card_parse(shown.competition.data_card)
    extra = {
        "splits": items, "allowed": allowed, "command": _command(shown), "charts": count_charts(counts),
        "meter": card_meter(card) if any(card[key] for key in CARD) else None,
    }  # fmt: skip
    return render(request, "web/competition/data.html", context(shown, "data", **extra))


def count_charts(counts: dict[str, dict[str, Any]]) -> list[charts.Chart]:
    """Bars of the classes and of each attribute, of the splits whose counts this person may know."""
    classes = {split: found.get("classes", {}) for split, found in counts.items()}
    made = [charts.share_bars(id="classes", title=_("Classes"), head=_("Class"), counts=classes)]
    names = dict.fromkeys(name for found in counts.values() for name in found.get("attributes", {}))
    for index, name in enumerate(names):
        values = {split: found.get("attributes", {}).get(name, {}) for split, found in counts.items()}
        title = _("Attribute %(name)s") % {"name": name}
        made.append(charts.share_bars(id=f"attribute-{index}", title=title, head=name, counts=values))
    return [chart for chart in made if chart is not None]


def _command(shown: Frame) -> str:
    """The line that gets everything that may be downloaded, and checks its digests."""
    return f"touchstone competitions download {shown.competition.slug}"


@page
def split_file(request: HttpRequest, slug: str, split: str, name: str) -> HttpResponse | FileResponse:
    """One file of a split, if this person may have it; anything else does not exist."""
    found = selectors.split_get(competition=selectors.competition_get(user=request.user, slug=slug), name=split)
    file = selectors.split_file(user=request.user, split=found, name=name)
    return blob_response(request, sha256=file["sha256"], filename=f"{slug}-{split}-{PurePosixPath(name).name}")


@page
def starting_kit(request: HttpRequest, slug: str) -> HttpResponse | FileResponse:
    found = selectors.competition_get(user=request.user, slug=slug)
    sha256 = selectors.starting_kit(user=request.user, competition=found)
    if sha256 is None:
        raise Http404
    return blob_response(request, sha256=sha256, filename=f"{slug}-starting-kit.zip")


def blob_response(request: HttpRequest, *, sha256: str, filename: str) -> HttpResponse | FileResponse:
    """A stored file as a download, never shown in place; its digest is its ETag."""
    etag = f'"{sha256}"'
    headers = {"ETag": etag, "Cache-Control": "private, max-age=0, must-revalidate"}
    if etag in request.headers.get("If-None-Match", ""):
        return HttpResponseNotModified(headers=headers)
    return FileResponse(
        blob_open(sha256=sha256),
        as_attachment=True,
        filename=filename,
        content_type="application/octet-stream",
        headers={**headers, "X-Content-Type-Options": "nosniff"},
    )
