"""What the answers about matrices of transferred examples look like, and how they are filled."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from touchstone.transfers.models import MatrixEntry
from touchstone.transfers.selectors import Cell, MatrixColumn, MatrixView

_NAMES = ("value", "low", "high", "n", "state", "reason", "own")


class MatrixCellOut(serializers.Serializer[Any]):
    """One number with its 95 % interval."""

    value = serializers.FloatField(allow_null=True, help_text="Null unless the state is ok.")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(allow_null=True, help_text="Items that it rests on.")
    state = serializers.CharField(help_text="ok, waiting, running, or why there is no value.")
    reason = serializers.CharField(allow_blank=True)
    own = serializers.BooleanField(help_text="Of a model against itself: under a white-box attack, white-box accuracy.")


class MatrixEntryOut(serializers.Serializer[Any]):
    """A submission of a matrix."""

    submission = serializers.UUIDField()
    participant = serializers.CharField()
    kind = serializers.CharField()


class MatrixColumnOut(MatrixEntryOut):
    """A submission that is asked. `accuracy` and `transfer_rate` have a cell for each row."""

    status = serializers.CharField(help_text="Of its run.")
    message = serializers.CharField(allow_blank=True)
    clean = MatrixCellOut(help_text="Accuracy on the items as they are.")
    worst = MatrixCellOut(help_text="Accuracy where every row's example counts, per item.")
    accuracy = MatrixCellOut(many=True)
    transfer_rate = MatrixCellOut(many=True)


class MatrixOut(serializers.Serializer[Any]):
    """Accuracy of each column on examples that were made against each row."""

    id = serializers.UUIDField()
    competition = serializers.CharField()
    phase = serializers.CharField()
    created_at = serializers.DateTimeField()
    state = serializers.ChoiceField(["running", "done", "partial", "cancelled"])
    ended = serializers.IntegerField(help_text="Runs that have ended.")
    total = serializers.IntegerField()
    parameters = serializers.DictField(help_text="Of the metric robustness.transfer.")
    rows = MatrixEntryOut(many=True)
    columns = MatrixColumnOut(many=True)


class MatricesOut(serializers.Serializer[Any]):
    items = MatrixOut(many=True)
    next = serializers.CharField(allow_blank=True, help_text="Cursor of the next page; empty at the end.")


def matrix_dict(view: MatrixView) -> dict[str, Any]:
    """A matrix as plain values."""
    phase = view.matrix.phase
    return {
        "id": view.matrix.pk, "competition": phase.competition.slug, "phase": phase.slug,
        "created_at": view.matrix.created_at, "state": view.state, "ended": view.ended, "total": view.total,
        "parameters": view.matrix.parameters, "rows": [_entry(row) for row in view.rows],
        "columns": [_column(column) for column in view.columns],
    }  # fmt: skip


def _entry(entry: MatrixEntry) -> dict[str, Any]:
    return {"submission": entry.submission_id, "participant": entry.name, "kind": entry.submission.kind}


def _column(column: MatrixColumn) -> dict[str, Any]:
    return {
        **_entry(column.entry), "status": column.status, "message": column.message, "clean": _cell(column.clean),
        "worst": _cell(column.worst), "accuracy": [_cell(cell) for cell in column.accuracy],
        "transfer_rate": [_cell(cell) for cell in column.transfer_rate],
    }  # fmt: skip


def _cell(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in _NAMES}
