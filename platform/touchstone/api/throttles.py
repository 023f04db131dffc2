"""Generous limits on requests, for each caller and each address. They stop loops, not work; quotas are elsewhere."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from touchstone.accounts.models import ApiToken
from touchstone.core.addresses import client_address

#: Requests a minute. A big upload by parts stays far below.
DEFAULT_RATES = {"caller": "1200/min", "address": "2400/min"}


class _Throttle(SimpleRateThrottle):
    def get_rate(self) -> str | None:
        rates: dict[str, str | None] = {**DEFAULT_RATES, **getattr(settings, "TOUCHSTONE_API_RATES", {})}
        return rates[str(self.scope)]


class CallerThrottle(_Throttle):
    """By token, else by the signed-in person."""

    scope = "caller"

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        if isinstance(request.auth, ApiToken):
            return f"throttle:token:{request.auth.public}"
        return f"throttle:user:{request.user.pk}" if request.user.is_authenticated else None


class AddressThrottle(_Throttle):
    """By the caller's address."""

    scope = "address"

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        return f"throttle:address:{client_address(request)}"
