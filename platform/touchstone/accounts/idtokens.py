"""Whether an ID token is what it says: signed by a registered issuer, for us, now, and not too long.

Every refusal has a code of its own. Until the signature is verified, nothing that the token says is repeated but the
names of issuer and algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from django.conf import settings
from django.utils.translation import gettext as _

from touchstone.accounts.claims import Issuer, issuers
from touchstone.accounts.jwks import key_of
from touchstone.core.errors import NotAllowed, UserError
from touchstone.core.text import clean

MAX_BYTES = 16 * 1024
_LEEWAY = 30
_LONGEST_ID = 200


@dataclass(frozen=True)
class Proved:
    """A token that holds. `jti` and `expires_at` are what keeps it from being taken twice."""

    issuer: Issuer
    claims: Mapping[str, Any]
    jti: str
    expires_at: datetime


def token_prove(*, raw: str) -> Proved:
    """Verify a token. Raises `NotAllowed` with a code, `UserError` where it is none, `TooBusy` without keys."""
    header, named = _unverified(raw)
    issuer = issuers().get(named)
    if issuer is None:
        known = ", ".join(each.name for each in issuers().values()) or "none"
        raise NotAllowed(
            _("The issuer %(named)r is not registered here.") % {"named": clean(named, limit=100)},
            _("Registered are: %(known)s. Who runs the site can add one.") % {"known": known}, "oidc_issuer",
        )  # fmt: skip
    algorithm = header.get("alg")
    if algorithm not in issuer.algorithms:
        raise NotAllowed(
            _("Tokens of %(issuer)s are signed with %(algorithms)s, this one with %(clean)s.")
            % {
                "issuer": issuer.name,
                "algorithms": " or ".join(issuer.algorithms),
                "clean": clean(str(algorithm), limit=20),
            },
            _("Send the token as the service gave it to the job."),
            "oidc_algorithm",
        )
    key = key_of(issuer=issuer, kid=str(header.get("kid", "")), algorithm=str(algorithm))
    claims = _verified(raw, issuer, key, str(algorithm))
    return Proved(issuer, claims, _jti(claims), _expiry(claims, issuer))


def _unverified(raw: str) -> tuple[dict[str, Any], str]:
    """The header, and the issuer that the token names."""
    trouble = UserError(
        _("This is no ID token."),
        _("Send the token as the service gave it to the job: three parts with dots between."),
        "oidc_malformed",
    )
    if len(raw) > MAX_BYTES or not raw.isascii():
        raise trouble
    try:
        header = jwt.get_unverified_header(raw)
        named = jwt.decode(raw, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise trouble from error
    if "crit" in header or not isinstance(named, str):
        raise trouble
    return dict(header), named


def _verified(raw: str, issuer: Issuer, key: Any, algorithm: str) -> dict[str, Any]:
    try:
        claims = jwt.decode(
            raw, key, algorithms=[algorithm], issuer=issuer.issuer, leeway=_LEEWAY,
            options={"require": ["iss", "aud", "exp", "iat"], "verify_aud": False},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _refusal(error, issuer) from error
    audience, ours = claims["aud"], settings.TOUCHSTONE_BASE_URL
    if audience not in (ours, [ours]):  # one that is for others too could be theirs to send
        raise NotAllowed(
            _("The token is for the audience %(clean)s, not for this site alone.")
            % {"clean": clean(str(audience), limit=100)},
            _("Ask for one with the audience %(ours)s.") % {"ours": ours},
            "oidc_audience",
        )
    return dict(claims)


def _refusal(error: Exception, issuer: Issuer) -> UserError:
    """Why, in our words. What was not verified is not repeated."""
    if isinstance(error, jwt.ExpiredSignatureError):
        return NotAllowed(
            _("The token has expired."), _("Ask the service for it right before you submit."), "oidc_expired"
        )
    if isinstance(error, jwt.ImmatureSignatureError):
        return NotAllowed(_("The token is not valid yet."), _("Is the clock of the machine right?"), "oidc_not_yet")
    if isinstance(error, jwt.MissingRequiredClaimError):
        text = f"The token lacks the claim {error.claim}."
        return NotAllowed(text, _("Send the token as the service gave it to the job."), "oidc_claims")
    if isinstance(error, jwt.exceptions.InvalidJTIError):
        return _no_id()
    if isinstance(error, jwt.InvalidSignatureError):
        text = f"The token is not signed by {issuer.name}."
        return NotAllowed(text, _("Send the token as the service gave it to the job."), "oidc_signature")
    return NotAllowed(
        _("The token is not well-formed."), _("Send it as the service gave it to the job."), "oidc_claims"
    )


def _jti(claims: Mapping[str, Any]) -> str:
    found = claims.get("jti")
    if not isinstance(found, str) or not 0 < len(found) <= _LONGEST_ID or not found.isprintable():
        raise _no_id()
    return found


def _no_id() -> UserError:
    return NotAllowed(
        _("The token has no id (jti), so it could be used twice."),
        _("Send the token as the service gave it to the job."),
        "oidc_jti",
    )


def _expiry(claims: Mapping[str, Any], issuer: Issuer) -> datetime:
    lifetime = int(claims["exp"]) - int(claims["iat"])
    if lifetime > issuer.lifetime:
        raise NotAllowed(
            _("The token lives %(lifetime)s seconds; %(lifetime2)s are allowed for %(issuer)s.")
            % {"lifetime": lifetime, "lifetime2": issuer.lifetime, "issuer": issuer.name},
            _("Shorten the job's timeout, where the service makes tokens live as long as jobs may."),
            "oidc_lifetime",
        )
    return datetime.fromtimestamp(int(claims["exp"]) + _LEEWAY, UTC)
