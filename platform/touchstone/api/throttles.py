"""Generous limits on requests, for each caller and each address. They stop loops, not work; quotas are elsewhere.

Requests are counted in whole windows in Django's cache, so that all processes of a server count together where that is
a Redis. Each answer says what is left: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from touchstone.accounts.models import ApiToken
from touchstone.core.addresses import client_address
from touchstone.core.clock import now

#: Requests a minute. A big upload by parts stays far below. `costly` counts for each operation alone.
DEFAULT_RATES: dict[str, str | None] = {"caller": "1200/min", "address": "2400/min", "costly": "60/min"}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Left:
    """What is left of one limit, and for how many seconds it counts on."""

    scope: str
    limit: int
    window: int
    remaining: int
    reset: int


class _Throttle(BaseThrottle):
    scope = ""

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        rate = _rate(self.scope)
        subject = self.subject(request, view) if rate else None
        if rate is None or subject is None:
            return True
        limit, window = rate
        moment = now().timestamp()
        start = int(moment // window)
        reset = max(1, int((start + 1) * window - moment + 0.999))
        count = _count(f"throttle:{self.scope}:{window}:{start}:{subject}", window)
        left = Left(self.scope, limit, window, max(0, limit - count), reset)
        request._request.rate_limits = [*getattr(request._request, "rate_limits", ()), left]  # type: ignore[attr-defined]
        self._wait = None if count <= limit else reset
        return count <= limit

    def wait(self) -> float | None:
        return self._wait

    def subject(self, request: Request, view: Any) -> str | None:
        raise NotImplementedError


class CallerThrottle(_Throttle):
    """By token, else by the signed-in person."""

    scope = "caller"

    def subject(self, request: Request, view: Any) -> str | None:
        if isinstance(request.auth, ApiToken):
            return f"token:{request.auth.public}"
        return f"user:{request.user.pk}" if request.user.is_authenticated else None


class AddressThrottle(_Throttle):
    """By the caller's address."""

    scope = "address"

    def subject(self, request: Request, view: Any) -> str | None:
        return hashlib.sha256(client_address(request).encode()).hexdigest()[:32]


class CostlyThrottle(_Throttle):
    """What makes the server work hard, by the person, else by the address, and for each operation alone."""

    scope = "costly"

    def subject(self, request: Request, view: Any) -> str | None:
        if request.method not in view.costly:
            return None
        who = f"user:{request.user.pk}" if request.user.is_authenticated else client_address(request)
        return hashlib.sha256(f"{type(view).__name__}:{request.method}:{who}".encode()).hexdigest()[:32]


def rate_headers(limits: Iterable[Left]) -> dict[str, str]:
    """The headers that tell a caller what is left."""
    limits = list(limits)
    if not limits:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{each.scope}";q={each.limit};w={each.window}' for each in limits),
        "RateLimit": ", ".join(f'"{each.scope}";r={each.remaining};t={each.reset}' for each in limits),
    }


def _rate(scope: str) -> tuple[int, int] | None:
    """Requests and seconds; None where the scope is not limited."""
    rates: dict[str, str | None] = {**DEFAULT_RATES, **getattr(settings, "TOUCHSTONE_API_RATES", {})}
    text = rates[scope]
    if text is None:
        return None
    number, _, period = text.partition("/")
    return int(number), _SECONDS[period[0]]


def _count(key: str, seconds: int) -> int:
    """This request's number within its window."""
    if cache.add(key, 1, seconds + 1):
        return 1
    try:
        return int(cache.incr(key))
    except ValueError:  # it ended between the two calls, or the cache is away
        return 1
