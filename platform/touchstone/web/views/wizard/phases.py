"""Phases: when submissions are taken, what they are scored on, how many there may be, and what is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from runners.spec import Defect
from touchstone.core.clock import now
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import draft_bodies, section_get
from touchstone.drafts.starting import slug_proposal
from touchstone.web.views.wizard.fields import Input, errors_at, moved, number, posted, rows_of
from touchstone.web.views.wizard.frame import step_view, wizard_context, wizard_save
from touchstone.web.views.wizard.timeline import stored, timeline, typed

#: Kept in the session: in which zone this person reads and writes times.
_ZONE = "draft_zone"


@dataclass(frozen=True)
class PhaseRow:
    name: str
    title: str
    fields: list[Input]
    more: list[Input]


@step_view
def phases(request: HttpRequest, draft: Draft) -> HttpResponse:
    zone = _zone(request)
    if request.method == "POST":
        return wizard_save(request, draft, "phases", {"phases": _rows(request.POST, _named(request.POST.get("zone")))})
    items = rows_of(section_get(draft=draft, name="phases").body.get("phases"))
    context = wizard_context(request, draft, "phases")
    splits = [str(split.get("name")) for split in rows_of(draft_bodies(draft=draft)["data"].get("splits"))]
    known = [str(item["slug"]) for item in items if item.get("slug")]
    rows = [_row(i, item, context["defects"], splits, known, zone) for i, item in enumerate(items)]
    context |= {
        "rows": rows, "new_row": _row(len(rows), {}, [], splits, known, zone), "zone": str(zone),
        "zones": sorted(z for z in available_timezones() if "/" in z and not z.startswith("Etc/")),
        "timeline": timeline(items, zone=zone, at=now()), "splits": splits,
    }  # fmt: skip
    return render(request, "web/organise/wizard/phases.html", context)


def _zone(request: HttpRequest) -> ZoneInfo:
    if "zone" in request.GET:
        request.session[_ZONE] = str(_named(request.GET["zone"]))
    return _named(request.session.get(_ZONE))


def _named(name: str | None) -> ZoneInfo:
    return ZoneInfo(name) if name in available_timezones() else ZoneInfo("UTC")


def _rows(post: Any, zone: ZoneInfo) -> list[dict[str, Any]]:
    rows = rows_of(moved(posted(post, "phases") or [], post, "phases"))
    return [_phase(row, zone) for row in rows if any(str(row.get(key, "")).strip() for key in ("title", "slug"))]


def _phase(row: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    """Only what is said: a key that is left out has the default of the format."""
    title = str(row.get("title", "")).strip()
    made: dict[str, Any] = {"slug": str(row.get("slug", "")).strip() or slug_proposal(title)}
    made |= {"title": title} if title else {}
    made["split"] = str(row.get("split", ""))
    if row.get("validation"):
        made["validation"] = str(row["validation"])
    made["opens"] = stored(str(row.get("opens", "")), zone)
    if str(row.get("closes", "")).strip():
        made["closes"] = stored(str(row["closes"]), zone)
    limits = {key: number(str((row.get("limits") or {}).get(key, ""))) for key in ("per_day", "total")}
    limits = {key: value for key, value in limits.items() if value is not None}
    made |= {"limits": limits} if limits else {}
    made["feedback"] = str(row.get("feedback", "full"))
    if row.get("logs", "auto") != "auto":
        made["logs"] = str(row["logs"])
    priority = number(str(row.get("priority", "")))
    made |= {"priority": priority} if priority not in (None, 0) else {}
    finalists = row.get("finalists") or {}
    if finalists.get("phase"):
        choose = number(str(finalists.get("choose", "")))
        made["finalists"] = {"phase": str(finalists["phase"])} | ({"choose": choose} if choose is not None else {})
    return made


def _row(
    index: int, item: dict[str, Any], defects: list[Defect], splits: list[str], known: list[str], zone: ZoneInfo
) -> PhaseRow:
    name = f"phases[{index}]"

    def made(key: str, label: str, value: Any, **more: Any) -> Input:
        place = f"{name}.{key}"
        return Input(place, label, value, errors=errors_at(defects, place), **more)

    def when(key: str, label: str, help_text: str, *, optional: bool = False) -> Input:
        shown = typed(item.get(key), zone)
        # A field for times shows nothing of a text that is none.
        kind = "time" if not shown or shown[:4].isdigit() else "text"
        label = f"{label} ({zone})"
        return made(key, label, shown, kind=kind, help=help_text, optional=optional)

    fields = [
        made("title", _("Title"), item.get("title", ""), limit=200),
        made(
            "slug", _("Address"), item.get("slug", ""), limit=64, optional=True,
            help=_("Made from the title if empty."),
        ),
        when("opens", _("Opens"), _("From then on submissions are taken.")),
        when("closes", _("Closes"), _("Empty: it has no end."), optional=True),
        made("split", _("Scored on"), item.get("split", ""), kind="select", choices=_splits(splits, item.get("split"))),
        made(
            "feedback", _("What participants are told"), item.get("feedback", "full"), kind="select",
            choices=[
                ("full", _("Every score, at once")),
                ("rounded", _("Rounded scores, so that chance differences tell nothing")),
                ("none", _("No score before the phase is over")),
                *([("ladder", _("Only significant improvements"))] if item.get("feedback") == "ladder" else []),
            ],
        ),
        *_limits(item, made),
    ]  # fmt: skip
    return PhaseRow(name, item.get("title") or item.get("slug") or _("Phase"), fields, _more(item, made, splits, known))


def _splits(splits: list[str], present: object) -> list[tuple[str, str]]:
    """What is chosen now stays a choice, also where its split is gone: the page then says what is wrong."""
    extra = [str(present)] if present and present not in splits else []
    return [("", _("Choose a data split")), *((name, name) for name in [*splits, *extra])]


def _limits(item: dict[str, Any], made: Any) -> list[Input]:
    limits = item.get("limits") if isinstance(item.get("limits"), dict) else {}
    return [
        made("limits.per_day", _("Submissions a day"), limits.get("per_day"), kind="number", optional=True,
             help=_("Of each participant. Empty: no limit. Failures of the platform never count.")),
        made("limits.total", _("Submissions in all"), limits.get("total"), kind="number", optional=True,
             help=_("Few are fair: every score that is told lets people fit the test data.")),
    ]  # fmt: skip


def _more(item: dict[str, Any], made: Any, splits: list[str], known: list[str]) -> list[Input]:
    finalists = item.get("finalists") if isinstance(item.get("finalists"), dict) else {}
    others = [slug for slug in dict.fromkeys([*known, finalists.get("phase")]) if slug and slug != item.get("slug")]
    return [
        made("finalists.phase", _("Finalists of"), finalists.get("phase", ""), kind="select",
             choices=[("", _("Nothing: it takes new submissions")), *((slug, slug) for slug in others)],
             help=_("A final ranking: chosen submissions of an earlier phase are evaluated again on this split.")),
        made("finalists.choose", _("How many each may choose"), finalists.get("choose"), kind="number", optional=True,
             help=_("1 if empty. Who chooses nothing takes part with their best.")),
        made("validation", _("Thresholds and mitigations are fitted on"), item.get("validation", ""), kind="select",
             choices=[("", _("Nothing")), *_splits(splits, item.get("validation"))[1:]],
             help=_("Another labelled split; needed by metrics that adjust predictions before they measure.")),
        made("logs", _("Logs that participants see"), item.get("logs", "auto"), kind="select",
             choices=[("auto", _("As much as keeps the data secret")), ("full", _("All")),
                      ("sample", _("What was written about the public sample")), ("none", _("None"))]),
        made("priority", _("Priority of its runs"), item.get("priority"), kind="number", optional=True,
             help=_("From -10 to 10; a higher number starts first. 0 if empty.")),
    ]  # fmt: skip
