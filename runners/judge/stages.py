"""Stages that every submission which is asked goes through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runners.context import FloatArray, Inputs, MetricContext
from runners.contract import RunSpec
from runners.data import Split
from runners.errors import ScorerFault
from runners.judge.asking import predict_all
from runners.judge.consistency import ask_again
from runners.judge.recorder import Recorder
from runners.models.served import ServedModel

#: Once the answers have taken this share of a run's time, nothing is asked that no metric needs.
_SHORT_OF_TIME = 0.5


def ask_split(spec: RunSpec, split: Split, ctx: MetricContext, model: ServedModel, record: Recorder) -> MetricContext:
    """The context with the model's answers."""
    if split.inputs is None:
        raise RuntimeError("the caller checks that there are inputs")
    with record.stage("predict"):
        probabilities = predict_all(
            model, split.inputs, classes=len(spec.task.classes), rng=ctx.rng("judge.order"), progress=record.progress
        )
    _look_for_moods(spec, ctx, split.inputs, probabilities, model, record)
    predictions = probabilities.argmax(axis=1).astype(np.int64)
    return replace(ctx, predictions=predictions, probabilities=probabilities, inputs=split.inputs, model=model)


def _look_for_moods(
    spec: RunSpec, ctx: MetricContext, x: Inputs, probabilities: FloatArray, model: ServedModel, record: Recorder
) -> None:
    """Note where the same question is not always answered the same; not where time is short."""
    if record.seconds.get("predict", 0.0) > _SHORT_OF_TIME * spec.resources.time:
        return
    found = ask_again(model, x, probabilities, rng=ctx.rng("judge.consistency"))
    if found.message:
        record.note(found.message, found.data)


def context_of(spec: RunSpec, split: Split, record: Recorder) -> MetricContext:
    """What is known before any answer."""
    if split.labels is None:
        raise ScorerFault(
            "The data split has no labels, so nothing can be scored on it.",
            hint="Add a labels file to the split that this phase uses.",
        )
    return MetricContext(
        task=spec.task, ids=split.ids, labels=split.labels, input=spec.input, attributes=split.attributes,
        attribute_specs=spec.attributes, clusters=split.clusters, seed=spec.seed, progress=record.progress,
    )  # fmt: skip
