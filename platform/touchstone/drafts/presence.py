"""Who has a draft open at the moment: a hint for people who work on one together, forgotten after two minutes."""

from __future__ import annotations

import time
from uuid import UUID

from django.core.cache import cache

_SECONDS = 120


def presence_note(*, draft: UUID, username: str, step: str) -> list[tuple[str, str]]:
    """Note that somebody has this step open; returns the others there, as (user name, step)."""
    key, moment = f"draft-presence:{draft}", time.time()
    known: dict[str, tuple[str, float]] = cache.get(key) or {}
    fresh = {name: entry for name, entry in known.items() if moment - entry[1] < _SECONDS}
    fresh[username] = (step, moment)
    cache.set(key, fresh, _SECONDS)
    return sorted((name, entry[0]) for name, entry in fresh.items() if name != username)
