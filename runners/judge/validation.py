"""The validation split: asked like the phase's own, so that thresholds and mitigations are fitted on other items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from runners.context import FloatArray, IntArray, MetricContext
from runners.contract import RunSpec
from runners.data import Split, load_split
from runners.errors import ScorerFault
from runners.judge.asking import predict_all
from runners.judge.recorder import Recorder
from runners.models.base import Model


def load_validation(
    spec: RunSpec, folder: Path | None, *, inputs: bool = True, scratch: Path | None = None
) -> Split | None:
    """The validation split of the phase, or None where it has none; `inputs`: whether they are needed.

    Raises:
        ScorerFault: the split is not sound, or lacks labels or inputs.
    """
    if folder is None or spec.validation is None:
        return None
    split = load_split(folder, spec, inputs=inputs, scratch=scratch)
    parts = (("labels", split.labels), *((("inputs", split.inputs),) if inputs else ()))
    lacking = [part for part, found in parts if found is None]
    if lacking:
        raise ScorerFault(
            f"The validation split {spec.validation.name!r} has no {' and no '.join(lacking)}: nothing can be fitted.",
            hint="Add them to the split, or remove `validation` from the phase.",
        )
    return split


def answered(
    split: Split, ctx: MetricContext, predictions: IntArray, probabilities: FloatArray | None
) -> MetricContext:
    """The validation split with answers; `ctx` is the context of the phase's own split."""
    if split.labels is None:
        raise RuntimeError("`load_validation` checks that there are labels")
    return replace(
        ctx, ids=split.ids, labels=split.labels, attributes=split.attributes, clusters=split.clusters,
        inputs=split.inputs, predictions=predictions, probabilities=probabilities, validation=None,
    )  # fmt: skip


def ask_validation(split: Split, ctx: MetricContext, model: Model, record: Recorder) -> MetricContext:
    """The validation split with the answers of a model.

    Raises:
        ParticipantFault: from the model, where it dies, is late or answers nonsense.
    """
    if split.inputs is None:
        raise RuntimeError("`load_validation` checks that there are inputs")
    with record.stage("validate"):
        probabilities = predict_all(
            model, split.inputs, classes=len(ctx.task.classes), rng=ctx.rng("judge.validation"),
            progress=record.progress,
        )  # fmt: skip
    return answered(split, ctx, probabilities.argmax(axis=1).astype(np.int64), probabilities)
