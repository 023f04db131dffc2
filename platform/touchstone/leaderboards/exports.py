"""The CSV of an export, a row at a time: however long the board, little of it is in memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

#: A spreadsheet would take text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_EMPTY = ("rank", "participant", "baseline", "submitted_at", "submissions", "unranked")


def csv_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Lines of the rows of `leaderboard_export_rows`, the header first. Numbers have all their digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    header: list[str] | None = None
    for row in rows:
        if header is None:
            header = list(row)
            writer.writerow(header)
        writer.writerow([_safe(row[name]) for name in header])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    if header is None:
        yield ",".join(_EMPTY) + "\r\n"


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
