"""Tables of participants and organisers: Parquet or CSV, told apart by content, read into Arrow arrays.

Text columns come back as Arrow strings, number columns as float64. Whatever is wrong raises
`TableError` in words; nothing is guessed, and row numbers count data rows from 1.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from runners.data.sniff import sniff
from runners.spec.defects import shortened

MAX_BYTES = 2**31
MAX_COLUMNS = 20_000
_HEADER_BYTES = 2**21
_SAVE = "Save the table as CSV (UTF-8, commas) or Parquet."


class TableError(ValueError):
    """A table that cannot be read. `code` is stable, `hint` says the next step."""

    def __init__(self, code: str, message: str, hint: str = _SAVE) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class Table:
    """An opened table: its kind and columns are known, its rows are not read yet."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, max_rows: int | None = None) -> None:
        self.path = path
        self.max_rows = max_rows
        size = path.stat().st_size
        if size > max_bytes:
            text = f"the file has {size:,} bytes; such a table needs less than {max_bytes:,}"
            raise TableError("too_large", text, "Send only the columns and rows that are asked for.")
        self.kind = sniff(path)
        if self.kind == "empty":
            raise TableError("empty", "the file is empty", "Write a header line and one row for each id.")
        if self.kind not in ("parquet", "text"):
            raise TableError("wrong_format", f"the file is not a CSV or Parquet table but {self.kind}")
        self.columns = self._parquet_columns() if self.kind == "parquet" else self._csv_columns()
        self._check_columns()

    def read(self, *, text: Collection[str] = (), numbers: Collection[str] = ()) -> dict[str, Any]:
        """Read these columns: {name: Arrow array}. All of them must be in `columns`."""
        wanted = [name for name in self.columns if name in set(text) | set(numbers)]
        try:
            table = self._read_parquet(wanted) if self.kind == "parquet" else self._read_csv(wanted, set(numbers))
        except pa.ArrowInvalid as error:
            raise self._unreadable(error) from error
        except (pa.ArrowException, OSError, MemoryError) as error:
            raise TableError("unreadable", f"the {self.kind} file cannot be read: {_first_line(error)}") from error
        arrays = {name: _single(table.column(name)) for name in wanted}
        for name in wanted:
            arrays[name] = _as_number(arrays[name], name) if name in numbers else _as_text(arrays[name], name)
        return arrays

    def _check_columns(self) -> None:
        if len(self.columns) > MAX_COLUMNS:
            raise TableError("columns", f"the table has more than {MAX_COLUMNS} columns")
        doubled = sorted({name for name in self.columns if self.columns.count(name) > 1}) if self._doubles() else []
        if doubled:
            raise TableError("columns", f"the column {shortened(doubled)} stands twice", "Keep one of each.")

    def _doubles(self) -> bool:
        return len(set(self.columns)) != len(self.columns)

    def _parquet_columns(self) -> list[str]:
        try:
            meta = pq.ParquetFile(self.path).metadata
            names = list(meta.schema.to_arrow_schema().names)
            unpacked = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
            hint = "Write the file again and compare its size after the upload."
            text = f"the Parquet file is truncated or damaged: {_first_line(error)}"
            raise TableError("truncated", text, hint) from error
        if self.max_rows is not None and meta.num_rows > self.max_rows:
            raise self._too_many(meta.num_rows)
        if unpacked > MAX_BYTES:
            raise TableError("too_large", f"the Parquet file unpacks to {unpacked:,} bytes, more than {MAX_BYTES:,}")
        return names

    def _too_many(self, rows: int) -> TableError:
        text = f"the table has {rows:,} rows or more; at most {self.max_rows:,} make sense here"
        return TableError("rows", text, "Write one row for each id.")

    def _csv_columns(self) -> list[str]:
        with self.path.open("rb") as stream:
            line = stream.readline(_HEADER_BYTES)
        try:
            text = line.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise TableError("encoding", "the first line is not UTF-8 text", "Save the file as UTF-8.") from error
        if "\r" in text:
            text = text.split("\r", 1)[0]
        if not text.strip():
            text = "the first line is empty; it must name the columns"
            raise TableError("columns", text, "Start with the header line.")
        try:
            names = next(csv.reader([text], strict=True))
        except csv.Error as error:
            raise TableError("columns", f"the header line cannot be read: {error}") from error
        if len(names) == 1 and any(mark in text for mark in ";\t|"):
            message = f"the columns are not separated by commas: {text[:80]!r}"
            raise TableError("separator", message, "Separate them by commas.")
        return names

    def _read_csv(self, wanted: list[str], numbers: set[str]) -> Any:
        types = {name: pa.float64() if name in numbers else pa.string() for name in wanted}
        try:
            return self._scan_csv(types)
        except pa.ArrowInvalid as error:
            if not numbers or "conversion error" not in str(error).lower():
                raise
            table = self._scan_csv(dict.fromkeys(wanted, pa.string()))
            _blame(table, [name for name in wanted if name in numbers])
            raise

    def _scan_csv(self, types: dict[str, Any]) -> Any:
        convert = pa_csv.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=[""], strings_can_be_null=False,
            quoted_strings_can_be_null=True, check_utf8=True,
        )  # fmt: skip
        read = pa_csv.ReadOptions(block_size=2**22, column_names=self.columns, skip_rows=1)
        batches, rows = [], 0
        with pa_csv.open_csv(self.path, read_options=read, convert_options=convert) as reader:
            schema = reader.schema
            for batch in reader:
                rows += batch.num_rows
                if self.max_rows is not None and rows > self.max_rows:
                    raise self._too_many(rows)
                batches.append(batch)
        return pa.Table.from_batches(batches, schema=schema)

    def _read_parquet(self, wanted: list[str]) -> Any:
        table = pq.ParquetFile(self.path).read(columns=wanted, use_threads=False)
        if self.max_rows is not None and table.num_rows > self.max_rows:
            raise self._too_many(table.num_rows)
        return table

    def _unreadable(self, error: Exception) -> TableError:
        text = _first_line(error)
        if "utf8" in text.lower() or "utf-8" in text.lower():
            return TableError("encoding", "the file holds bytes that are not UTF-8 text", "Save the file as UTF-8.")
        if self.kind == "parquet":
            return TableError("truncated", f"the Parquet file is truncated or damaged: {text}", "Write the file again.")
        if "Empty CSV" in text:
            return TableError("rows", "the table has a header and no rows", "Write one row for each id.")
        return TableError("unreadable", f"the CSV cannot be read: {text.removeprefix('CSV parse error: ')}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300].rstrip(".")


def _single(column: Any) -> Any:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)


