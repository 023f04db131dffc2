"""Text from outside, made fit for PostgreSQL and for limits."""

from __future__ import annotations

from typing import Any


def clean(text: str, *, limit: int | None = None) -> str:
    """`text` without the NUL and lone surrogates that PostgreSQL refuses, cut to `limit` characters."""
    text = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def clean_json(value: Any) -> Any:
    """The same for every string inside a JSON value."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean_json(item) for key, item in value.items()}
    return value


def tail(text: str, *, limit: int) -> str:
    """The last `limit` bytes of `text` as UTF-8, and a line that says so where something was cut."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    note = "[earlier lines cut]\n"
    return note + data[len(data) - limit + len(note) :].decode("utf-8", "ignore")


#: A spreadsheet would take text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_safe(value: object) -> object:
    """`value` for a cell of a CSV that somebody may open in a spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
