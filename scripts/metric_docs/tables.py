"""Which tables of numbers a page shows as shaded cells, from the details of its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.metric_docs.draw.matrix import Table

Entry = Mapping[str, Any]


def tables_of(name: str, entry: Entry) -> list[Table]:
    """A confusion matrix, or accuracy by kind and severity; nothing for other metrics."""
    if name == "performance.confusion_matrix":
        return [_confusion(entry)]
    if name == "robustness.corruptions":
        return _corruptions(entry)
    return []


def _confusion(entry: Entry) -> Table:
    """Of the last submission but one: a row says where the items of a class went."""
    row = entry["rows"][-2]
    details = row["results"][0]["details"]
    names = [name.replace("_", " ") for name in details["classes"]]
    counts = details["confusion"]
    shade = [[count / sum(line) for count in line] for line in counts]
    short = [name[:10] for name in names]
    cells = [[str(count) for count in line] for line in counts]
    return Table(row["who"], 0, names, short, cells, shade, x="predicted class", y="rows: true class")


def _corruptions(entry: Entry) -> list[Table]:
    out = []
    for series, row in enumerate(entry["rows"]):
        details = row["results"][0]["details"]
        rows = [line["kind"].replace("_", " ") for line in details["accuracy"]]
        shade = [list(line["accuracy"]) for line in details["accuracy"]]
        cells = [[f"{value:.2f}" for value in line] for line in shade]
        columns = [str(level) for level in details["severities"]]
        out.append(Table(f"{row['who']}: accuracy by severity", series, rows, columns, cells, shade))
    return out