def _as_text(array: Any, name: str) -> Any:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _as_text(array.dictionary_decode(), name)
    if pa.types.is_string(kind):
        return array
    textual = pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind)
    if textual or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pc.cast(array, pa.string())
    hint = f"Write `{name}` as text, for example with .astype(str)."
    raise TableError("type", f"the column `{name}` holds {kind}, not text", hint)


def _as_number(array: Any, name: str) -> Any:
    kind = array.type
    if pa.types.is_float64(kind):
        return array
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind) or pa.types.is_decimal(kind):
        return pc.cast(array, pa.float64(), safe=False)
    raise TableError("type", f"the column `{name}` holds {kind}, not numbers", f"Write `{name}` as float64.")


def _blame(table: Any, names: Iterable[str]) -> None:
    """Raise for the first cells of text columns that are no numbers."""
    for name in names:
        bad = []
        for row, cell in enumerate(_single(table.column(name)).to_pylist(), start=1):
            if cell and not _is_number(cell):
                bad.append(f"row {row}: {cell[:40]!r}")
                if len(bad) == 5:
                    break
        if bad:
            hint = "Write numbers with a point, without thousands separators."
            raise TableError("number", f"the column `{name}` holds no number in {', '.join(bad)}", hint)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) or text.strip().lower().lstrip("+-") in ("nan", "inf", "infinity")
    except ValueError:
        return False
