"""One attempt: load, start, try the sample, predict, measure, and say how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from runners.context import MetricContext
from runners.contract import MetricResult, RunEvent, RunResult, RunSpec, Verdict
from runners.data import Split, load_split
from runners.engines.base import Engine
from runners.errors import RetryableError, RunFault, ScorerFault
from runners.judge.asking import predict_all, try_sample
from runners.judge.environment import environment
from runners.judge.metrics import measure_all
from runners.judge.recorder import Recorder
from runners.judge.submission import Startable, only_file, prepare
from runners.models.predictions import read_predictions
from runners.models.served import ServedModel, open_model
from runners.spec.models import SubmissionKind


@dataclass(frozen=True)
class LocalFiles:
    """Local folders with the files under the names of their `FileRef`s. `sample` may be absent."""

    split: Path
    sample: Path | None
    submission: Path


@dataclass
class _Outcome:
    """What there is to report so far; it stays where a fault ends the run."""

    results: list[MetricResult] = field(default_factory=list)
    log: str = ""
    peak_memory: int | None = None


def evaluate(
    *,
    spec: RunSpec,
    files: LocalFiles,
    engine: Engine | None,
    workdir: Path,
    emit: Callable[[RunEvent], None],
) -> RunResult:
    """Evaluate one submission. Faults of the participant or organiser come back as a verdict.

    Args:
        engine: what runs foreign code; None only where the submission is a file of predictions.
        workdir: an empty folder of this attempt's own.
        emit: takes each event as it happens.

    Raises:
        RetryableError: the platform's surroundings failed.
    """
    record, outcome = Recorder(emit), _Outcome()
    fault: RunFault | None = None
    try:
        if spec.submission.kind is SubmissionKind.PREDICTIONS:
            _judge_file(spec, files, record, outcome)
        else:
            _judge_model(spec, files, engine, workdir, record, outcome)
    except RunFault as error:
        fault = error
        outcome.log = outcome.log or _text(error.log)
    return RunResult(
        run=spec.run,
        attempt=spec.attempt,
        verdict=Verdict.OK if fault is None else fault.verdict,
        code="" if fault is None else fault.code,
        message="" if fault is None else fault.message,
        hint="" if fault is None else fault.hint,
        results=tuple(outcome.results),
        stages=record.seconds,
        environment=environment(seed=spec.seed, engine="" if engine is None else engine.name),
        peak_memory=outcome.peak_memory,
        log=outcome.log,
    )


def _judge_file(spec: RunSpec, files: LocalFiles, record: Recorder, outcome: _Outcome) -> None:
    with record.stage("load"):
        split = load_split(files.split, spec, inputs=False)
        ctx = _context(spec, split, record)
    with record.stage("predict"):
        given = read_predictions(only_file(files.submission, what="predictions"), task=spec.task, ids=split.ids)
    ctx = replace(ctx, predictions=given.predictions, probabilities=given.probabilities)
    measure_all(spec, ctx, record, outcome.results)


def _judge_model(
    spec: RunSpec, files: LocalFiles, engine: Engine | None, workdir: Path, record: Recorder, outcome: _Outcome
) -> None:
    if engine is None:
        raise RetryableError("This node has no engine that may run foreign code.", code="no_engine")
    with record.stage("load"):
        split = load_split(files.split, spec)
        ctx = _context(spec, split, record)
        sample = load_split(files.sample, spec) if files.sample is not None else None
    if split.inputs is None or spec.input is None:
        raise ScorerFault(
            "The data split has no inputs, so a model cannot be asked.",
            hint="Add inputs to the split, or accept predictions only.",
        )
    with record.stage("prepare"):
        startable = prepare(spec, files.submission, engine=engine, workdir=workdir)
    with ExitStack() as stack:
        stack.callback(_give_back, startable, engine, record)
        deadline = time.monotonic() + spec.resources.time
        with record.stage("start"):
            model = stack.enter_context(_open(spec, startable, engine, workdir, deadline))
        stack.callback(_keep, model, outcome)
        _ask_and_measure(spec, split, sample, ctx, model, record, outcome)


def _open(spec: RunSpec, startable: Startable, engine: Engine, workdir: Path, deadline: float) -> ServedModel:
    if spec.input is None:
        raise RuntimeError("the caller checks that there is an input")
    return open_model(
        engine, kind=spec.submission.kind, folder=startable.folder, image=startable.image,
        input=spec.input, task=spec.task, resources=spec.resources, run=spec.run, attempt=spec.attempt,
        workdir=workdir, deadline=deadline,
    )  # fmt: skip


def _give_back(startable: Startable, engine: Engine, record: Recorder) -> None:
    """The image may go; that it could not be removed costs nobody a score."""
    if startable.image is None or not startable.loaded:
        return
    try:
        engine.image_used(startable.image)
    except RetryableError as error:
        record.note(f"The image stays on the node: {error.message}")


def _keep(model: ServedModel, outcome: _Outcome) -> None:
    """What the sandbox said and used: taken before it is closed, however the run ended."""
    outcome.log = _text(model.logs())
    outcome.peak_memory = model.peak_memory()


def _text(log: bytes) -> str:
    """The server keeps a log as text, where a NUL has no place."""
    return log.decode("utf-8", "replace").replace("\x00", "\ufffd")


def _ask_and_measure(
    spec: RunSpec,
    split: Split,
    sample: Split | None,
    ctx: MetricContext,
    model: ServedModel,
    record: Recorder,
    outcome: _Outcome,
) -> None:
    if split.inputs is None:
        raise RuntimeError("the caller checks that there are inputs")
    if sample is not None and sample.inputs is not None:
        with record.stage("sample"):
            try_sample(model, sample.inputs)
    with record.stage("predict"):
        probabilities = predict_all(
            model, split.inputs, classes=len(spec.task.classes), rng=ctx.rng("judge.order"), progress=record.progress
        )
    predictions = probabilities.argmax(axis=1).astype(np.int64)
    asked = replace(ctx, predictions=predictions, probabilities=probabilities, inputs=split.inputs, model=model)
    measure_all(spec, asked, record, outcome.results)


def _context(spec: RunSpec, split: Split, record: Recorder) -> MetricContext:
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
