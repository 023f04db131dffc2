"""`python -m touchstone.competitions.split_ids FOLDER`: the ids of a split's items, as a JSON list.

Runs in a process of its own under limits, for it opens an organiser's files. Prints [] where nothing has labels:
nobody can submit predictions to such a split.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path


def read_ids(folder: Path) -> list[str]:
    """The `id` column of the labels, in order."""
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
    json.dump(read_ids(Path(sys.argv[1])), sys.stdout)
