"""The front page."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from touchstone.competitions import selectors
from touchstone.competitions.models import Competition, Phase
from touchstone.core.clock import now
from touchstone.submissions.selectors import Activity, activity_of
from touchstone.web.views.frame import PhaseItem, overall_state, phase_state

_PAGE = 25


@dataclass(frozen=True)
class Card:
    """A competition in the list. `phase` is the open one, else the next, else the last."""

    competition: Competition
    state: str
    phase: Phase
    pillars: list[str]
    participants: int
    submissions: int


def pillars_of(spec: dict[str, object]) -> list[str]:
    """The pillars that a competition's metrics touch, in the order of the file."""
    metrics: list[dict[str, str]] = spec["metrics"]  # type: ignore[assignment]
    return list(dict.fromkeys(metric["use"].split(".", 1)[0] for metric in metrics))


def _card(competition: Competition, activity: Activity) -> Card:
    at = now()
    items = [PhaseItem(phase, phase_state(phase, at=at), "") for phase in competition.phases.all()]
    state = overall_state(items)
    chosen = [item.phase for item in items if item.state == state]
    return Card(
        competition=competition,
        state=state,
        phase=chosen[-1] if state == "closed" else chosen[0],
        pillars=pillars_of(competition.spec),
        participants=activity.participants,
        submissions=activity.submissions,
    )


def home(request: HttpRequest) -> HttpResponse:
    """Competitions that this person may see, the open ones first."""
    visible = selectors.competition_visible(user=request.user).prefetch_related("phases").order_by("-created_at", "-pk")
    pages = Paginator(visible, _PAGE).get_page(request.GET.get("page"))
    shown = list(pages.object_list)
    activity = activity_of(competitions=shown)
    cards = [_card(item, activity[item.pk]) for item in shown]
    return render(
        request,
        "web/home.html",
        {
            "nav": "competitions",
            "pages": pages,
            "open": [card for card in cards if card.state == "open"],
            "closed": [card for card in cards if card.state != "open"],
        },
    )
