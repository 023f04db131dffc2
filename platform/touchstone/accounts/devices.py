"""Signing a program in with the help of a browser: the device authorisation of RFC 8628, on our own API tokens.

Ours and not an OAuth provider's (django-allauth has one): tokens stay one kind, hashed, scoped, listed and revocable in
one place, and a command line needs none of the rest of OAuth: no clients to register, no refresh tokens, no keys.

A program asks for two codes (`device_begin`) and keeps asking with the long one (`device_poll`); its person types the
short one in a signed-in browser (`device_find`) and decides (`device_approve`, `device_deny`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from touchstone.accounts.models import ApiToken, DeviceGrant, User
from touchstone.accounts.scopes import NAMES, scope_parts, scopes_sorted
from touchstone.accounts.services import scopes_check, token_create
from touchstone.accounts.tokens import token_digest
from touchstone.audit.services import audit_append
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound, UserError
from touchstone.core.text import clean

LIFE = timedelta(minutes=10)
INTERVAL = 5
#: Days that a token from here may live.
LIFETIMES = (1, 7, 30, 90, 365)
#: Without vowels, so that no words arise, and without letters that look or sound like others (RFC 8628 §6.1).
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8
_SLOWER, _SLOWEST = 5, 60
_MOST_SCOPES = 20
_FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True)
class Begun:
    """What the program is told. Neither code is kept."""

    device_code: str
    user_code: str
    grant: DeviceGrant


def device_begin(*, client: str, scopes: Iterable[str], address: str) -> Begun:
    """Take up a program's wish for a token with these scopes. Raises `UserError` for scopes that do not exist."""
    wanted = scopes_sorted(scopes=scopes)
    unknown = [scope for scope in wanted if scope_parts(scope=scope) is None]
    if unknown or not 1 <= len(wanted) <= _MOST_SCOPES:
        raise UserError(
            gettext("Unknown scope: %(clean)s.") % {"clean": clean(", ".join(unknown), limit=100)}
            if unknown
            else gettext("Ask for 1 to 20 scopes."),
            gettext("Scopes are %(names)s, and submit:COMPETITION or organise:COMPETITION.")
            % {"names": ", ".join(NAMES)},
            fields={"scopes": [gettext("Unknown.") if unknown else gettext("Between 1 and 20.")]},
        )
    moment = now()
    DeviceGrant.objects.filter(expires_at__lt=moment - _FORGOTTEN).delete()
    for _try in range(5):
        device_code, user_code = secrets.token_urlsafe(32), _draw()
        try:
            with transaction.atomic():
                grant = DeviceGrant.objects.create(
                    device=token_digest(raw=device_code), code=_digest(user_code), client=_name(client),
                    address=clean(address, limit=64), scopes=wanted, interval=INTERVAL, expires_at=moment + LIFE,
                )  # fmt: skip
        except IntegrityError:  # somebody has these letters now
            continue
        return Begun(device_code, user_code, grant)
    raise Conflict(gettext("No code is free at the moment."), gettext("Try again in a minute."))


def device_poll(*, device_code: str) -> tuple[ApiToken, str]:
    """The token that the device code brings, once. Else a `UserError` with one of the codes of RFC 8628.

    A code that never was answers as one that has expired.
    """
    with transaction.atomic():
        grant = DeviceGrant.objects.select_for_update().filter(device=token_digest(raw=device_code)).first()
        trouble = _trouble(grant)
        if grant is not None and trouble is None:
            return _deliver(grant)
    if trouble is None:
        raise RuntimeError("a grant that is not there is trouble")
    raise trouble


def device_find(*, user_code: str) -> DeviceGrant:
    """The grant that waits for an answer, by the code that its program shows. Raises `NotFound`."""
    found = DeviceGrant.objects.filter(code=_digest(user_code), state=DeviceGrant.State.PENDING).first()
    if found is None or found.expires_at <= now():
        raise NotFound(
            gettext("No program waits with this code."),
            gettext(
                "Codes have eight letters and last ten minutes. Compare it with what the program shows, "
                "or start it again."
            ),
            "device_code",
        )
    return found


