"""Starts a submission in a sandbox, or takes over one that an attempt before left running, as a model to be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from runners.channel import bridging
from runners.channel.listener import Listener
from runners.engines.base import Engine, Job, Sandbox
from runners.errors import ParticipantFault
from runners.models import _faults, _starting
from runners.models.served import ServedModel
from runners.spec.models import InputSpec, ResourceSpec, SubmissionKind, TaskSpec


def open_model(
    engine: Engine,
    *,
    kind: SubmissionKind | str,
    folder: Path | None = None,
    image: str | None = None,
    input: InputSpec,  # noqa: A002 - the contract's word
    task: TaskSpec,
    resources: ResourceSpec,
    run: str,
    attempt: int,
    workdir: Path,
    deadline: float,
    lasting: Path | None = None,
    gpus: tuple[str, ...] = (),
    watch: Callable[[Callable[[], bytes]], None] = lambda _logs: None,
    reserve: float = 0.0,
    part: str = "",
) -> ServedModel:
    """Start a submission, or take over what an attempt before left running, and wait until it is ready.

    Args:
        kind: `container` (needs `image`), `code` (`folder` with main.py) or `model` (`folder` with model.onnx).
        workdir: an existing folder of the platform for the channel's socket.
        deadline: monotonic seconds at which the run's time is over.
        lasting: folder for the socket instead, the same for all attempts: only with it can a sandbox be taken over.
        gpus: devices by UUID that are this run's alone.
        watch: is given the sandbox's `logs` before it is ready, for who wants to follow them; never that of an
            adopted one, which has met secret inputs already.
        reserve: seconds that `excuse` may add to the deadline at most.
        part: a name, for a sandbox of the platform's own beside the submission's.

    Raises `ParticipantFault` (timeout, memory, crash, invalid_output) where it does not come up, and
    `RetryableError` where the engine fails.
    """
    kind = SubmissionKind(kind)
    argv, shown = _starting.command(kind, folder=folder, image=image, input=input, resources=resources)
    bridged, argv = _starting.bridged(engine, image, argv)
    opening = _Opening(
        engine=engine, input=input, task=task, resources=resources, deadline=deadline, workdir=workdir,
        lasting=lasting, bridged=bridged, watch=watch, trusted=kind is SubmissionKind.MODEL, reserve=reserve,
        job=Job(
            run=run, attempt=attempt, limits=_starting.limits(resources, deadline), argv=argv, image=image,
            folder=shown, gpus=gpus, part=part,
        ),
    )  # fmt: skip
    model = opening.attach(engine.adopt) if attempt > 1 and lasting is not None else None
    model = model or opening.attach(engine.start)
    assert model is not None  # only a sandbox to take over may be missing
    return model


@dataclass(frozen=True)
class _Opening:
    """What `open_model` was given. `job` lacks its channel, which is made for each try."""

    engine: Engine
    job: Job
    input: InputSpec
    task: TaskSpec
    resources: ResourceSpec
    deadline: float
    workdir: Path
    lasting: Path | None
    bridged: bridging.Bridged | None
    watch: Callable[[Callable[[], bytes]], None]
    trusted: bool
    reserve: float

    def attach(self, take: Callable[[Job], Sandbox | None]) -> ServedModel | None:
        """A sandbox by `take` (`start` or `adopt` of the engine) that is ready; None where there is none to adopt."""
        listener = Listener(self.workdir) if self.lasting is None else Listener(self.lasting, name=self.job.run)
        try:
            if self.bridged is not None:
                bridging.show(listener.folder)
            limits = _starting.limits(self.resources, self.deadline, reserve=self.reserve)
            sandbox = take(replace(self.job, limits=limits, channel=listener.folder))
        except BaseException:
            listener.close()
            raise
        if sandbox is None:
            listener.close()
            return None
        return self._ready(sandbox, listener, adopted=take == self.engine.adopt)

    def _ready(self, sandbox: Sandbox, listener: Listener, *, adopted: bool) -> ServedModel | None:
        # A cluster's queue is no part of the run's time: such a sandbox tells how long it waited for its machine.
        waited = sandbox.waited
        model = ServedModel(
            sandbox, listener, input=self.input, task=self.task, resources=self.resources,
            deadline=self.deadline + waited, reserve=self.reserve,
        )  # fmt: skip
        model.adopted, model.waited = adopted, waited
        if self.bridged is not None:
            model.ask_for(self.bridged.model)
        if not adopted:  # what it wrote for the attempt before may tell of secret inputs, and it may write it again
            self.watch(model.logs)
        try:
            model.start(trusted=self.trusted)
        except ParticipantFault as fault:
            model.close()
            if adopted:
                return None  # it may have ended for want of a platform: no doing of its own
            raise _faults.with_log(fault, model.logs()) from fault.__cause__
        except BaseException:
            model.close()
            raise
        return model
