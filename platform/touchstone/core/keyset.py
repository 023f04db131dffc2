"""Pages by key: the next page begins after the last row of this one, however many rows came or went meanwhile."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from touchstone.core.errors import UserError

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Keyset(Generic[Row]):
    """`after` is the cursor of the next page; empty on the last."""

    rows: list[Row]
    after: str


def keyset_page(*, queryset: QuerySet[Row], field: str, down: bool, after: str, limit: int) -> Keyset[Row]:
    """The rows after the cursor `after`, by `field` and then by key; `field` has a value in every row.

    Raises `UserError` for a cursor that is none of ours.
    """
    sign, than = ("-", "lt") if down else ("", "gt")
    found = queryset.order_by(f"{sign}{field}", f"{sign}pk")
    if after:
        value, key = _read(after)
        try:
            found = found.filter(Q(**{f"{field}__{than}": value}) | Q(**{field: value, f"pk__{than}": key}))
        except (ValueError, TypeError, ValidationError, OverflowError):  # no time, number or key of this field
            raise _unknown() from None
    rows = list(found[: limit + 1])
    more = len(rows) > limit
    rows = rows[:limit]
    return Keyset(rows, _write(_value(rows[-1], field), rows[-1].pk) if more else "")


def _value(row: Any, field: str) -> Any:
    for part in field.split("__"):
        row = getattr(row, part)
    return row


def _write(value: Any, key: Any) -> str:
    plain = [value.isoformat() if isinstance(value, datetime) else value, str(key)]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _read(text: str) -> tuple[Any, str]:
    try:
        value, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(key, str) or not isinstance(value, (str, int, float)) or "\0" in f"{value}{key}":
            raise ValueError
    except (ValueError, TypeError, binascii.Error, UnicodeDecodeError):
        raise _unknown() from None
    return value, key


def _unknown() -> UserError:
    return UserError(_("This page of the list is not known."), _("Begin at its first page."), "cursor")