def device_approve(*, grant: DeviceGrant, user: User, days: int) -> None:
    """Let the program have a token of the user's, with what it asked for, for so many days."""
    if days not in LIFETIMES:
        raise UserError(
            gettext("Choose one of the lifetimes offered."), fields={"days": [gettext("Choose one of those offered.")]}
        )
    scopes_check(user=user, scopes=grant.scopes)
    _answer(grant, user=user, state=DeviceGrant.State.APPROVED, days=days)


def device_deny(*, grant: DeviceGrant, user: User) -> None:
    """Send the program away."""
    _answer(grant, user=user, state=DeviceGrant.State.DENIED, days=grant.days)


def _answer(grant: DeviceGrant, *, user: User, state: DeviceGrant.State, days: int) -> None:
    with transaction.atomic():
        waiting = DeviceGrant.objects.filter(pk=grant.pk, state=DeviceGrant.State.PENDING, expires_at__gt=now())
        if not waiting.update(state=state, user=user, days=days):
            raise Conflict(
                gettext("This was answered already, or it has expired."), gettext("Start the program again.")
            )
        act = "device.approve" if state == DeviceGrant.State.APPROVED else "device.deny"
        data = {"client": grant.client, "address": grant.address, "scopes": grant.scopes}
        audit_append(actor=user, act=act, subject=f"device:{grant.pk}", data=data)
    grant.refresh_from_db()


def _trouble(grant: DeviceGrant | None) -> UserError | None:
    """Why there is no token yet, or never will be; notes when the program asked."""
    if grant is None or grant.state == DeviceGrant.State.DELIVERED or grant.expires_at <= now():
        return UserError(
            gettext("The code has expired, or was used."), gettext("Start signing in again."), "expired_token"
        )
    if grant.state == DeviceGrant.State.DENIED or (grant.user is not None and not grant.user.is_active):
        return UserError(
            gettext("The request was denied in the browser."),
            gettext("Start again if that was not meant."),
            "access_denied",
        )
    if grant.state == DeviceGrant.State.APPROVED:
        return None
    hasty = grant.polled_at is not None and now() < grant.polled_at + timedelta(seconds=grant.interval - 1)
    grant.polled_at = now()
    grant.interval = min(_SLOWEST, grant.interval + _SLOWER) if hasty else grant.interval
    grant.save(update_fields=["polled_at", "interval"])
    if hasty:
        return UserError(
            gettext("You ask too often."),
            gettext("Ask every %(interval)s seconds.") % {"interval": grant.interval},
            "slow_down",
        )
    return UserError(
        gettext("Nobody has answered in the browser yet."),
        gettext("Ask again in %(interval)s seconds.") % {"interval": grant.interval},
        "authorization_pending",
    )


def _deliver(grant: DeviceGrant) -> tuple[ApiToken, str]:
    if grant.user is None:
        raise RuntimeError(f"device grant {grant.pk} was approved by nobody")
    made = token_create(
        user=grant.user, name=grant.client, scopes=grant.scopes, expires_at=now() + timedelta(days=grant.days),
        origin=ApiToken.Origin.DEVICE,
    )  # fmt: skip
    grant.state = DeviceGrant.State.DELIVERED
    grant.save(update_fields=["state"])
    return made


def _draw() -> str:
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def _digest(user_code: str) -> str:
    """Keyed: there are few enough codes to try all of them against a plain digest. Case and separators do not count."""
    letters = "".join(letter for letter in user_code.upper() if letter.isalnum())
    return salted_hmac("touchstone.device", letters, algorithm="sha256").hexdigest()


def _name(client: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in clean(client))
    return clean(" ".join(printable.split()), limit=60) or "a program"
