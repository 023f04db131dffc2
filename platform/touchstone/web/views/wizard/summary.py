"""What a draft says, in a few lines for each step, for those who look it over before it is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from touchstone.drafts.models import DraftFile
from touchstone.web import present

Lines = list[tuple[str, str]]


def summaries(bodies: Mapping[str, Mapping[str, Any]], files: list[DraftFile]) -> dict[str, Lines]:
    """Label and text, by step. Whatever is in a section, sound or not, something is said of it."""
    return {
        "about": _about(bodies["about"]),
        "concepts": [(_("Terms"), _names(bodies["concepts"].get("concepts"), "term"))],
        "data": _data(bodies["data"], files),
        "task": _task(bodies["task"]),
        "metrics": [(_("Measured"), _names(bodies["metrics"].get("metrics"), "as", "use"))],
        "boards": [(_("Leaderboards"), _boards(bodies["boards"].get("leaderboards")))],
        "phases": [(_text(p.get("title") or p.get("slug")), _phase(p)) for p in _rows(bodies["phases"].get("phases"))],
        "rules": _rules(bodies["rules"]),
        "people": _people(bodies["people"].get("access")),
    }


def _about(body: Mapping[str, Any]) -> Lines:
    pages = _names(body.get("pages"), "title", "slug")
    return [
        (_("Title"), _text(body.get("title"))), (_("Address"), f"/c/{_text(body.get('slug'))}/"),
        (_("Summary"), _text(body.get("summary"))), (_("Pages"), pages),
        (_("Terms"), _("yes") if body.get("terms") else _("none: nobody has to accept anything")),
        (_("Picture"), _("yes") if body.get("image") else _("none")),
    ]  # fmt: skip


def _data(body: Mapping[str, Any], files: list[DraftFile]) -> Lines:
    lines = []
    for split in _rows(body.get("splits")):
        own = [file for file in files if file.path.startswith(f"data/{split.get('name')}/")]
        told = ngettext("%d file", "%d files", len(own)) % len(own)
        text = f"{told}, {present.size(sum(file.size for file in own))}"
        lines.append((_text(split.get("name")), text))
    card = _table(body.get("data_card"))
    written = [key for key, value in card.items() if key != "before" and _text(value) != "–"]
    lines.append((_("Data card"), _("%d of 7 sections written") % len(written)))
    return lines


def _task(body: Mapping[str, Any]) -> Lines:
    task, given = _table(body.get("task")), _table(body.get("input"))
    lines = [(_("Classes"), ", ".join(map(str, task.get("classes") or [])) or "–")]
    if task.get("favourable"):
        lines.append((_("Favourable outcome"), _text(task["favourable"])))
    if given:
        shape = " × ".join(map(str, given.get("shape") or []))
        lines.append((_("Input"), f"{_text(given.get('kind'))} {shape}"))
    for name, attribute in _table(body.get("attributes")).items():
        lines.append((str(name), _("privileged: %s") % _text(_table(attribute).get("privileged"))))
    if body.get("aggregate"):
        lines.append((_("Decisions"), _("one for each %s") % _text(_table(body["aggregate"]).get("by"))))
    return lines


def _phase(phase: Mapping[str, Any]) -> str:
    limits = _table(phase.get("limits"))
    quota = [
        text % limits[key] for key, text in (("per_day", _("%s a day")), ("total", _("%s in all"))) if limits.get(key)
    ]
    span = _("%(opens)s to %(closes)s") % {
        "opens": _text(phase.get("opens")),
        "closes": _text(phase.get("closes")) if phase.get("closes") else _("no end"),
    }  # fmt: skip
    words = [_("split %s") % _text(phase.get("split")), span, " · ".join(quota) or _("no limit")]
    return " · ".join([*words, _("feedback: %s") % _text(phase.get("feedback") or "full")])


def _boards(value: object) -> str:
    rows = [
        _("%(board)s by %(key)s") % {"board": _text(b.get("title") or b.get("slug")), "key": _text(b.get("rank_by"))}
        for b in _rows(value)
    ]
    return "; ".join(rows) or "–"


def _rules(body: Mapping[str, Any]) -> Lines:
    submission, teams = _table(body.get("submission")), _table(body.get("teams"))
    resources = ", ".join(f"{key} {value}" for key, value in _table(submission.get("resources")).items())
    members = teams.get("members", 1)
    return [
        (_("Kinds of submission"), ", ".join(map(str, submission.get("kinds") or [])) or "–"),
        (_("Resources of a run"), resources or _("the defaults")),
        (_("Teams"), _("none") if members == 1 else _("up to %s people") % members),
    ]


def _people(value: object) -> Lines:
    access = _table(value)
    domains = ", ".join(map(str, access.get("email_domains") or []))
    return [
        (_("Approval"), _("an organiser approves each participant") if access.get("approval") else _("not needed")),
        (_("E-mail domains"), domains or _("any")),
    ]


def _names(value: object, *keys: str) -> str:
    names = [next((str(row[key]) for key in keys if row.get(key)), "–") for row in _rows(value)]
    return ", ".join(names) or _("none")


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return str(value).strip() or "–" if value is not None else "–"
