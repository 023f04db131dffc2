"""What metrics of time go by besides a clock: the time that is left, an echo to compare with, the node's speed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from runners.context import MetricContext
from runners.contract import RunSpec
from runners.engines.base import Engine
from runners.models.base import Answers
from runners.models.echo import SECONDS, open_echo
from runners.models.served import ServedModel
from runners.registry import metrics


def reserve(spec: RunSpec, engine: Engine) -> float:
    """Seconds that echoes may take beyond the run's own time: some where a metric asks the submission again."""
    known = metrics()
    asking = any(use.use in known and "queries" in known[use.use].needs for use in spec.metrics)
    return SECONDS if asking and engine.patience == 0 else 0.0


def with_timing(
    ctx: MetricContext,
    spec: RunSpec,
    model: ServedModel,
    engine: Engine,
    workdir: Path,
    *,
    calibration: float | None,
) -> MetricContext:
    """The context of a submission that runs; an echo is started only when a metric asks for it."""

    def echo() -> AbstractContextManager[Answers]:
        if spec.input is None:
            raise RuntimeError("the judge checks that there is an input")
        return open_echo(
            engine, model, input=spec.input, task=spec.task, resources=spec.resources, run=spec.run,
            attempt=spec.attempt, workdir=workdir,
        )  # fmt: skip

    return replace(ctx, echo=echo, remaining=model.remaining, calibration=calibration)
