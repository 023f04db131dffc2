"""Data: the splits of a competition, their files, what is in them, and the data card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from touchstone.core.errors import NotFound, UserError
from touchstone.core.problems import problem_response
from touchstone.core.storage import blob_open
from touchstone.drafts.datacard import CARD
from touchstone.drafts.inspections import (
    data_digest,
    data_files,
    inspection_get,
    inspection_request,
    picture_get,
)
from touchstone.drafts.models import Draft, DraftFile
from touchstone.drafts.selectors import section_get
from touchstone.drafts.splits import (
    VISIBILITIES,
    split_file_put,
    split_name_problem,
    split_remove,
    split_upload_put,
)
from touchstone.web import present
from touchstone.web.data_card import card_meter, card_sections
from touchstone.web.found import found_charts, leaks_shown, splits_shown
from touchstone.web.views.support import is_htmx, page
from touchstone.web.views.wizard.frame import step_act, step_view, wizard_context, wizard_save

_SHOWN = 40


@dataclass(frozen=True)
class SplitRow:
    """A split with its files; `more` of them are left out of the page."""

    name: str
    visibility: str
    files: list[tuple[str, DraftFile]]
    more: int
    total: str
    leaves: bool = False


@step_view
def data(request: HttpRequest, draft: Draft) -> HttpResponse:
    """The splits and their files."""
    body = section_get(draft=draft, name="data").body
    typed: dict[str, str] = {}
    if request.method == "POST":
        splits, problem = _splits(request, body.get("splits", []))
        if not problem:
            return wizard_save(request, draft, "data", {**body, "splits": splits})
        typed = {"name": request.POST.get("new_name", ""), "visibility": request.POST.get("new_visibility", "")}
        typed["problem"] = problem
        body = {**body, "splits": splits}
    files = data_files(draft=draft)
    rows = [_row(entry, files.get(entry["name"], {})) for entry in _named(body)]
    context = _context(request, draft, "files", rows=rows, visibilities=_choices(), new=typed)
    return render(request, "web/organise/wizard/data.html", context, status=422 if typed else 200)


@step_act
def data_add(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Put files into a split: those of the form, or a finished upload by parts. The last one has the data looked at."""
    wants_json = "application/json" in request.headers.get("Accept", "")
    split = request.POST.get("split", "")
    try:
        names = _taken(request, draft, split)
    except UserError as error:
        if wants_json:
            return problem_response(error, request=request)
        messages.error(request, f"{error.message} {error.hint}".strip())
        return redirect("web:draft-data", draft.pk)
    if request.POST.get("more") != "1":
        inspection_request(draft=draft, user=request.user)
    if wants_json:
        return JsonResponse({"split": split, "files": names[:_SHOWN], "count": len(names)})
    text = ngettext("%(n)s file is in %(split)s.", "%(n)s files are in %(split)s.", len(names))
    messages.success(request, text % {"n": present.count(len(names)), "split": split})
    return redirect(f"{reverse('web:draft-data', args=[draft.pk])}#split-{split}")


