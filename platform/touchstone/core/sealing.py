"""Secrets that have to be readable again: encrypted, with keys that are not in the database.

`TOUCHSTONE_CREDENTIAL_KEYS` lists keys, the newest first; all of them open, the first one seals. Without it a key is
derived from `SECRET_KEY`.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Sealed(Exception):
    """None of the keys opens this."""


def seal(text: str) -> str:
    """`text`, encrypted."""
    return _box().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What was sealed. Raises `Sealed`."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Sealed("no key opens this secret") from None


def _box() -> MultiFernet:
    keys = getattr(settings, "TOUCHSTONE_CREDENTIAL_KEYS", ()) or (settings.SECRET_KEY,)
    return MultiFernet([Fernet(_key(key)) for key in keys])


def _key(text: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(b"touchstone credentials\0" + text.encode()).digest())
