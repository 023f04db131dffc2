"""Inputs that are a table, read batch by batch: Parquet or CSV, with whatever columns it has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from runners.data.columns import examples, plural
from runners.data.inspection.found import SHOWN, FoundInputs, hash_of, short
from runners.data.tables import Table, TableError

#: Columns of first rows that are shown, and columns whose numbers are reported.
_SHOWN_COLUMNS = 16
_COLUMNS = 2000
_BATCH = 1 << 16

Floats = npt.NDArray[np.float64]


@dataclass
class _Column:
    name: str
    missing: int = 0
    infinite: int = 0
    wrong: int = 0
    total: float = 0.0
    numbers: int = 0
    low: float = math.inf
    high: float = -math.inf
    examples: list[str] = field(default_factory=list)

    def take(self, array: Any, first: int) -> Floats:
        """Numbers of one batch, NaN where there are none; `first` is the row of its first cell, from 1."""
        values = self._numbers(array, first)
        finite = np.isfinite(values)
        self.infinite += int(np.isinf(values).sum())
        if finite.any():
            inside = values[finite]
            self.low, self.high = min(self.low, float(inside.min())), max(self.high, float(inside.max()))
            self.total += float(inside.sum())
            self.numbers += inside.size
        return values

    def _numbers(self, array: Any, first: int) -> Floats:
        try:
            cast = pc.cast(array, pa.float64(), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return self._one_by_one(array, first)
        values: Floats = np.asarray(cast.to_numpy(zero_copy_only=False), dtype=np.float64)
        self.missing += int(np.isnan(values).sum())
        return values

    def _one_by_one(self, array: Any, first: int) -> Floats:
        values = np.full(len(array), np.nan)
        for row, cell in enumerate(array.to_pylist()):
            try:
                values[row] = math.nan if cell in (None, "") else float(cell)
                self.missing += int(math.isnan(values[row]))
            except (TypeError, ValueError):
                self.wrong += 1
                if len(self.examples) < 3:
                    self.examples.append(f"row {first + row}: {short(cell)!r}")
        return values

    def as_dict(self) -> dict[str, Any]:
        some = self.numbers > 0
        return {
            "name": short(self.name), "missing": self.missing, "infinite": self.infinite, "wrong": self.wrong,
            "low": self.low if some else None, "high": self.high if some else None,
            "mean": self.total / self.numbers if some and math.isfinite(self.total) else None,
        }  # fmt: skip


def look_at_table(path: Path, name: str) -> FoundInputs:
    """Facts of `inputs.csv` or `inputs.parquet`."""
    found = FoundInputs(kind="tabular", dtype="float64")
    try:
        table = Table(path)
        _read(table, name, found)
    except TableError as error:
        found.note(error.code, error.message, name, error.hint)
    except (pa.ArrowException, OSError, MemoryError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0][:300]
        found.note("unreadable", f"the table cannot be read to its end: {text}", name, "Write the file again.")
    return found


def _read(table: Table, name: str, found: FoundInputs) -> None:
    if "id" not in table.columns:
        hint = "Name the column that tells items apart `id`; it is the same in every file of the split."
        found.note("columns", "the column `id` is missing", name, hint)
        return
    columns = [_Column(column) for column in table.columns if column != "id"]
    found.shape = (len(columns),)
    hashes: list[int] = []
    for batch in _batches(table):
        ids = pc.fill_null(pc.cast(batch.column("id"), pa.string()), "").to_pylist()
        first = len(found.ids) + 1
        matrix = np.empty((len(ids), len(columns)), dtype=np.float64)
        odd: list[list[Any]] = []
        for position, column in enumerate(columns):
            before = column.wrong
            array = batch.column(column.name)
            matrix[:, position] = column.take(array, first)
            if column.wrong > before:  # words: they tell items apart too
                odd.append(array.to_pylist())
        _show(batch, columns, found)
        found.missing += int((~np.isfinite(matrix)).any(axis=1).sum()) if columns else 0
        found.ids += ids
        hashes += _row_hashes(matrix, odd)
    found.hashes = np.array(hashes, dtype=np.uint64)
    found.columns = [column.as_dict() for column in columns[:_COLUMNS]]
    for column in columns:
        if column.numbers:
            found.widen(column.low, column.high)
    _tell(columns, name, found)


def _row_hashes(matrix: Floats, odd: list[list[Any]]) -> list[int]:
    raw, width = matrix.tobytes(), matrix.shape[1] * 8
    if not odd:
        return [hash_of(raw[start : start + width]) for start in range(0, len(matrix) * width, width)] if width else []
    words = ["\x00".join(map(str, cells)).encode("utf-8", "replace") for cells in zip(*odd, strict=True)]
    return [hash_of(raw[i * width : (i + 1) * width], words[i]) for i in range(len(matrix))]


def _show(batch: Any, columns: list[_Column], found: FoundInputs) -> None:
    if len(found.rows) >= SHOWN:
        return
    names = ["id", *(column.name for column in columns[:_SHOWN_COLUMNS])]
    shown = batch.select(names).slice(0, SHOWN - len(found.rows))
    cells = [shown.column(name).to_pylist() for name in names]
    found.rows += [[short(cell) for cell in row] for row in zip(*cells, strict=True)]


def _tell(columns: list[_Column], name: str, found: FoundInputs) -> None:
    for column in columns:
        if column.wrong:
            text = f"the column `{short(column.name)}` holds no number in {plural(column.wrong, 'row')}"
            hint = "Inputs are numbers: code words as numbers, or move what describes people to attributes.csv."
            found.note("number", f"{text}: {', '.join(column.examples)}", name, hint)
    gaps = [short(column.name) for column in columns if column.missing]
    if gaps:
        cells = sum(column.missing for column in columns)
        text = f"{plural(cells, 'cell')} without a number, in {examples(gaps)}"
        found.note("not_finite", text, name, "Fill them in or leave the items out.")
    endless = [short(column.name) for column in columns if column.infinite]
    if endless:
        found.note("not_finite", f"infinite numbers in {examples(endless)}", name, "Replace them.")


def _batches(table: Table) -> Iterator[Any]:
    if table.kind == "parquet":
        yield from pq.ParquetFile(table.path).iter_batches(batch_size=_BATCH, use_threads=False)
        return
    convert = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(table.columns, pa.string()), null_values=[""], strings_can_be_null=True,
        quoted_strings_can_be_null=True, check_utf8=True,
    )  # fmt: skip
    read = pa_csv.ReadOptions(block_size=2**22, column_names=table.columns, skip_rows=1, use_threads=False)
    with pa_csv.open_csv(table.path, read_options=read, convert_options=convert) as reader:
        yield from reader
