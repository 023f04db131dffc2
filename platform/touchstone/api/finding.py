"""What several views begin with."""

from __future__ import annotations

from rest_framework.request import Request

from touchstone.competitions.models import Competition, Phase
from touchstone.competitions.selectors import competition_get, is_organiser, phase_get
from touchstone.core.errors import NotFound


def organised_get(request: Request, slug: str) -> Competition:
    """A competition that the caller organises. Raises `NotFound`, for others as for one that does not exist."""
    found = competition_get(user=request.user, slug=slug)
    if not is_organiser(user=request.user, competition=found):
        raise NotFound(f"There is nothing of {slug!r} to run for you.", "Its organisers can; ask one of them.")
    return found


def organised_phase(request: Request, slug: str, phase: str) -> Phase:
    """A phase of it. Raises `NotFound`."""
    return phase_get(competition=organised_get(request, slug), slug=phase)
