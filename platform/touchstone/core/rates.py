"""How often something may be tried: counts in Django's cache, for each subject (an address, a user name).

A count begins with the first try and is forgotten `seconds` later. `TOUCHSTONE_RATE_LIMITS = False` switches all off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from touchstone.core.clock import now
from touchstone.core.errors import TooOften


@dataclass(frozen=True)
class Rate:
    """At most `limits[kind]` tries within `seconds`, for each subject of that kind. `what` names them in messages."""

    name: str
    what: str | Promise
    seconds: int
    limits: Mapping[str, int]


#: A class room may share an address; nobody shares a name.
SIGN_IN = Rate("sign-in", gettext_lazy("failed sign-ins"), 300, {"name": 10, "address": 50})
SIGN_UP = Rate("sign-up", gettext_lazy("tries to sign up"), 3600, {"name": 20, "address": 60})
EXPORTS = Rate("exports", gettext_lazy("exports of an account"), 3600, {"name": 10, "address": 60})
INVITATIONS = Rate("invitations", gettext_lazy("invitations sent by e-mail"), 3600, {"name": 100})
REPORTS = Rate("reports", gettext_lazy("reports as PDF"), 3600, {"address": 120})
SNAPSHOTS = Rate("snapshots", gettext_lazy("views of leaderboards kept"), 3600, {"name": 60})
DEVICES = Rate("devices", gettext_lazy("programs that wait to be signed in"), 600, {"address": 60})
DEVICE_CODES = Rate("device-codes", gettext_lazy("codes of programs tried"), 600, {"name": 15, "address": 150})
OIDC = Rate("oidc", gettext_lazy("exchanges of ID tokens"), 600, {"address": 300})
TOKENS = Rate("tokens", gettext_lazy("new tokens"), 3600, {"name": 30, "address": 120})


def rate_take(*, rate: Rate, subjects: Mapping[str, str]) -> None:
    """Count one try for each subject (kind → value). Raises `TooOften` where one has had too many.

    It is counted before it is made, so tries at once are all counted.
    """
    if not settings.TOUCHSTONE_RATE_LIMITS:
        return
    for kind, value in subjects.items():
        key = _key(rate, kind, value)
        if _count(key, rate.seconds) > rate.limits[kind]:
            until = _until(key, rate.seconds)
            raise TooOften(
                _("Too many %(what)s: at most %(limits)s within %(minutes)s minutes are allowed.")
                % {"what": rate.what, "limits": rate.limits[kind], "minutes": rate.seconds // 60},
                _("Try again after %(until)s UTC.") % {"until": f"{until:%Y-%m-%d %H:%M:%S}"},
                reset_at=until,
            )


def rate_forgive(*, rate: Rate, subjects: Mapping[str, str]) -> None:
    """Take one try back: what was counted turned out to be none of those that are limited."""
    if not settings.TOUCHSTONE_RATE_LIMITS:
        return
    for kind, value in subjects.items():
        try:
            cache.decr(_key(rate, kind, value))
        except ValueError:  # forgotten meanwhile
            continue


def _count(key: str, seconds: int) -> int:
    if cache.add(key, 1, seconds):
        cache.set(f"{key}:until", now().timestamp() + seconds, seconds)
        return 1
    try:
        return int(cache.incr(key))
    except ValueError:  # it ended between the two calls
        return 1


def _until(key: str, seconds: int) -> datetime:
    found = cache.get(f"{key}:until")
    return datetime.fromtimestamp(found, UTC) if found else now() + timedelta(seconds=seconds)


def _key(rate: Rate, kind: str, value: str) -> str:
    """Hashed: a user name may hold anything, and who tries what is nobody's business."""
    return f"rate:{rate.name}:{kind}:{hashlib.sha256(value.casefold().encode('utf-8', 'replace')).hexdigest()[:32]}"
