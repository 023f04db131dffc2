"""Signatures as the Standard Webhooks specification has them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"


def secret_make() -> str:
    """A new secret, in the form that libraries for receivers take."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature_headers(*, message: str, timestamp: int, body: bytes, keys: Iterable[str]) -> dict[str, str]:
    """What a receiver needs to see that the message is ours and fresh: one signature for each secret."""
    signed = f"{message}.{timestamp}.".encode() + body
    marks = [
        "v1,"
        + base64.b64encode(hmac.digest(base64.b64decode(key.removeprefix(PREFIX)), signed, hashlib.sha256)).decode()
        for key in keys
    ]
    return {"webhook-id": message, "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(marks)}
