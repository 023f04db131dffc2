"""The report of several splits: each by itself, and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from runners.attributes import Attribute
from runners.data.columns import positions
from runners.data.inspection.arrays import look_at_arrays, look_at_images
from runners.data.inspection.found import FoundInputs, short
from runners.data.inspection.keyed import Keyed, counts_of, crossings, differing, id_defects, read_keyed
from runners.data.inspection.leaks import Traces, leaks_between, repeated
from runners.data.inspection.tabular import look_at_table
from runners.spec.defects import Defect
from runners.spec.files import part_of

Files = Mapping[str, Path]


def inspect_splits(splits: Mapping[str, Files], out: Path) -> dict[str, Any]:
    """Look at splits: name → (name in the split → path). Pictures go into the folder `out`.

    Never raises for what the files hold: {"splits": {name: facts}, "leaks": [...]}.
    """
    reports, traces = {}, {}
    for name, files in splits.items():
        reports[name], traces[name] = _look(files, out)
    return {"splits": reports, "leaks": leaks_between(traces)}


def _look(files: Files, out: Path) -> tuple[dict[str, Any], Traces]:
    defects = [
        Defect("unexpected_file", "has no place in a data split", file=name, hint="Remove it.")
        for name in sorted(files)
        if part_of(name) is None
    ]
    names = {part: _file_of(files, part, defects) for part in ("labels", "attributes", "clusters")}
    labels, attributes, clusters = (
        read_keyed(files.get(names[part]), names[part], wanted="label" if part == "labels" else "")
        for part in ("labels", "attributes", "clusters")
    )
    inputs, inputs_name = _inputs(files, out, defects)
    for part in (labels, attributes, clusters):
        defects += part.defects
    defects += inputs.defects if inputs else []
    ids = _arrow_ids(inputs)
    if ids is not None:
        defects += id_defects(ids, inputs_name)
    parts = {names["labels"]: labels.ids, inputs_name: ids, names["attributes"]: attributes.ids}
    parts[names["clusters"]] = clusters.ids
    defects += differing({name: found for name, found in parts.items() if name and found is not None})
    rule = labels.ids if labels.ids is not None else ids
    column = next(iter(clusters.columns), "")
    facts = {
        "n": len(rule) if rule is not None else 0,
        "parts": [
            part for part, there in (
                ("inputs", inputs is not None), ("labels", labels.ids is not None),
                ("attributes", attributes.ids is not None), ("clusters", clusters.ids is not None),
            ) if there
        ],
        "inputs": inputs.as_dict() if inputs else None,
        "repeated": repeated(inputs.hashes, inputs.ids) if inputs else None,
        "classes": counts_of(labels.columns["label"]) if "label" in labels.columns else None,
        "extra_labels": [short(name) for name in labels.columns if name != "label"],
        "attributes": {short(name): counts_of(values) for name, values in attributes.columns.items()},
        "crossings": crossings(attributes, labels),
        "clusters": _clusters(clusters, column),
        "defects": [defect.as_dict() for defect in defects],
    }  # fmt: skip
    _label_rows(facts, labels)
    return facts, Traces(rule, inputs if inputs and len(inputs.hashes) == len(inputs.ids) else None,
                         clusters.columns.get(column), column or "cluster")  # fmt: skip


def _file_of(files: Files, part: str, defects: list[Defect]) -> str:
    """The one file of a part; empty where there is none."""
    found = sorted({"inputs" if name.startswith("inputs/") else name for name in files if part_of(name) == part})
    if len(found) > 1:
        text = f"the split has {' and '.join(found)}"
        defects.append(Defect("ambiguous", text, file=found[1], hint="Keep one of them."))
    return found[0] if found else ""


def _inputs(files: Files, out: Path, defects: list[Defect]) -> tuple[FoundInputs | None, str]:
    name = _file_of(files, "inputs", defects)
    if not name:
        return None, ""
    if name == "inputs":
        return look_at_images({n: path for n, path in files.items() if n.startswith("inputs/")}, out), name
    if name.endswith(".npz"):
        return look_at_arrays(files[name], name, out), name
    return look_at_table(files[name], name), name


def _arrow_ids(inputs: FoundInputs | None) -> Any:
    if inputs is None or not inputs.ids:
        return None
    return pa.array([item.encode("utf-8", "replace").decode("utf-8") for item in inputs.ids], pa.string())


def _clusters(keyed: Keyed, column: str) -> dict[str, Any] | None:
    if not column:
        return None
    values: Attribute = keyed.columns[column]
    sizes = np.array([count for count in values.sizes().values() if count], dtype=np.int64)
    return {
        "name": short(column),
        "columns": [short(name) for name in keyed.columns],
        "n": len(sizes),
        "alone": int((~values.known).sum()),
        "smallest": int(sizes.min()) if sizes.size else 0,
        "largest": int(sizes.max()) if sizes.size else 0,
    }


def _label_rows(facts: dict[str, Any], labels: Keyed) -> None:
    """The classes of the first items, where they can be told apart by their ids."""
    inputs = facts["inputs"]
    if inputs is None or "label" not in labels.columns:
        return
    values = labels.columns["label"]
    wanted = [row[0] for row in inputs["rows"]] or [picture["id"] for picture in inputs["pictures"]]
    where = positions(pa.array(wanted, pa.string()), labels.ids)
    inputs["labels"] = [
        short(values.names[values.codes[row]]) if row >= 0 and values.codes[row] >= 0 else "" for row in where
    ]
