"""`python -m touchstone.competitions.bundle_check FOLDER`: check a competition's folder and read its item ids.

Runs in a process of its own under limits, for it opens an organiser's files. Prints one line of JSON:
{"defects", "spec", "splits": {name: facts}, "ids": {name: [...]}}. A split without labels has no ids: nobody can
submit predictions to it.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from runners.spec import check_folder


def check(folder: Path) -> dict[str, Any]:
    """The report of a folder."""
    report = check_folder(folder)
    spec = report.spec
    return {
        "defects": [defect.as_dict() for defect in report.defects],
        "spec": spec.model_dump(mode="json", by_alias=True) if spec else None,
        "splits": {name: facts.as_dict() for name, facts in report.splits.items()},
        "ids": {name: read_ids(folder / split.path) for name, split in spec.data.items()} if spec else {},
    }


def read_ids(folder: Path) -> list[str]:
    """The `id` column of a sound split's labels, in order."""
    table = folder / "labels.parquet"
    if table.is_file():
        import pyarrow.parquet as pq  # heavy; the server itself never loads it

        return [str(value) for value in pq.read_table(table, columns=["id"]).column("id").to_pylist()]
    table = folder / "labels.csv"
    if not table.is_file():
        return []
    with table.open(encoding="utf-8-sig", newline="") as lines:
        return [row["id"] for row in csv.DictReader(lines)]


if __name__ == "__main__":
    json.dump(check(Path(sys.argv[1])), sys.stdout)
