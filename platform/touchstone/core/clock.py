"""The one place that asks what time it is, so tests can set it."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone


def now() -> datetime:
    """The current time, in UTC, with its zone."""
    return timezone.now()
