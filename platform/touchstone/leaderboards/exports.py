"""Exports, some rows at a time: however long the board, little of it is in memory."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import IO, Any

#: A spreadsheet would take text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_EMPTY = ("rank", "participant", "baseline", "submitted_at", "submissions", "unranked")
#: Rows of a Parquet row group.
_GROUP = 2_000
_INTEGERS = frozenset({"rank", "rank_best", "rank_worst", "tie_group", "submissions"})
_TEXTS = frozenset({"participant", "flags", "kind", "submitted_at", "unranked", "gates_failed"})


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


def parquet_file(rows: Iterable[dict[str, Any]], *, told: Mapping[str, str]) -> IO[bytes]:
    """The rows as a Parquet file, at its start; `told` is written into its metadata. Empty without rows.

    It is written to disk as the rows come, and is gone when it is closed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tempfile.TemporaryFile(prefix="touchstone-board-")  # noqa: SIM115 - the caller closes it
    source = iter(rows)
    part = list(islice(source, _GROUP))
    names = list(part[0]) if part else list(_EMPTY)
    schema = pa.schema([(name, _type(pa, name)) for name in names], metadata=dict(told))
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while part:
            writer.write_table(pa.Table.from_pylist(part, schema=schema))
            part = list(islice(source, _GROUP))
    file.seek(0)
    return file


def _type(pa: Any, name: str) -> Any:
    if name in _INTEGERS or name.endswith(".n"):
        return pa.int64()
    if name == "baseline":
        return pa.bool_()
    return pa.string() if name in _TEXTS or name.endswith((".state", ".verdict")) else pa.float64()
