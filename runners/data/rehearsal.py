"""`python -m runners.data.rehearsal FOLDER`: made-up prediction files for one phase.

Runs in a process of its own under limits, for it opens an organiser's files. FOLDER holds spec.json, the labels and
clusters of the phase's split in `split`, and of its validation split, where it has one, in `validation`. Writes
null.csv (the shares of the classes, for every item), constant.csv (the largest class), oracle.csv (the truth) and
malformed.csv (half of the ids, and one that is none), and prints {"n", "classes"}: decisions, in all and of each class.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from runners.data.split import Split, examine_split
from runners.spec.models import CompetitionSpec


def write_files(folder: Path) -> dict[str, object]:
    """Write the four files; the counts of the split."""
    spec = CompetitionSpec.model_validate_json((folder / "spec.json").read_text(encoding="utf-8"))
    split = _read(folder / "split", spec)
    also = _read(folder / "validation", spec) if (folder / "validation").is_dir() else None
    classes = list(spec.task.classes)
    decisions = _decisions(split)
    counts = [decisions.count(index) for index in range(len(classes))]
    shares = [count / len(decisions) for count in counts]
    largest = counts.index(max(counts))
    truth = [(str(item), int(label)) for part in (split, also) if part is not None for item, label in _rows(part)]
    one_hot = [[float(index == of) for index in range(len(classes))] for of in range(len(classes))]
    _write(folder / "null.csv", classes, ((item, shares) for item, _ in truth))
    _write(folder / "constant.csv", classes, ((item, one_hot[largest]) for item, _ in truth))
    _write(folder / "oracle.csv", classes, ((item, one_hot[label]) for item, label in truth))
    half = truth[: max(1, split.n // 2)] if split.n > 1 else []
    wrong = [*half, ("this-id-is-in-no-split", 0)]
    _write(folder / "malformed.csv", classes, ((item, one_hot[label]) for item, label in wrong))
    return {"n": len(decisions), "classes": dict(zip(classes, counts, strict=True))}


def _read(folder: Path, spec: CompetitionSpec) -> Split:
    split, defects = examine_split(
        folder, task=spec.task, input_spec=None, attributes={}, aggregate=spec.aggregate, inputs=False
    )
    if defects or split.labels is None:
        raise ValueError("; ".join(defect.text() for defect in defects[:5]) or "the split has no labels")
    return split


def _rows(split: Split) -> Iterable[tuple[object, int]]:
    assert split.labels is not None
    return zip(split.ids, split.labels.tolist(), strict=True)


def _decisions(split: Split) -> list[int]:
    """The labels that are decided on: of the items, or, where these belong together, of their clusters."""
    assert split.labels is not None
    if split.clusters is None:
        return [int(label) for label in split.labels]
    of = {str(cluster): int(label) for cluster, label in zip(split.clusters, split.labels, strict=True)}
    return list(of.values())


def _write(path: Path, classes: list[str], rows: Iterable[tuple[str, list[float]]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["id", *(f"p_{name}" for name in classes)])
        writer.writerows([item, *map(repr, values)] for item, values in rows)


if __name__ == "__main__":
    json.dump(write_files(Path(sys.argv[1])), sys.stdout)
