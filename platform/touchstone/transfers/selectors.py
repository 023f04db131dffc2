"""Reading matrices: for the organisers alone, since a matrix names participants and tells of their models."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _

from touchstone.competitions.models import Phase
from touchstone.competitions.selectors import Viewer, is_organiser
from touchstone.core.errors import NotAllowed, NotFound
from touchstone.evaluations.models import Result, Run, RunStatus
from touchstone.evaluations.state import FINAL
from touchstone.transfers.models import Matrix, MatrixEntry
from touchstone.transfers.services import PREFIX


@dataclass(frozen=True)
class Cell:
    """One number of a matrix, with its interval; `value` is None unless `state` is ok, and `reason` says why.

    `state` is also waiting, running, or how the run of the column ended. `own`: of a model against itself.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    state: str = "waiting"
    reason: str = ""
    own: bool = False


@dataclass(frozen=True)
class MatrixColumn:
    """A submission that is asked. `clean`: its accuracy on the items as they are; `worst`: under all examples.

    `accuracy` and `transfer_rate` have a cell for each row.
    """

    entry: MatrixEntry
    status: str
    message: str
    clean: Cell
    worst: Cell
    accuracy: list[Cell]
    transfer_rate: list[Cell]


@dataclass(frozen=True)
class MatrixView:
    """A matrix as its organisers see it. `rows`: the models that examples were made against.

    `state`: running, done (every run was scored), partial (some were not) or cancelled (all were).
    """

    matrix: Matrix
    state: str
    ended: int
    total: int
    rows: list[MatrixEntry]
    columns: list[MatrixColumn]


def matrices_of(*, user: Viewer, phase: Phase) -> QuerySet[Matrix]:
    """The matrices of a phase, newest first. Raises `NotAllowed`."""
    if not is_organiser(user=user, competition=phase.competition):
        raise NotAllowed(_("Only the organisers see matrices of submissions."))
    return _with_runs(Matrix.objects.filter(phase=phase))


def matrix_get(*, user: Viewer, id: uuid.UUID) -> Matrix:  # noqa: A002 - the name of the thing
    """A matrix of a competition that `user` organises. Raises `NotFound`, foreign or missing alike."""
    found = _with_runs(Matrix.objects.filter(pk=id)).first()
    if found is None or not is_organiser(user=user, competition=found.phase.competition):
        raise NotFound(_("There is no matrix %(id)s, or you do not organise its competition.") % {"id": id})
    return found


def _with_runs(found: QuerySet[Matrix]) -> QuerySet[Matrix]:
    runs = Run.objects.only("status", "verdict", "code", "message", "finished_at")
    entries = MatrixEntry.objects.select_related("submission").prefetch_related(Prefetch("run", runs))
    return found.select_related("phase__competition").prefetch_related(Prefetch("entries", entries))


def matrix_view(*, matrix: Matrix) -> MatrixView:
    """Everything of a matrix from `matrix_get` or `matrices_of`. One query."""
    entries = list(matrix.entries.all())
    found: dict[Any, dict[str, Result]] = {entry.run.pk: {} for entry in entries}
    for result in Result.objects.filter(run__in=list(found)).defer("details", "parameters"):
        found[result.run_id][result.key] = result
    rows = [entry for entry in entries if entry.is_source]
    statuses = [entry.run.status for entry in entries]
    return MatrixView(
        matrix=matrix, state=_state(statuses), ended=sum(status in FINAL for status in statuses), total=len(entries),
        rows=rows, columns=[_column(entry, rows, found[entry.run.pk]) for entry in entries],
    )  # fmt: skip


def _state(statuses: list[str]) -> str:
    if any(status not in FINAL for status in statuses):
        return "running"
    if all(status == RunStatus.SCORED for status in statuses):
        return "done"
    return "cancelled" if all(status == RunStatus.CANCELLED for status in statuses) else "partial"


def _column(entry: MatrixEntry, rows: list[MatrixEntry], results: dict[str, Result]) -> MatrixColumn:
    def cells(part: str) -> list[Cell]:
        keys = [(row, f"{PREFIX}.{part}[source={row.source}]") for row in rows]
        return [_cell(entry.run, results.get(key), own=row.pk == entry.pk) for row, key in keys]

    return MatrixColumn(
        entry=entry, status=str(entry.run.status), message=entry.run.message,
        clean=_cell(entry.run, results.get(f"{PREFIX}.clean_accuracy")),
        worst=_cell(entry.run, results.get(f"{PREFIX}.worst_case")),
        accuracy=cells("accuracy"), transfer_rate=cells("transfer_rate"),
    )  # fmt: skip


def _cell(run: Run, result: Result | None, *, own: bool = False) -> Cell:
    if result is not None:
        return Cell(result.value, result.low, result.high, result.n, result.state, result.reason, own)
    if run.status in FINAL:
        return Cell(state=str(run.status), reason=run.message, own=own)
    return Cell(state="running" if run.status == RunStatus.RUNNING else "waiting", own=own)


def matrix_export_rows(*, view: MatrixView) -> Iterator[dict[str, Any]]:
    """One flat row for each pair of source and target, raw values, for CSV. All rows have the same keys."""
    for column in view.columns:
        for row, accuracy, rate in zip(view.rows, column.accuracy, column.transfer_rate, strict=True):
            yield {
                "source": row.name, "source_submission": str(row.submission_id),
                "target": column.entry.name, "target_submission": str(column.entry.submission_id),
                "own": accuracy.own, "accuracy": accuracy.value, "accuracy.low": accuracy.low,
                "accuracy.high": accuracy.high, "accuracy.n": accuracy.n, "accuracy.state": accuracy.state,
                "transfer_rate": rate.value, "transfer_rate.low": rate.low, "transfer_rate.high": rate.high,
                "transfer_rate.n": rate.n, "transfer_rate.state": rate.state, "clean_accuracy": column.clean.value,
                **{f"parameters.{key}": value for key, value in sorted(view.matrix.parameters.items())},
            }  # fmt: skip
