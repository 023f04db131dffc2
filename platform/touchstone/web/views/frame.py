"""What every page of a competition shows around its content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from touchstone.competitions import selectors
from touchstone.competitions.models import Competition, Participation, Phase
from touchstone.core.clock import now


@dataclass(frozen=True)
class PhaseItem:
    """A phase and whether it is `upcoming`, `open` or `closed`."""

    phase: Phase
    state: str
    feedback: str
    is_final: bool = False

    @property
    def takes(self) -> bool:
        """Whether it takes submissions now."""
        return self.state == "open" and not self.is_final and self.phase.frozen_at is None


@dataclass(frozen=True)
class Tab:
    key: str
    title: str
    url: str


@dataclass(frozen=True)
class Frame:
    """A competition as one person sees it. `joined`: their participant in any state, `participation`: an active one."""

    competition: Competition
    phases: list[PhaseItem]
    current: Phase | None
    next: Phase | None
    state: str
    organiser: bool
    participation: Participation | None
    tabs: list[Tab]
    joined: Participation | None = None


def phase_state(phase: Phase, *, at: datetime) -> str:
    if at < phase.opens:
        return "upcoming"
    return "closed" if phase.closes is not None and at >= phase.closes else "open"


def feedback_text(feedback: str) -> str:
    return {
        "full": _("Every score, at once."),
        "rounded": _("Rounded scores, so that chance differences tell nothing."),
        "ladder": _("A score only when it is a significant improvement."),
        "none": _("That the run was scored; no score before the phase is over."),
    }.get(feedback, feedback)


def overall_state(phases: list[PhaseItem]) -> str:
    """`open` while a phase is; `upcoming` while one will be; else `closed`."""
    states = {item.state for item in phases}
    return next((state for state in ("open", "upcoming") if state in states), "closed")


def _tabs(competition: Competition, participation: Participation | None, organiser: bool) -> list[Tab]:
    slug = competition.slug
    named = [
        ("overview", _("Overview"), "web:competition"),
        ("data", _("Data"), "web:data"),
        ("phases", _("Phases"), "web:phases"),
        ("rules", _("Rules"), "web:rules"),
        ("leaderboard", _("Leaderboard"), "web:leaderboard"),
        ("announcements", _("Announcements"), "web:announcements"),
    ]
    if participation or organiser:
        named.append(("submissions", _("My submissions"), "web:submissions"))
    if participation:
        named.append(("team", _("My participation"), "web:team"))
    if organiser and set(competition.spec["submission"]["kinds"]) - {"predictions"}:
        named.append(("transfer", _("Transfer"), "web:matrices"))
    if organiser:
        named.append(("manage", _("Manage"), "web:manage"))
    tabs = [Tab(key, title, reverse(name, args=[slug])) for key, title, name in named]
    pages = [page for page in competition.pages if page["slug"] not in OWN_PAGES]
    tabs += [Tab(f"p-{p['slug']}", p["title"], reverse("web:page", args=[slug, p["slug"]])) for p in pages]
    return tabs


#: Pages that are part of a tab with the same name.
OWN_PAGES = frozenset({"overview", "data", "phases", "rules", "terms", "data-card"})


def own_page(competition: Competition, slug: str) -> str:
    """The Markdown of a page that belongs into a tab; empty where the organiser wrote none."""
    return next((page["markdown"] for page in competition.pages if page["slug"] == slug), "")


def frame(request: HttpRequest, slug: str) -> Frame:
    """Raises `NotFound` for a competition that does not exist or that this person may not see."""
    user = request.user
    competition = selectors.competition_get(user=user, slug=slug)
    at = now()
    phases = [
        PhaseItem(
            phase,
            phase_state(phase, at=at),
            feedback_text(selectors.feedback_of(phase=phase)),
            is_final=selectors.phase_finalists(phase=phase) is not None,
        )
        for phase in competition.phases.select_related("split")
    ]
    organiser = selectors.is_organiser(user=user, competition=competition)
    joined = selectors.participation_of(user=user, competition=competition)
    participation = joined if joined is not None and joined.status == Participation.Status.ACTIVE else None
    return Frame(
        competition=competition,
        phases=phases,
        current=next((item.phase for item in phases if item.state == "open" and not item.is_final), None),
        next=next((item.phase for item in phases if item.state == "upcoming"), None),
        state=overall_state(phases),
        organiser=organiser,
        participation=participation,
        tabs=_tabs(competition, participation, organiser),
        joined=joined,
    )


def context(shown: Frame, tab: str, **extra: Any) -> dict[str, Any]:
    """The template context of a page inside the frame."""
    return {
        "frame": shown, "competition": shown.competition, "spec": shown.competition.spec, "tab": tab,
        "nav": "competitions", "own_page": own_page(shown.competition, tab), **extra,
    }  # fmt: skip


def submit_command(shown: Frame, *, phase: Phase | None = None) -> str:
    """The exact line that submits a file to the open (or next, or last) phase."""
    chosen = phase or shown.current or shown.next or shown.phases[-1].phase
    kinds = shown.competition.spec["submission"]["kinds"]
    name = {"predictions": "predictions.csv", "model": "model.onnx", "container": "image.tar", "code": "code.zip"}.get(
        kinds[0], "https://models.example.org"
    )
    return f"touchstone submit {shown.competition.slug}/{chosen.slug} {name} --wait"
