"""Intake of `predictions`: the same reader that scores them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runners.data.tables import Table
from runners.intake.report import IntakeReport
from runners.models.predictions import check_predictions
from runners.spec.models import TaskSpec


def check_prediction_file(
    path: Path, *, task: TaskSpec, ids: Sequence[str] | None, also: Sequence[str] = ()
) -> IntakeReport:
    """Judge a predictions file; completely where the ids of the split are given.

    `also` are the ids of its validation split, all or none of which may be answered too.
    """
    report = IntakeReport()
    report.facts["bytes"] = path.stat().st_size
    found, defects = check_predictions(path, task=task, ids=ids, also=also)
    report.defects += defects
    if found is not None:
        table = Table(path)
        report.facts |= {
            "rows": len(found.predictions),
            "format": "parquet" if table.kind == "parquet" else "csv",
            "columns": list(table.columns[:50]),
            "probabilities": found.probabilities is not None,
            "ids_checked": ids is not None,
            **({} if found.also is None else {"validation_rows": len(found.also.predictions)}),
        }
    return report
