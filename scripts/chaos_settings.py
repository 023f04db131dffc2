"""The server of the chaos run: short patience, and every message it sends is sent twice."""

from __future__ import annotations

from typing import Any

from celery import Celery

from touchstone.config.settings.dev import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
TOUCHSTONE_RATE_LIMITS = False
TOUCHSTONE_LEASE_SECONDS = 12
TOUCHSTONE_HEARTBEAT_SECONDS = 3
TOUCHSTONE_NUDGE_SECONDS = 3
TOUCHSTONE_CHECK_SECONDS = 15
TOUCHSTONE_NODE_REST_SECONDS = 1

_send_task = Celery.send_task


def _twice(self: Celery, *arguments: Any, **options: Any) -> Any:
    _send_task(self, *arguments, **options)
    return _send_task(self, *arguments, **options)


Celery.send_task = _twice
