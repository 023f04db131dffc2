"""A server of the platform's own that answers at once: what a question costs besides the submission's own work."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runners.engines.base import Engine
from runners.errors import ParticipantFault, RetryableError
from runners.models.base import NoEcho
from runners.models.opening import open_model
from runners.models.served import ServedModel
from runners.spec.models import InputSpec, ResourceSpec, SubmissionKind, TaskSpec

#: Seconds of a run that echoes may take together; they are no part of the submission's time.
SECONDS = 60.0
_START_SECONDS = 20.0
#: Bytes an echo may take: Python, NumPy, and the largest question a few times.
_MEMORY = 512 * 2**20
_PROGRAM = '''\
"""Answers every question at once: each class has the same probability."""

import numpy as np

from touchstone_client import serve

ANSWERS = {{}}


def predict(x):
    if len(x) not in ANSWERS:
        ANSWERS[len(x)] = np.full((len(x), {classes}), 1 / {classes}, dtype=np.float32)
    return ANSWERS[len(x)]


serve(predict)
'''


@dataclass
class Echo:
    """Asked like the submission: `predict` has the same inputs, and its answer the same shape.

    Every second of it is given back to the submission's time.
    """

    submission: ServedModel
    served: ServedModel

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Even probabilities, (n, classes). Raises `NoEcho` where its time is over or its sandbox was lost."""
        self.served.follow(self.submission)
        started = time.monotonic()
        try:
            return self.served.predict(x)
        except (ParticipantFault, RetryableError) as error:
            raise NoEcho(f"the echo of this run did not answer: {error.message}") from error
        finally:
            self.submission.excuse(time.monotonic() - started)


@contextmanager
def open_echo(
    engine: Engine,
    submission: ServedModel,
    *,
    input: InputSpec,  # noqa: A002 - the contract's word
    task: TaskSpec,
    resources: ResourceSpec,
    run: str,
    attempt: int,
    workdir: Path,
) -> Iterator[Echo]:
    """An echo in a sandbox of its own, of the same engine and with the same share of processors, while it is used.

    Raises `NoEcho` where there can be none: on a cluster, where a second sandbox may run on another machine; for a
    server that is reached through a bridge, which an echo has not; without time left.
    """
    if engine.patience > 0:
        raise NoEcho("on a cluster an echo may run on another machine than the submission")
    if submission.bridged:
        raise NoEcho("the submission is reached through a bridge to its TCP port, which an echo has not")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="echo-", dir=workdir) as made:
        try:
            served = _start(
                engine, Path(made), input=input, task=task, resources=resources, run=run, attempt=attempt,
                seconds=submission.reserve,
            )  # fmt: skip
        finally:
            submission.excuse(time.monotonic() - started)
        try:
            yield Echo(submission, served)
        finally:
            ended = time.monotonic()
            served.close()
            submission.excuse(time.monotonic() - ended)


def _start(
    engine: Engine,
    folder: Path,
    *,
    input: InputSpec,  # noqa: A002
    task: TaskSpec,
    resources: ResourceSpec,
    run: str,
    attempt: int,
    seconds: float,
) -> ServedModel:
    """`seconds`: what it may take altogether."""
    if seconds <= 0:
        raise NoEcho("the echoes of this run took all of the time that they may take")
    shown = folder / "submission"
    shown.mkdir()
    (shown / "main.py").write_text(_PROGRAM.format(classes=len(task.classes)), encoding="utf-8")
    own = ResourceSpec(cpus=resources.cpus, memory=_MEMORY, time=seconds, start=_START_SECONDS)
    try:
        return open_model(
            engine, kind=SubmissionKind.CODE, folder=shown, input=input, task=task, resources=own, run=run,
            attempt=attempt, workdir=folder, deadline=time.monotonic() + seconds, part="echo",
        )  # fmt: skip
    except (ParticipantFault, RetryableError) as error:
        raise NoEcho(f"the node could not start an echo: {error.message}") from error
