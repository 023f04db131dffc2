"""The record of every act: each entry's digest covers the one before, so a change anywhere breaks the chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from touchstone.accounts.models import User
from touchstone.audit.models import AuditEntry
from touchstone.core.clock import now
from touchstone.core.text import clean, clean_json

#: Key of the advisory lock under which the chain grows. Taken last in a transaction, for it is held until the commit.
_LOCK = 0x746F756368
_GENESIS = "0" * 64


def audit_append(*, actor: User | None, act: str, subject: str, data: Mapping[str, Any] | None = None) -> AuditEntry:
    """Add an entry, inside the caller's transaction: the act and its record stand or fall together.

    `act` is `<noun>.<verb>`, `subject` the thing acted on (`run:<id>`). `actor` None means the platform itself.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        last = AuditEntry.objects.order_by("-sequence").values_list("digest", flat=True).first()
        entry = AuditEntry(
            at=now(), actor=actor, act=act, subject=clean(subject, limit=200),
            data=_exact(clean_json(dict(data or {}))), previous=last or _GENESIS,
        )  # fmt: skip
        entry.digest = _digest(entry)
        entry.save(force_insert=True)
    return entry


def audit_verify() -> int | None:
    """The sequence number of the first entry that does not fit the chain, or None where all fit."""
    previous = _GENESIS
    for entry in AuditEntry.objects.order_by("sequence").iterator(chunk_size=1000):
        if entry.previous != previous or entry.digest != _digest(entry):
            return int(entry.sequence)
        previous = entry.digest
    return None


def _digest(entry: AuditEntry) -> str:
    body = {
        "at": _moment(entry.at), "actor": entry.actor_id, "act": entry.act, "subject": entry.subject,
        "data": entry.data,
    }  # fmt: skip
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{entry.previous}\n{text}".encode()).hexdigest()


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _exact(value: Any) -> Any:
    """Numbers with a fraction as text: PostgreSQL may write 1e20 back as an integer, and the digest would not fit."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    return value
