"""The latest announcements, for a competition's first page."""

from __future__ import annotations

from typing import Any

from touchstone.competitions.announcing import announcements_unread, announcements_visible
from touchstone.competitions.selectors import Viewer
from touchstone.web.views.frame import Frame

_SHOWN = 2


def news(shown: Frame, user: Viewer) -> dict[str, Any]:
    """The latest that this person may read, and how many a participant has not looked at."""
    found = announcements_visible(user=user, competition=shown.competition).filter(withdrawn_at=None)
    latest = list(found[:_SHOWN])
    unread = 0
    if latest and shown.participation is not None:
        unread = announcements_unread(user=user, competition=shown.competition, participation=shown.participation)
    return {"news": latest, "news_unread": unread}
