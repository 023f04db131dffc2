"""Concepts: the words that readers of the leaderboard must understand alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from runners.spec import Defect
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import section_get
from touchstone.web.views.wizard.fields import Input, errors_at, moved, posted, rows_of
from touchstone.web.views.wizard.frame import step_view, wizard_context, wizard_save

_KEYS = ("term", "definition", "source")


@dataclass(frozen=True)
class Row:
    """One entry with its fields; `name` is its place in competition.yml."""

    name: str
    title: str
    fields: list[Input]


@step_view
def concepts(request: HttpRequest, draft: Draft) -> HttpResponse:
    if request.method == "POST":
        return wizard_save(request, draft, "concepts", {"concepts": _rows(request.POST)})
    body = section_get(draft=draft, name="concepts").body
    context = wizard_context(request, draft, "concepts")
    rows = [_row(index, item, context["defects"]) for index, item in enumerate(rows_of(body.get("concepts")))]
    context |= {"rows": rows, "new_row": _row(len(rows), {}, [])}
    return render(request, "web/organise/wizard/concepts.html", context)


def _rows(post: Any) -> list[dict[str, str]]:
    rows = rows_of(moved(posted(post, "concepts") or [], post, "concepts"))
    cleaned = [{key: " ".join(str(row.get(key, "")).split()) for key in _KEYS} for row in rows]
    return [row if row["source"] else {k: row[k] for k in _KEYS[:2]} for row in cleaned if any(row.values())]


def _row(index: int, item: dict[str, Any], defects: list[Defect]) -> Row:
    name = f"concepts[{index}]"

    def made(key: str, label: str, **more: Any) -> Input:
        place = f"{name}.{key}"
        return Input(place, label, item.get(key, ""), errors=errors_at(defects, place), **more)

    fields = [
        made("term", _("Term")),
        made("source", _("Source"), optional=True, help=_("Where the definition is from: a paper, a standard, a law.")),
        made("definition", _("Definition"), kind="area", rows=2, wide=True),
    ]
    return Row(name, item.get("term") or _("Concept"), fields)
