"""A data split from its folder: typed, aligned by item id, and checked while it is read.

Used by the check of a competition's folder and, through `runners.data.load`, by the node.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from runners.attributes import Attribute
from runners.data.columns import Names, coded, doubled, examples, ids_array, objects, plural, positions, text_or_none
from runners.data.inputs import InputError, read_inputs
from runners.data.room import Inputs, in_order
from runners.data.tables import Table, TableError
from runners.spec.defects import Defect, suggestion
from runners.spec.files import part_of, split_names
from runners.spec.models import AggregateSpec, AttributeSpec, InputSpec, TaskSpec


@dataclass(frozen=True)
class Split:
    """Row i of every array is item `ids[i]`.

    `labels` (n,) class indices, int64; `inputs` (n, *shape), float32; `attributes` name → the values of
    n items as codes; `clusters` n strings, an item without a cluster is one of its own.
    """

    ids: Names
    labels: npt.NDArray[np.int64] | None = None
    inputs: Inputs | None = None
    attributes: dict[str, Attribute] = field(default_factory=dict)
    clusters: Names | None = None

    @property
    def n(self) -> int:
        return len(self.ids)


def examine_split(
    folder: Path,
    *,
    task: TaskSpec | None,
    input_spec: InputSpec | None,
    attributes: Mapping[str, AttributeSpec],
    aggregate: AggregateSpec | None,
    inputs: bool = True,
    tolerated: Collection[str] = (),
    scratch: Path | None = None,
) -> tuple[Split, list[Defect]]:
    """Read whatever can be read. Defects name files relative to `folder`; missing parts are no defects here.

    `tolerated` are columns of attributes and clusters that may stand there unread. `scratch`: where large inputs
    are put to be read row by row, without a name.
    """
    reader = _Reader(folder, task, input_spec, attributes, aggregate, tolerated, scratch)
    return reader.read(inputs=inputs), reader.defects


class _Reader:
    def __init__(
        self,
        folder: Path,
        task: TaskSpec | None,
        input_spec: InputSpec | None,
        attributes: Mapping[str, AttributeSpec],
        aggregate: AggregateSpec | None,
        tolerated: Collection[str],
        scratch: Path | None,
    ) -> None:
        self.folder = folder
        self.task = task
        self.input = input_spec
        self.attributes = attributes
        self.aggregate = aggregate
        self.tolerated = tolerated
        self.scratch = scratch
        self.defects: list[Defect] = []
        self.names = split_names(folder)

    def note(self, code: str, message: str, file: str, hint: str = "") -> None:
        self.defects.append(Defect(code, message, file=file, hint=hint))

    def read(self, *, inputs: bool) -> Split:
        self._stray()
        labelled = self._table("labels", ["label"])
        given = self._inputs() if inputs else None
        if labelled is not None:
            ids = labelled["id"]
        else:
            ids = ids_array(given[0]) if given is not None else pa.array([], pa.string())
        labels = self._labels(labelled) if labelled is not None else None
        x = self._aligned(ids, given, labelled is not None)
        if not self.defects and not len(ids):
            self.note("empty", "the split has no items", "", "Add labels.csv and the inputs.")
        attributes = self._attributes(ids)
        clusters = self._clusters(ids)
        return Split(objects(ids), labels, x, attributes, clusters)

    def _stray(self) -> None:
        for name in self.names:
            if (self.folder / name).is_symlink():
                self.note("link", "is a symbolic link", name, "Put the file itself there.")
            elif part_of(name) is None:
                hint = "A split holds inputs, labels, attributes and clusters only; move other files elsewhere."
                self.note("unexpected_file", "has no place in a data split", name, hint)

    def _file(self, part: str) -> str | None:
        """The one file of a part; images count as the folder `inputs`."""
        found = sorted({"inputs" if n.startswith("inputs/") else n for n in self.names if part_of(n) == part})
        if len(found) > 1:
            self.note("ambiguous", f"the split has {' and '.join(found)}", found[1], "Keep one of them.")
        return found[0] if found and not (self.folder / found[0]).is_symlink() else None

    def _table(self, part: str, columns: Collection[str], *, optional: bool = False) -> dict[str, Any] | None:
        """The columns of a table, or None where there is no usable file. Ids are unique and not empty."""
        name = self._file(part)
        if name is None:
            return None
        try:
            table = Table(self.folder / name)
            wanted = ["id", *columns]
            for column in wanted:
                if column not in table.columns and not (optional and column != "id"):
                    hint = suggestion(column, table.columns, what="Columns found")
                    self.note("columns", f"the column `{column}` is missing", name, hint)
            for column in table.columns:
                if column not in wanted and column not in self.tolerated:
                    hint = suggestion(column, wanted, what="Columns expected")
                    self.note("columns", f"the column `{column}` is not expected here", name, hint)
            if "id" not in table.columns:
                return None
            found = table.read(text=[column for column in wanted if column in table.columns])
        except TableError as error:
            self.note(error.code, error.message, name, error.hint)
            return None
        self._check_ids(found["id"], name)
        return found

    def _check_ids(self, ids: Any, name: str) -> None:
        count, twice = doubled(ids)
        if count:
            text = f"{plural(count, 'id')} more than once: {examples(twice)}"
            self.note("duplicate_id", text, name, "Keep one row each.")
        empty = ids.null_count + sum(1 for value in ids.to_pylist() if value == "")
        if empty:
            self.note("empty_id", f"{plural(empty, 'row')} without an id", name, "Give every row an id.")

    def _labels(self, table: dict[str, Any]) -> npt.NDArray[np.int64] | None:
        if self.task is None or "label" not in table:
            return None
        name = self._file("labels") or "labels"
        index = positions(table["label"], pa.array(self.task.classes, pa.string()))
        wrong = np.flatnonzero(index < 0)
        for row in wrong[:5]:
            value, item = table["label"][int(row)].as_py(), table["id"][int(row)].as_py()
            text = f"row {row + 1} (id {item}) has the label {value!r}, which is not among the classes"
            hint = suggestion(str(value), self.task.classes, what="Classes")
            self.note("unknown_class", text, name, hint)
        if len(wrong) > 5:
            self.note("unknown_class", f"and {plural(len(wrong) - 5, 'more row')} with unknown labels", name)
        return index

    def _inputs(self) -> tuple[Names, Inputs] | None:
        name = self._file("inputs")
        if name is None or self.input is None:
            return None
        try:
            ids, x = read_inputs(self.folder / name, self.input, self.scratch)
        except InputError as error:
            for code, message, hint in error.problems:
                self.note(code, message, name, hint)
            return None
        self._check_ids(ids_array(ids), name)
        return ids, x

    def _aligned(self, ids: Any, given: tuple[Names, Inputs] | None, labelled: bool) -> Inputs | None:
        if given is None:
            return None
        if not labelled:
            return given[1]
        order = positions(ids, ids_array(given[0]))
        back = positions(ids_array(given[0]), ids)
        name = self._file("inputs") or "inputs"
        self._difference("items have a label and no input", [str(i) for i in objects(ids)[order < 0]], name)
        self._difference("items have an input and no label", [str(i) for i in given[0][back < 0]], name)
        return None if (order < 0).any() or (back < 0).any() else in_order(given[1], order, self.scratch)

    def _difference(self, text: str, ids: list[str], name: str) -> None:
        if ids:
            self.note("ids", f"{len(ids):,} {text}: {examples(ids)}", name, "Use the same ids in every file.")

    def _order(self, ids: Any, table: dict[str, Any], part: str) -> npt.NDArray[np.int64]:
        """The row of each of `ids` in a table, -1 for items that it lacks."""
        unknown = objects(table["id"])[positions(table["id"], ids) < 0]
        if len(ids):
            text = f"items have {part} and are not in the split"
            self._difference(text, [str(i) for i in unknown], self._file(part) or part)
        return positions(ids, table["id"])

    def _attributes(self, ids: Any) -> dict[str, Attribute]:
        table = self._table("attributes", list(self.attributes), optional=True)
        if table is None:
            return {}
        found = [name for name in self.attributes if name in table]
        if not found:
            return {}
        order, columns = self._order(ids, table, "attributes"), {name: coded(table[name]) for name in found}
        # -1 picks the unknown that is put at the end.
        return {
            name: Attribute(column.names, np.append(column.codes, column.codes.dtype.type(-1))[order])
            for name, column in columns.items()
        }

    def _clusters(self, ids: Any) -> Names | None:
        named = self.aggregate.by if self.aggregate else "cluster"
        name = self._file("clusters")
        if name is None:
            return None
        column = named
        try:
            columns = Table(self.folder / name).columns
            column = named if named in columns else "cluster"
        except TableError:  # told by _table below, which opens the same file
            pass
        table = self._table("clusters", [column])
        if table is None or column not in table:
            return None
        order, values = self._order(ids, table, "clusters"), np.append(text_or_none(table[column]), [None])
        clusters: Names = values[order]  # -1 picks the None at the end
        alone = np.array([value is None for value in clusters], dtype=bool)
        clusters[alone] = [f"item:{item}" for item in objects(ids)[alone]]
        return clusters
