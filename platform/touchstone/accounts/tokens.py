"""Tokens of people (`ts_`) and of nodes (`tsn_`): `<prefix>_<public>_<secret>`, of which only a SHA-256 is kept.

A random 256-bit secret needs no slow hash: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

_SHAPE = re.compile(r"^(ts|tsn)_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$")


@dataclass(frozen=True)
class NewToken:
    """A fresh token. `raw` is shown once and never stored."""

    public: str
    digest: str
    raw: str


def token_make(*, prefix: str) -> NewToken:
    """Draw a token."""
    public = secrets.token_hex(8)
    raw = f"{prefix}_{public}_{secrets.token_urlsafe(32)}"
    return NewToken(public, token_digest(raw=raw), raw)


def token_digest(*, raw: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(raw.encode()).hexdigest()


def token_public(*, raw: str, prefix: str) -> str | None:
    """The public part, by which the row is found; None where `raw` has not the shape of such a token."""
    match = _SHAPE.fullmatch(raw)
    return match[2] if match and match[1] == prefix else None


def token_matches(*, raw: str, digest: str) -> bool:
    """Whether `raw` is the token of `digest`, in constant time."""
    return hmac.compare_digest(token_digest(raw=raw), digest)
