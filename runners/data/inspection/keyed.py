"""Labels, attributes and clusters of a split: columns of text by item id, counted and crossed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from runners.attributes import Attribute
from runners.data.columns import coded, doubled, examples, plural, positions
from runners.data.inspection.found import VALUES, short
from runners.data.tables import Table, TableError
from runners.spec.defects import Defect

_MAX_COLUMNS = 40


@dataclass
class Keyed:
    """Columns of a table by item id. `ids` is an Arrow text array; None where there is no usable table."""

    ids: Any = None
    columns: dict[str, Attribute] = field(default_factory=dict)
    defects: list[Defect] = field(default_factory=list)


def read_keyed(path: Path | None, name: str, *, wanted: str = "") -> Keyed:
    """All columns but `id`, as text; `wanted` must be among them."""
    keyed = Keyed()
    if path is None:
        return keyed
    try:
        table = Table(path)
        for needed in ("id", wanted):
            if needed and needed not in table.columns:
                hint = f"Columns found: {examples(table.columns)}."
                raise TableError("columns", f"the column `{needed}` is missing", hint)
        ids = table.read(text=["id"])["id"]
        keyed.ids = pc.fill_null(ids, "")
        names = [column for column in table.columns if column != "id"]
        if len(names) > _MAX_COLUMNS:
            text = f"the table has {len(names):,} columns; the first {_MAX_COLUMNS} were looked at"
            keyed.defects.append(Defect("columns", text, file=name, hint="Keep those that you declare."))
        for column in names[:_MAX_COLUMNS]:  # one at a time: memory holds one column of text
            try:
                keyed.columns[column] = coded(table.read(text=[column])[column])
            except TableError as error:
                keyed.defects.append(Defect(error.code, error.message, file=name, hint=error.hint))
    except TableError as error:
        keyed.defects.append(Defect(error.code, error.message, file=name, hint=error.hint))
    if keyed.ids is not None:
        keyed.defects += id_defects(keyed.ids, name)
    return keyed


def id_defects(ids: Any, name: str) -> list[Defect]:
    """Ids that stand twice or are empty."""
    defects = []
    count, twice = doubled(ids.filter(pc.not_equal(ids, "")))
    if count:
        text = f"{plural(count, 'id')} more than once: {examples(twice)}"
        defects.append(Defect("duplicate_id", text, file=name, hint="Keep one row each."))
    empty = int(pc.sum(pc.equal(ids, "")).as_py() or 0)
    if empty:
        defects.append(Defect("empty_id", f"{plural(empty, 'row')} without an id", file=name, hint="Give each an id."))
    return defects


def counts_of(values: Attribute) -> dict[str, Any]:
    """{values: [[value, count]] by falling count, distinct, unknown}; at most 50 values are listed."""
    sizes = sorted(values.sizes().items(), key=lambda item: (-item[1], item[0]))
    present = [(value, count) for value, count in sizes if count]
    return {
        "values": [[short(value), int(count)] for value, count in present[:VALUES]],
        "distinct": len(present),
        "unknown": int((~values.known).sum()),
    }


def aligned(keyed: Keyed, column: str, ids: Any) -> Attribute:
    """A column in the order of other ids; unknown for items that the table lacks."""
    values = keyed.columns[column]
    order = positions(ids, keyed.ids)
    return Attribute(values.names, np.append(values.codes, values.codes.dtype.type(-1))[order])


def crossing(rows: Attribute, columns: Attribute) -> list[list[Any]] | None:
    """[[value, {other value: count}]] of two columns of the same items; None where there are too many values."""
    if not 0 < len(rows.names) <= VALUES or not 0 < len(columns.names) <= VALUES:
        return None
    both = (rows.codes >= 0) & (columns.codes >= 0)
    width = len(columns.names)
    flat = rows.codes[both].astype(np.int64) * width + columns.codes[both]
    table: npt.NDArray[np.int64] = np.bincount(flat, minlength=len(rows.names) * width).reshape(-1, width)
    return [
        [short(name), {short(other): int(count) for other, count in zip(columns.names, line, strict=True) if other}]
        for name, line in zip(rows.names, table, strict=True)
        if name  # empty text is a name that no item has: it is unknown
    ]


def crossings(attributes: Keyed, labels: Keyed) -> dict[str, Any]:
    """Of each attribute with the classes, and of each two attributes: {name: {other: crossing}}."""
    if attributes.ids is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    names = [name for name, values in attributes.columns.items() if len(values.names) <= VALUES]
    for name in names:
        found[name] = {}
        if "label" in labels.columns:
            found[name]["label"] = crossing(aligned(attributes, name, labels.ids), labels.columns["label"])
    for i, name in enumerate(names[:6]):
        for other in names[i + 1 : 6]:
            found[name][other] = crossing(attributes.columns[name], attributes.columns[other])
    return {name: {key: table for key, table in tables.items() if table} for name, tables in found.items()}


def differing(parts: Mapping[str, Any]) -> list[Defect]:
    """Items that one file of a split has and another lacks. `parts`: file name → Arrow ids; the first is the rule."""
    defects: list[Defect] = []
    named = list(parts.items())
    if len(named) < 2:
        return defects
    base_name, base = named[0]
    for name, ids in named[1:]:
        lacking = base.filter(pa.array(positions(base, ids) < 0))
        strange = ids.filter(pa.array(positions(ids, base) < 0))
        for array, text in (
            (lacking, f"of {base_name} are not in this file"),
            (strange, f"are not in {base_name}"),
        ):
            if len(array) and not (name.startswith(("attributes", "clusters")) and array is lacking):
                told = f"{plural(len(array), 'id')} {text}: {examples([str(i) for i in array[:5].to_pylist()])}"
                defects.append(Defect("ids", told, file=name, hint="Use the same ids in every file."))
    return defects
