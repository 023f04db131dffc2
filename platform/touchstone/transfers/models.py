"""Matrices of transferred examples: every submission against the examples that were made against every model."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from touchstone.competitions.models import Phase
from touchstone.evaluations.models import Run
from touchstone.submissions.models import Submission


class Matrix(models.Model):
    """One matrix of one phase. `parameters` are those of the metric `robustness.transfer`, without its surrogates."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="matrices")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    parameters = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "id"]


class MatrixEntry(models.Model):
    """A submission of a matrix: a column, and a row too where it is a model.

    `run` is that of a copy of the submission. `name` is the participant's when the matrix was asked for.
    """

    matrix = models.ForeignKey(Matrix, on_delete=models.CASCADE, related_name="entries")
    position = models.PositiveSmallIntegerField()
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="+")
    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="matrix_entry")
    name = models.CharField(max_length=100)
    is_source = models.BooleanField()

    class Meta:
        ordering = ["matrix", "position"]
        constraints = [
            models.UniqueConstraint(fields=["matrix", "position"], name="matrix_position_unique"),
            models.UniqueConstraint(fields=["matrix", "submission"], name="matrix_submission_unique"),
        ]

    @property
    def source(self) -> str:
        """Its name among the surrogates: nobody's own."""
        return f"s{self.position}"
