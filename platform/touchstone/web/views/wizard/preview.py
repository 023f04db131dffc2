"""The competition that a draft would be, on the pages that a visitor would read. Nobody else sees them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from runners.spec.models import CompetitionSpec, LeaderboardSpec
from touchstone.competitions import selectors
from touchstone.core.clock import now
from touchstone.drafts.datacard import CARD, card_parse
from touchstone.drafts.models import Draft
from touchstone.drafts.previewing import DraftPreview, draft_preview
from touchstone.drafts.publishing import by_step
from touchstone.drafts.selectors import draft_defects
from touchstone.leaderboards.columns import column_keys, columns_available, columns_made
from touchstone.leaderboards.models import Leaderboard
from touchstone.leaderboards.ranking import columns_offered
from touchstone.leaderboards.selectors import BoardPage
from touchstone.web import boards
from touchstone.web.board_query import Query
from touchstone.web.data_card import card_meter
from touchstone.web.forms import KINDS
from touchstone.web.metrics import metric_groups
from touchstone.web.present import SPLIT_TEXTS
from touchstone.web.views.competition import resources_of
from touchstone.web.views.data import SHOWN_FILES, SplitItem, count_charts
from touchstone.web.views.frame import (
    OWN_PAGES,
    Frame,
    PhaseItem,
    Tab,
    context,
    feedback_text,
    overall_state,
    phase_state,
    submit_command,
)
from touchstone.web.views.wizard.frame import TITLES, step_view


@step_view
def preview(request: HttpRequest, draft: Draft, tab: str = "overview") -> HttpResponse:
    """One of the competition's pages."""
    found = draft_preview(draft=draft)
    shown = _frame(draft, found)
    made = _PAGES.get(tab)
    if made is not None:
        template, extra = made(found, shown)
    else:
        slug = tab.removeprefix("p-")
        template, extra = (
            "web/competition/page.html",
            {"page": selectors.page_get(competition=found.competition, slug=slug)},
        )
    return render(request, template, context(shown, tab, preview=_banner(draft), **extra) | {"nav": "new"})


def _frame(draft: Draft, found: DraftPreview) -> Frame:
    """As a visitor has it who has not joined."""
    at = now()
    items = [
        PhaseItem(
            phase, phase_state(phase, at=at), feedback_text(selectors.feedback_of(phase=phase)),
            is_final=selectors.phase_finalists(phase=phase) is not None,
        )
        for phase in found.phases
    ]  # fmt: skip
    return Frame(
        competition=found.competition, phases=items,
        current=next((item.phase for item in items if item.state == "open" and not item.is_final), None),
        next=next((item.phase for item in items if item.state == "upcoming"), None),
        state=overall_state(items), organiser=False, participation=None, tabs=_tabs(draft, found),
    )  # fmt: skip


def _tabs(draft: Draft, found: DraftPreview) -> list[Tab]:
    named = [
        ("overview", _("Overview")), ("data", _("Data")), ("phases", _("Phases")), ("rules", _("Rules")),
        ("leaderboard", _("Leaderboard")),
    ]  # fmt: skip
    named += [(f"p-{one['slug']}", one["title"]) for one in found.competition.pages if one["slug"] not in OWN_PAGES]
    return [Tab(key, title, reverse("web:draft-preview-tab", args=[draft.pk, key])) for key, title in named]


def _banner(draft: Draft) -> dict[str, Any]:
    """What the pages say about themselves: whose preview this is, and what is left out."""
    defects = by_step(defects=[one for found in draft_defects(draft=draft).values() for one in found])
    rows = [
        {"title": TITLES[one.step], "url": reverse(f"web:draft-{one.step}", args=[draft.pk]), "defect": one.defect}
        for one in defects
    ]
    return {"draft": draft, "defects": rows}


def _overview(found: DraftPreview, shown: Frame) -> tuple[str, dict[str, Any]]:
    spec = found.competition.spec
    return "web/competition/overview.html", {
        "metrics": metric_groups(spec), "concepts": spec["concepts"],
        "kinds": [KINDS[kind] for kind in spec["submission"]["kinds"]],
        "command": submit_command(shown) if shown.phases else "",
    }  # fmt: skip


def _data(found: DraftPreview, _shown: Frame) -> tuple[str, dict[str, Any]]:
    items, counts = [], {}
    for one in found.splits:
        used = ", ".join(phase.title for phase in found.phases if phase.split is one.split)
        counts[one.split.name] = selectors.split_counts(split=one.split, files=one.files)
        text, more = SPLIT_TEXTS[one.split.visibility], len(one.files[SHOWN_FILES:])
        items.append(SplitItem(one.split, text, one.files[:SHOWN_FILES], more, used))
    card = card_parse(found.competition.data_card)
    return "web/competition/data.html", {
        "splits": items, "allowed": True, "charts": count_charts(counts),
        "meter": card_meter(card) if any(card[key] for key in CARD) else None,
    }  # fmt: skip


def _phases(_found: DraftPreview, _shown: Frame) -> tuple[str, dict[str, Any]]:
    return "web/competition/phases.html", {}


def _rules(found: DraftPreview, _shown: Frame) -> tuple[str, dict[str, Any]]:
    return "web/competition/rules.html", {"resources": resources_of(found.competition.spec["submission"])}


def _leaderboard(found: DraftPreview, _shown: Frame) -> tuple[str, dict[str, Any]]:
    """Every board as it is before anybody has submitted."""
    return "web/organise/preview_boards.html", {"boards": [_board(board) for board in found.boards], "query": Query()}


def _board(board: Leaderboard) -> dict[str, Any]:
    spec = LeaderboardSpec.model_validate(board.spec)
    offer = columns_offered(spec=CompetitionSpec.model_validate(board.competition.spec))
    columns = columns_made(keys=column_keys("", spec, offer), spec=spec, offer=offer, entries=[], told={}, blunt=False)
    page = BoardPage(board, columns, [], "", 0, 0, "", "", 50, available=columns_available(spec, offer))
    heads = boards.headers(page, Query())
    return {"board": board, "headers": heads, "spans": boards.spans(heads), "gates": list(spec.gates)}


_PAGES = {"overview": _overview, "data": _data, "phases": _phases, "rules": _rules, "leaderboard": _leaderboard}
