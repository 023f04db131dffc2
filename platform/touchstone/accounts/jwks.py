"""The public keys of issuers: fetched, cached for an hour, and asked for again where a key is new."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.conf import settings
from django.core.cache import cache
from django.utils.translation import gettext as _

from runners.outbound import outbound_client
from touchstone.accounts.claims import Issuer
from touchstone.core.errors import NotAllowed, TooBusy

_KEPT_SECONDS = 3600
#: How often keys are fetched because of a key that is not among them: whoever makes one up costs us nothing.
_AGAIN_SECONDS = 60
#: How long an issuer that does not answer is left alone.
_DOWN_SECONDS = 10
_MAX_BYTES = 256 * 1024
_TIMEOUT = 5.0
_RSA_BITS = 2048

log = structlog.get_logger(__name__)
PublicKey = RSAPublicKey | EllipticCurvePublicKey


def key_of(*, issuer: Issuer, kid: str, algorithm: str) -> PublicKey:
    """The key with which the issuer signs under this name.

    Raises `NotAllowed` where it has none that fits, and `TooBusy` where it cannot be asked.
    """
    if issuer.keys.startswith("/"):
        entry = _entry(_pinned(issuer), kid)
    else:
        known = cache.get(_name(issuer))
        entry = _entry(known or _fetched(issuer), kid)
        if entry is None and known is not None and cache.add(f"{_name(issuer)}:again", 1, _AGAIN_SECONDS):
            entry = _entry(_fetched(issuer), kid)
    if entry is None:
        raise NotAllowed(
            _("%(issuer)s has no key %(kid)r.") % {"issuer": issuer.name, "kid": kid[:80]},
            _("Is the token signed by the issuer that it names?"),
            "oidc_key",
        )
    return _public(issuer, entry, algorithm)


def _entry(keys: str, kid: str) -> dict[str, Any] | None:
    """The one entry of a JWKS with this name."""
    listed = json.loads(keys)["keys"]
    return next((entry for entry in listed if isinstance(entry, dict) and entry.get("kid") == kid), None)


def _public(issuer: Issuer, entry: dict[str, Any], algorithm: str) -> PublicKey:
    """The entry as a key for this algorithm alone, however it calls itself."""
    unfit = NotAllowed(
        _("The key of %(issuer)s is none for %(algorithm)s.") % {"issuer": issuer.name, "algorithm": algorithm},
        _("Tell who runs this site, if you run the issuer."),
        "oidc_key",
    )
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        raise unfit
    try:
        key = jwt.PyJWK(entry, algorithm=algorithm).key
    except (jwt.PyJWKError, jwt.InvalidKeyError, ValueError, TypeError) as error:
        raise unfit from error
    if algorithm == "RS256" and isinstance(key, RSAPublicKey) and key.key_size >= _RSA_BITS:
        return key
    if algorithm == "ES256" and isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise unfit


def _pinned(issuer: Issuer) -> str:
    try:
        return _checked(Path(issuer.keys).read_bytes())
    except (OSError, ValueError) as error:
        log.error("oidc_keys_unreadable", issuer=issuer.issuer, error=str(error))
        raise _busy(issuer) from error


def _fetched(issuer: Issuer) -> str:
    """The keys as the issuer has them now, kept for an hour."""
    down = f"{_name(issuer)}:down"
    if cache.get(down):
        raise _busy(issuer)
    try:
        keys = _checked(_download(issuer.keys))
    except (httpx.HTTPError, ValueError) as error:
        cache.set(down, 1, _DOWN_SECONDS)
        log.warning("oidc_keys_unreachable", issuer=issuer.issuer, error=f"{type(error).__name__}: {error}")
        raise _busy(issuer) from error
    cache.set(_name(issuer), keys, _KEPT_SECONDS)
    return keys


def _download(url: str) -> bytes:
    ca = settings.TOUCHSTONE_OUTBOUND_CA
    with outbound_client(
        allow=tuple(settings.TOUCHSTONE_OUTBOUND_ALLOW), timeout=_TIMEOUT, max_bytes=_MAX_BYTES,
        ca=Path(ca) if ca else None,
    ) as client:  # fmt: skip
        response = client.get(url)
        if response.status_code != 200:
            raise ValueError(f"it answered {response.status_code}")
        return response.content


def _checked(data: bytes) -> str:
    """The text of a JWKS. Raises ValueError for anything else."""
    text = data.decode()
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise ValueError("it is no JWKS")
    return text


def _busy(issuer: Issuer) -> TooBusy:
    return TooBusy(
        _("The keys of %(issuer)s cannot be had at the moment.") % {"issuer": issuer.name},
        _("Run the job again in a minute."),
        "oidc_keys",
    )


def _name(issuer: Issuer) -> str:
    return f"oidc-keys:{hashlib.sha256(f'{issuer.issuer} {issuer.keys}'.encode()).hexdigest()[:32]}"
