"""One attempt: load, start, try the sample, predict, measure, and say how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import JsonValue

from runners.contract import MetricResult, RunEvent, RunResult, RunSpec, Verdict
from runners.data import load_split
from runners.engines.base import Engine
from runners.errors import RetryableError, RunFault, ScorerFault
from runners.example_store import ExampleStore
from runners.judge.endpoint import Given, asked_endpoint
from runners.judge.environment import environment
from runners.judge.examples import Workshop, make_examples
from runners.judge.facts import submission_facts
from runners.judge.foresee import ahead_of, catch_up, end_if_hopeless, foresee, smoke
from runners.judge.livelog import LiveLog, text
from runners.judge.metrics import measure_all
from runners.judge.recorder import Recorder
from runners.judge.stages import ask_split, context_of
from runners.judge.submission import Startable, only_file, prepare
from runners.judge.timing import reserve, with_timing
from runners.judge.validation import answered, ask_validation, load_validation
from runners.models.opening import open_model
from runners.models.predictions import read_predictions
from runners.models.served import ServedModel
from runners.outbound import Reach
from runners.spec.models import SubmissionKind


@dataclass(frozen=True)
class LocalFiles:
    """Local folders with the files under the names of their `FileRef`s. Only `split` and `submission` must be there."""

    split: Path
    sample: Path | None
    submission: Path
    validation: Path | None = None
    surrogates: Path | None = None


@dataclass(frozen=True)
class Place:
    """What the node gives an attempt besides files.

    `lasting`: a folder that outlives a killed attempt, so that the next one finds the sandbox it left running.
    `gpus`: devices by UUID that are this run's alone. `neighbours`: how many other runs share the machine now.
    `calibration`: multiply-adds a second of one of its processors, None where that was not measured.
    `examples`: keeps what was made against surrogates from one run to the next. `reach`: where endpoints may be.
    """

    lasting: Path | None = None
    gpus: tuple[str, ...] = ()
    neighbours: Callable[[], int] = lambda: 0
    calibration: float | None = None
    examples: ExampleStore | None = None
    reach: Reach = field(default_factory=Reach)


@dataclass
class _Outcome:
    """What there is to report so far; it stays where a fault ends the run."""

    results: list[MetricResult] = field(default_factory=list)
    log: str = ""
    sample_log: str = ""
    estimated: float | None = None
    peak_memory: int | None = None
    endpoint: dict[str, JsonValue] = field(default_factory=dict)


def evaluate(
    *,
    spec: RunSpec,
    files: LocalFiles,
    engine: Engine | None,
    workdir: Path,
    emit: Callable[[RunEvent], None],
    place: Place | None = None,
) -> RunResult:
    """Evaluate one submission. Faults of the participant or organiser come back as a verdict.

    Args:
        engine: what runs foreign code; None only where the submission is a file of predictions.
        workdir: an empty folder of this attempt's own.
        emit: takes each event as it happens, one at a time; log lines come from another thread.
        place: default: nothing that outlives the attempt, no devices, no neighbours.

    Raises:
        RetryableError: the platform's surroundings failed.
    """
    record, outcome = Recorder(emit), _Outcome()
    place = place or Place()
    neighbours = place.neighbours()
    fault: RunFault | None = None
    try:
        if spec.submission.kind is SubmissionKind.PREDICTIONS:
            _judge_file(spec, files, record, outcome)
        elif spec.submission.kind is SubmissionKind.ENDPOINT:
            _judge_endpoint(spec, files, engine, workdir, place, record, outcome)
        else:
            _judge_model(spec, files, engine, workdir, place, record, outcome)
    except RunFault as error:
        fault = error
    return RunResult(
        run=spec.run,
        attempt=spec.attempt,
        verdict=Verdict.OK if fault is None else fault.verdict,
        code="" if fault is None else fault.code,
        message="" if fault is None else fault.message,
        hint="" if fault is None else fault.hint,
        results=tuple(outcome.results),
        stages=record.seconds,
        environment=environment(
            seed=spec.seed, engine="" if engine is None else engine.name,
            neighbours=max(neighbours, place.neighbours()), gpus=place.gpus,
        ) | ({"endpoint": outcome.endpoint} if outcome.endpoint else {}),
        peak_memory=outcome.peak_memory,
        log=outcome.log,
        sample_log=outcome.sample_log,
        estimated_seconds=None if outcome.estimated is None else round(outcome.estimated, 3),
    )  # fmt: skip


def _judge_file(spec: RunSpec, files: LocalFiles, record: Recorder, outcome: _Outcome) -> None:
    with record.stage("load"):
        split = load_split(files.split, spec, inputs=False)
        ctx = context_of(spec, split, record)
        validation = load_validation(spec, files.validation, inputs=False)
    with record.stage("predict"):
        file = only_file(files.submission, what="predictions")
        also = () if validation is None else validation.ids
        given = read_predictions(file, task=spec.task, ids=split.ids, also=also)
    ctx = replace(ctx, predictions=given.predictions, probabilities=given.probabilities)
    if validation is not None and given.also is not None:
        ctx = replace(ctx, validation=answered(validation, ctx, given.also.predictions, given.also.probabilities))
    measure_all(spec, ctx, record, outcome.results)


def _judge_model(
    spec: RunSpec,
    files: LocalFiles,
    engine: Engine | None,
    workdir: Path,
    place: Place,
    record: Recorder,
    outcome: _Outcome,
) -> None:
    if engine is None:
        raise RetryableError("This node has no engine that may run foreign code.", code="no_engine")
    with record.stage("load"):
        split = load_split(files.split, spec, scratch=workdir)
        ctx = context_of(spec, split, record)
        sample = load_split(files.sample, spec) if files.sample is not None else None
        validation = load_validation(spec, files.validation, scratch=workdir)
    if split.inputs is None or spec.input is None:
        raise ScorerFault(
            "The data split has no inputs, so a model cannot be asked.",
            hint="Add inputs to the split, or accept predictions only.",
        )
    if files.surrogates is not None:
        shop = Workshop(engine, files.surrogates, workdir, place.gpus, place.examples)
        ctx = replace(ctx, surrogates=make_examples(spec, replace(ctx, inputs=split.inputs), shop, record))
    with record.stage("prepare"):
        startable = prepare(spec, files.submission, engine=engine, workdir=_files_folder(spec, workdir, place))
    log = LiveLog(record.log, limit=spec.resources.log)
    with ExitStack() as stack:
        stack.callback(_give_back, startable, engine, record)
        stack.callback(log.end)
        started = time.monotonic()
        deadline = started + spec.resources.time
        try:
            with record.stage("start"):
                model = _open(spec, startable, engine, workdir, place, deadline, log)
        except RunFault as fault:
            # All of it was written before anything was asked.
            outcome.log = outcome.sample_log = text(fault.log)
            raise
        if model.adopted:  # it has met secret inputs for the attempt before, and may end at the sample this time
            log.end_of_public()
        stack.callback(_keep, model, log, outcome)
        stack.enter_context(model)  # closed first: only then has the last of what it wrote arrived
        if model.adopted:
            record.note("The submission was still running since the last attempt and was taken over.")
        also = 0 if validation is None else validation.n
        ahead = ahead_of(spec, ctx, model, also=also)
        pace = smoke(spec, split, sample, model, ahead, log, record)
        if pace is not None:
            found = foresee(spec, ahead, model, pace, record, elapsed=time.monotonic() - started - model.waited)
            outcome.estimated = found.expected
            end_if_hopeless(found, spec.resources.time)
        asked = ask_split(spec, split, ctx, model, record)
        if pace is None:
            catch_up(spec, ahead, record, elapsed=time.monotonic() - started - model.waited)
        asked = replace(asked, facts=submission_facts(spec, files.submission, model))
        asked = with_timing(asked, spec, model, engine, workdir, calibration=None if place.gpus else place.calibration)
        if validation is not None:
            asked = replace(asked, validation=ask_validation(validation, asked, model, record))
        measure_all(spec, asked, record, outcome.results)


def _judge_endpoint(
    spec: RunSpec,
    files: LocalFiles,
    engine: Engine | None,
    workdir: Path,
    place: Place,
    record: Recorder,
    outcome: _Outcome,
) -> None:
    with record.stage("load"):
        split = load_split(files.split, spec, scratch=workdir)
        ctx = context_of(spec, split, record)
        sample = load_split(files.sample, spec) if files.sample is not None else None
        validation = load_validation(spec, files.validation, scratch=workdir)
    if files.surrogates is not None and split.inputs is not None:
        if engine is None:
            raise RetryableError("This node has no engine that surrogates may run in.", code="no_engine")
        shop = Workshop(engine, files.surrogates, workdir, (), place.examples)
        ctx = replace(ctx, surrogates=make_examples(spec, replace(ctx, inputs=split.inputs), shop, record))
    given = Given(split, sample, validation, ctx)
    with asked_endpoint(spec, given, place.reach, record, outcome.endpoint) as visit:
        try:
            ctx = visit.ask()
            measure_all(spec, ctx, record, outcome.results)
            visit.look_for_drift(ctx)
        finally:
            outcome.log = outcome.sample_log = text(visit.log())


def _files_folder(spec: RunSpec, workdir: Path, place: Place) -> Path:
    """Where the submission's own files are put: a sandbox that is taken over later still reads them there."""
    if place.lasting is None:
        return workdir
    folder = place.lasting / f"{spec.run}.files"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _open(
    spec: RunSpec, startable: Startable, engine: Engine, workdir: Path, place: Place, deadline: float, log: LiveLog
) -> ServedModel:
    if spec.input is None:
        raise RuntimeError("the caller checks that there is an input")
    return open_model(
        engine, kind=spec.submission.kind, folder=startable.folder, image=startable.image,
        input=spec.input, task=spec.task, resources=spec.resources, run=spec.run, attempt=spec.attempt,
        workdir=workdir, deadline=deadline, lasting=place.lasting, gpus=place.gpus, watch=log.watch,
        reserve=reserve(spec, engine),
    )  # fmt: skip


def _give_back(startable: Startable, engine: Engine, record: Recorder) -> None:
    """The image may go; that it could not be removed costs nobody a score."""
    if startable.image is None or not startable.loaded:
        return
    try:
        engine.image_used(startable.image)
    except RetryableError as error:
        record.note(f"The image stays on the node: {error.message}")


def _keep(model: ServedModel, log: LiveLog, outcome: _Outcome) -> None:
    """What the sandbox said and used: it can be asked after its end, however the run ended."""
    log.end()
    last = model.logs()
    outcome.log = text(log.kept(last))
    outcome.sample_log = outcome.log if log.public is None else log.public
    outcome.peak_memory = model.peak_memory()
