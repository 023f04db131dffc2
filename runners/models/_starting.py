"""What `open_model` starts: the program of each kind of submission, and the limits of its sandbox."""

from __future__ import annotations

import time
from pathlib import Path

from runners.channel import bridging
from runners.contract import Verdict
from runners.engines.base import Engine, Limits, ReadsImages
from runners.errors import ParticipantFault
from runners.models import _faults
from runners.spec.models import InputSpec, ResourceSpec, SubmissionKind

_MODEL_FILE = "model.onnx"


def limits(resources: ResourceSpec, deadline: float, *, reserve: float = 0.0) -> Limits:
    """What the sandbox may take until the deadline. `reserve`: seconds beyond it that it is left running at most.

    Raises `ParticipantFault` where the deadline is over.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise ParticipantFault(Verdict.TIMEOUT, "The run's time was over before the submission was started.")
    return Limits(
        memory=resources.memory, cpus=resources.cpus, seconds=left + reserve, tmp=resources.disk, log=resources.log
    )  # fmt: skip


def bridged(
    engine: Engine, image: str | None, argv: tuple[str, ...]
) -> tuple[bridging.Bridged | None, tuple[str, ...]]:
    """What an image of a server that listens on TCP asks for, and how it is then started."""
    if image is None or not isinstance(engine, ReadsImages):
        return None, argv
    told = engine.image_config(image)
    found = bridging.wanted(told.labels, told.command)
    return found, argv if found is None else found.argv(told.command)


def command(
    kind: SubmissionKind,
    *,
    folder: Path | None,
    image: str | None,
    input: InputSpec,  # noqa: A002
    resources: ResourceSpec,
) -> tuple[tuple[str, ...], Path | None]:
    """What to run, empty for an image's own program; and the folder to show it."""
    if kind is SubmissionKind.CONTAINER:
        if image is None:
            raise ValueError("a container submission needs an image")
        return (), None
    if folder is None:
        raise ValueError(f"a {kind} submission needs a folder")
    _faults.make_readable(folder)
    if kind is SubmissionKind.CODE:
        return ("python", "main.py"), folder
    options: tuple[str, ...] = ("--output", input.output, "--memory", str(resources.memory))
    if input.sizes is not None:  # the file leaves open what an item's usual size is
        options += ("--shape", *map(str, input.shape))
    return ("python", "-m", "runners.models.weights_server", f"/submission/{_MODEL_FILE}", *options), folder