@step_view
def data_remove(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Ask, then take a file or a whole split out of the draft."""
    given = request.POST if request.method == "POST" else request.GET
    split, name = given.get("split", ""), given.get("file", "")
    body = section_get(draft=draft, name="data").body
    files = data_files(draft=draft).get(split)
    if files is None or (name and name not in files):
        raise NotFound(_("The draft has no such split or file."), _("Go back to the data step."))
    if request.method != "POST":
        size = files[name].size if name else sum(file.size for file in files.values())
        extra = {"split": split, "file": name, "count": len(files), "size": present.size(size)}
        return render(request, "web/organise/wizard/data_remove.html", _context(request, draft, "files", **extra))
    split_remove(draft=draft, user=request.user, split=split, name=name)
    if name:
        messages.success(request, _("%(name)s is taken out of %(split)s.") % {"name": name, "split": split})
        return redirect(f"{reverse('web:draft-data', args=[draft.pk])}#split-{split}")
    rest = [entry for entry in body.get("splits", []) if entry.get("name") != split]
    return wizard_save(request, draft, "data", {**body, "splits": rest})


@step_view
def data_found(request: HttpRequest, draft: Draft) -> HttpResponse:
    """What is in the data. By POST: look again, at once where they are few."""
    if request.method == "POST":
        inspection_request(draft=draft, user=request.user)
        return redirect("web:draft-data-found", draft.pk)
    files, look = data_files(draft=draft), inspection_get(draft=draft)
    report = look.report if look else None
    visibilities = {e["name"]: e.get("visibility", "") for e in _named(section_get(draft=draft, name="data").body)}
    extra: dict[str, Any] = {
        "look": look,
        "some": any(files.values()),
        "stale": look is not None and look.report_digest != data_digest(files),
        "busy": look is not None and look.state in ("waiting", "running"),
    }
    if report:
        extra["splits"] = splits_shown(report=report, visibilities=visibilities)
        extra["leaks"] = leaks_shown(report=report, visibilities=visibilities)
        extra["charts"] = found_charts(report=report, visibilities=visibilities)
        extra["compared"] = sum(bool(report["splits"][split.name]["parts"]) for split in extra["splits"]) > 1
    if is_htmx(request):
        response = HttpResponse(status=204)
        if not extra["busy"]:
            response["HX-Refresh"] = "true"  # charts and their script come with the whole page
        return response
    return render(request, "web/organise/wizard/data_found.html", _context(request, draft, "found", **extra))


@login_required
@page
def data_picture(request: HttpRequest, pk: UUID, sha256: str) -> FileResponse:
    """A small picture of an item, for who may work on the draft."""
    digest = picture_get(user=request.user, draft_id=pk, sha256=sha256)
    return FileResponse(
        blob_open(sha256=digest), content_type="image/png",
        headers={"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"},
    )  # fmt: skip


@step_view
def data_card(request: HttpRequest, draft: Draft) -> HttpResponse:
    """The data card, section by section."""
    body = section_get(draft=draft, name="data").body
    if request.method == "POST":
        held = body.get("data_card") or {}
        card = {key: request.POST.get(key, held.get(key, "")).replace("\r\n", "\n") for key in ("before", *CARD)}
        answer = wizard_save(request, draft, "data", {**body, "data_card": {**held, **card}})
        if answer.status_code == 302 and not request.POST.get("then"):
            return redirect("web:draft-data-card", draft.pk)
        return answer
    card = body.get("data_card") or {}
    extra = {"sections": card_sections(card), "meter": card_meter(card), "before": card.get("before", "")}
    return render(request, "web/organise/wizard/data_card.html", _context(request, draft, "card", **extra))


def _context(request: HttpRequest, draft: Draft, tab: str, **extra: Any) -> dict[str, Any]:
    tabs = [
        ("files", _("Splits and files"), reverse("web:draft-data", args=[draft.pk])),
        ("found", _("What is in them"), reverse("web:draft-data-found", args=[draft.pk])),
        ("card", _("Data card"), reverse("web:draft-data-card", args=[draft.pk])),
    ]
    return wizard_context(request, draft, "data", tabs=tabs, data_tab=tab, **extra)


def _taken(request: HttpRequest, draft: Draft, split: str) -> list[str]:
    upload, files = request.POST.get("upload", ""), request.FILES.getlist("file")
    if upload:
        return split_upload_put(draft=draft, user=request.user, split=split, upload=upload)
    if not files:
        raise UserError(_("No file was chosen."), _("Choose one or more files, then upload them."))
    names: list[str] = []
    for file in files:
        names += split_file_put(draft=draft, user=request.user, split=split, name=file.name or "", file=file)
    return names


def _splits(request: HttpRequest, splits: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """The splits as the form says, with the new one; and what is wrong with the new one's name."""
    kept = []
    for entry in splits:
        chosen = request.POST.get(f"visibility-{entry.get('name')}", entry.get("visibility"))
        kept.append({**entry, "visibility": chosen if chosen in VISIBILITIES else entry.get("visibility")})
        kept[-1].pop("leaves_platform", None)
        if request.POST.get(f"leaves-{entry.get('name')}") == "on":
            kept[-1]["leaves_platform"] = True
    name = request.POST.get("new_name", "").strip()
    if not name:
        return kept, ""
    visibility = request.POST.get("new_visibility", "")
    problem = split_name_problem(name)
    if not problem and any(entry.get("name") == name for entry in splits):
        problem = _("There is a split with this name already.")
    if problem:
        return kept, problem
    return [*kept, {"name": name, "visibility": visibility if visibility in VISIBILITIES else "hidden"}], ""


def _named(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in body.get("splits", []) if isinstance(entry, dict) and isinstance(entry.get("name"), str)]


def _row(entry: dict[str, Any], files: dict[str, DraftFile]) -> SplitRow:
    listed = sorted(files.items())
    total = present.size(sum(file.size for file in files.values()))
    return SplitRow(
        entry["name"], entry.get("visibility", ""), listed[:_SHOWN], len(listed[_SHOWN:]), total,
        entry.get("leaves_platform") is True,
    )  # fmt: skip


def _choices() -> list[tuple[str, Any, Any]]:
    return [(name, present.VISIBILITY_BADGES[name].word, present.SPLIT_TEXTS[name]) for name in VISIBILITIES]
