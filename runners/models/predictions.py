"""A predictions file: the answers of a submission that cannot be asked.

Parquet or CSV with `id` and at least one of: `prediction` (class name), `p_<class>` for every class
(rows sum to one within 1e-3), or for two classes `score` = probability of `task.positive`.
Without `prediction` the most probable class stands; ties go to the lowest index. The file may also answer for the
items of a validation split: for all of them, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from runners.contract import Verdict
from runners.data.columns import Names, doubled, examples, plural, positions
from runners.data.tables import MAX_BYTES, Table, TableError
from runners.errors import ParticipantFault
from runners.spec.defects import Defect, shortened, suggestion
from runners.spec.models import TaskSpec

SUM_TOLERANCE = 1e-3
_ROW_BYTES = 512
_CELL_BYTES = 64
Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """Row i answers for the i-th id asked for. `probabilities` is (n, classes), rows sum to one, or None.

    `also`: the same for the ids that may be answered too; None where the file does not.
    """

    predictions: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64] | None = None
    also: Predictions | None = None


def read_predictions(
    path: Path, *, task: TaskSpec, ids: Sequence[str] | Names, also: Sequence[str] | Names = ()
) -> Predictions:
    """Read and check a predictions file for these ids, and perhaps for those of a validation split, `also`.

    Raises:
        ParticipantFault: with verdict invalid_output; the text lists all defects with examples.
    """
    found, defects = check_predictions(path, task=task, ids=ids, also=also)
    if found is None:
        lines = [f"({number}) {defect.message}." for number, defect in enumerate(defects, start=1)]
        text = lines[0][4:] if len(lines) == 1 else " ".join(lines)
        hints = " ".join(dict.fromkeys(defect.hint for defect in defects if defect.hint))
        count = plural(len(defects), "defect")
        raise ParticipantFault(
            Verdict.INVALID_OUTPUT, f"The predictions file has {count}: {text}", hint=hints, code=defects[0].code
        )
    return found


def check_predictions(
    path: Path, *, task: TaskSpec, ids: Sequence[str] | Names | None, also: Sequence[str] | Names = ()
) -> tuple[Predictions | None, list[Defect]]:
    """Check a predictions file; all defects at once. Without `ids` any set of ids will do and rows keep their order."""
    defects: list[Defect] = []
    try:
        table = _open(path, task, None if ids is None else len(ids) + len(also))
        defects = _column_defects(table.columns, task)
        if "id" not in table.columns:
            return None, defects
        layout = [name for name in table.columns if name in _known(task)]
        text = [name for name in layout if name in ("id", "prediction")]
        columns = table.read(text=text, numbers=[name for name in layout if name not in text])
    except TableError as error:
        return None, [*defects, Defect(error.code, error.message, hint=error.hint)]
    reader = _Reader(columns, task, defects)
    asked = None if ids is None else pa.array(ids, type=pa.string())
    found = reader.read(asked, pa.array(also, type=pa.string()), usable=not defects)
    return (None if defects else found), defects


def probability_column(name: str) -> str:
    """The column that holds the probability of a class."""
    return f"p_{name}"


def _open(path: Path, task: TaskSpec, n: int | None) -> Table:
    if n is None:
        return Table(path)
    rows = 2 * n + 10_000  # room to tell doubled and unknown ids apart
    cells = len(task.classes) + 2
    return Table(path, max_bytes=min(MAX_BYTES, rows * (_ROW_BYTES + cells * _CELL_BYTES)), max_rows=rows)


def _known(task: TaskSpec) -> list[str]:
    score = ["score"] if task.kind == "binary" else []
    return ["id", "prediction", *score, *map(probability_column, task.classes)]


def _expected(task: TaskSpec) -> str:
    probabilities = shortened(map(probability_column, task.classes))
    score = f", or score (probability of {task.classes[task.positive_index]})" if task.kind == "binary" else ""
    return f"Expected id and prediction (class name) and/or {probabilities}{score}."


def _column_defects(columns: list[str], task: TaskSpec) -> list[Defect]:
    def make(message: str) -> Defect:
        return Defect("columns", f"{message}; found {shortened(columns)}", hint=_expected(task))

    defects = []
    if "id" not in columns:
        defects.append(make("the column `id` is missing"))
    known = _known(task)
    unknown = [name for name in columns if name not in known]
    if unknown:
        close = suggestion(unknown[0], known, what="Known")
        note = f" ({close})" if close.startswith("Did") else ""
        if unknown[0] in ("", "Unnamed: 0"):
            note = " (a pandas index: write with index=False)"
        defects.append(make(f"unknown {'column' if len(unknown) == 1 else 'columns'} {shortened(unknown)}{note}"))
    shares = [probability_column(name) for name in task.classes]
    given = [name for name in shares if name in columns]
    if given and len(given) < len(shares):
        missing = [name for name in shares if name not in columns]
        defects.append(make(f"the probabilities of some classes are missing: {shortened(missing)}"))
    if given and "score" in columns and task.kind == "binary":
        defects.append(make("score and p_ columns say the same thing twice"))
    if not given and "prediction" not in columns and "score" not in set(columns) & set(known):
        defects.append(make("no column holds answers"))
    return defects


class _Reader:
    """Turns columns into predictions; notes every defect in `defects`."""

    def __init__(self, columns: dict[str, Any], task: TaskSpec, defects: list[Defect]) -> None:
        self.columns = columns
        self.task = task
        self.defects = defects
        self.ids = columns["id"]

    def read(self, asked: Any | None, also: Any, *, usable: bool) -> Predictions | None:
        """`asked` and `also` are the ids in the order wanted; `usable` says whether all columns are there."""
        if not len(self.ids):
            self._note("rows", "the table has a header and no rows", "Write one row for each id.")
            return None
        order = self._order(asked, also)
        second = None if asked is None else self._also(asked, also)
        classes = self._classes() if "prediction" in self.columns else None
        shares = self._shares() if usable else None
        if self.defects or not usable:
            return None
        if shares is not None:
            shares = shares / shares.sum(axis=1, keepdims=True)
        if classes is None and shares is not None:
            classes = np.argmax(shares, axis=1).astype(np.int64)
        if classes is None:
            raise AssertionError("the columns were checked to hold answers")

        def answers(rows: npt.NDArray[np.int64], more: Predictions | None) -> Predictions:
            return Predictions(classes[rows], None if shares is None else shares[rows], more)

        return answers(order, None if second is None else answers(second, None))

    def _note(self, code: str, message: str, hint: str) -> None:
        self.defects.append(Defect(code, message, hint=hint))

    def _rows(self, code: str, wrong: Rows, message: str, values: npt.NDArray[Any], hint: str) -> None:
        """One defect for all rows that are wrong in the same way, with five examples."""
        count = int(wrong.sum())
        if count:
            rows = np.flatnonzero(wrong)[:5]
            shown = [f"row {row + 1} (id {self.ids[int(row)].as_py()}): {_cell(values[row])}" for row in rows]
            more = f" and {count - 5:,} more" if count > 5 else ""
            self._note(code, f"{plural(count, 'row')} {message}: {', '.join(shown)}{more}", hint)

    def _also(self, asked: Any, also: Any) -> npt.NDArray[np.int64] | None:
        """Where each id that may be answered too stands in the file; None where it answers for none of them."""
        order = positions(also, self.ids)
        extra = (positions(self.ids, asked) < 0) & (positions(self.ids, also) >= 0)
        missing = np.flatnonzero(order < 0)
        if not len(order) or (len(missing) and not extra.any()):
            return None
        if len(missing):
            names = [also[int(i)].as_py() for i in missing[:5]]
            count = plural(len(also), "id")
            text = f"{len(missing):,} of {count} of the validation split missing: {_first(names, len(missing))}"
            self._note("missing_ids", text, "Answer for every id of the validation split, or for none.")
            return None
        return order

    def _order(self, asked: Any | None, also: Any) -> npt.NDArray[np.int64]:
        """Where each id asked for stands in the file; notes missing, doubled, unknown and empty ids."""
        count, twice = doubled(self.ids)
        if count:
            text = f"{plural(count, 'id')} more than once: {examples(twice)}"
            self._note("duplicate_ids", text, "Write one row for each id.")
        if self.ids.null_count:
            self._note("empty_ids", f"{plural(self.ids.null_count, 'row')} without an id", "Fill in every id.")
        if asked is None:
            return np.arange(len(self.ids), dtype=np.int64)
        order = positions(asked, self.ids)
        missing = np.flatnonzero(order < 0)
        unknown = np.flatnonzero((positions(self.ids, asked) < 0) & (positions(self.ids, also) < 0))
        if len(missing):
            names = [asked[int(i)].as_py() for i in missing[:5]]
            text = f"{len(missing):,} of {plural(len(asked), 'id')} missing: {_first(names, len(missing))}"
            self._note("missing_ids", text, "Answer for every id of the split; ids are text, so 007 is not 7.")
        if len(unknown):
            names = [str(self.ids[int(i)].as_py()) for i in unknown[:5]]
            text = (
                f"{plural(len(unknown), 'row')} with an id that the split does not have: {_first(names, len(unknown))}"
            )
            self._note("unknown_ids", text, "Answer only for the ids of this phase's split.")
        return order

    def _classes(self) -> npt.NDArray[np.int64]:
        column = self.columns["prediction"]
        index = positions(column, pa.array(self.task.classes, pa.string()))
        wrong = index < 0
        if wrong.any():
            values = np.array([column[int(row)].as_py() for row in np.flatnonzero(wrong)[:5]], dtype=object)
            shown = np.empty(len(index), dtype=object)
            shown[np.flatnonzero(wrong)[:5]] = values
            hint = f"The classes are {shortened(self.task.classes)}."
            self._rows("unknown_class", wrong, "with a prediction that is no class", shown, hint)
        return index

    def _shares(self) -> npt.NDArray[np.float64] | None:
        """Probabilities (rows, classes) as they stand in the file, or None where the file has none."""
        if "score" in self.columns:
            score = self._numbers("score")
            others = 1.0 - score
            pair = (others, score) if self.task.positive_index == 1 else (score, others)
            return np.stack(pair, axis=1)
        names = [probability_column(name) for name in self.task.classes]
        if names[0] not in self.columns:
            return None
        seen = len(self.defects)
        shares = np.stack([self._numbers(name) for name in names], axis=1)
        if len(self.defects) == seen:
            total = shares.sum(axis=1)
            wrong = np.abs(total - 1.0) > SUM_TOLERANCE
            hint = "Normalise each row; logits need a softmax first."
            self._rows("not_normalised", wrong, "whose probabilities do not sum to one", total, hint)
        return shares

    def _numbers(self, name: str) -> npt.NDArray[np.float64]:
        values = np.asarray(self.columns[name].to_numpy(zero_copy_only=False), dtype=np.float64)
        broken = ~np.isfinite(values)
        self._rows(
            "not_finite", broken, f"with a missing, NaN or infinite `{name}`", values, "Write a number from 0 to 1."
        )
        with np.errstate(invalid="ignore"):
            outside = ((values < 0.0) | (values > 1.0)) & ~broken
        self._rows("out_of_range", outside, f"with `{name}` outside 0 to 1", values, "Write probabilities, not logits.")
        return values


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)[:60]


def _first(names: list[str], count: int) -> str:
    return ", ".join(names) + (f" and {count - len(names):,} more" if count > len(names) else "")
