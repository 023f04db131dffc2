"""The contract of an engine: something that runs one hostile process and tells how it ended.

Which failures are results and which are the engine's own:

* a process that crashes, hangs, or is killed for memory is a *result* (`Exit`);
* an engine that cannot start it for reasons of its own raises `RetryableError`;
* an image that cannot be started through the participant's doing raises `ParticipantFault`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from runners.contract import EngineReport, GpuInfo, ImagePull


@dataclass(frozen=True)
class Limits:
    """Bytes and seconds; `memory` includes swap."""

    memory: int
    cpus: float
    seconds: float
    tmp: int
    pids: int = 128
    files: int = 1024
    log: int = 2**20


@dataclass(frozen=True)
class Job:
    """One sandboxed process.

    `image`: an image of the engine by id or digest; None is the platform's own Python runtime.
    `argv`: what to run; empty keeps the image's own entry point.
    `folder`: a host folder shown read-only at `/submission`, or None.
    `channel`: a host folder shown at `/run/touchstone`; the platform listens on `channel.sock` in it.
    `gpus`: devices by UUID that this job has for itself.
    `part`: a name that tells it from the run's other sandbox; empty for the submission itself.
    """

    run: str
    attempt: int
    limits: Limits
    argv: tuple[str, ...] = ()
    image: str | None = None
    folder: Path | None = None
    channel: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    gpus: tuple[str, ...] = ()
    part: str = ""


@dataclass(frozen=True)
class ImageConfig:
    """What an image says of itself: how it is started (entry point and arguments), and its labels."""

    command: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exit:
    """How a process ended. `memory` is true if anything in the sandbox was killed for memory.

    `lost`: it was ended from outside (by a person, another program or the host), through no doing of its own.
    """

    code: int | None
    memory: bool = False
    timeout: bool = False
    killed: bool = False
    lost: bool = False


class Sandbox(Protocol):
    """A started job. `waited`: seconds it waited for a machine of a cluster, which are no part of its time.

    `samples_memory`: whether its peak is the largest of some looks, which miss what was short, not the kernel's.
    """

    waited: float
    samples_memory: bool

    def poll(self) -> Exit | None:
        """None while it runs."""
        ...

    def wait(self, seconds: float) -> Exit | None:
        """Wait at most so long; None if it still runs."""
        ...

    def kill(self) -> None:
        """End every process of the sandbox. Safe to repeat."""
        ...

    def logs(self) -> bytes:
        """The last bytes of stdout and stderr, at most `limits.log`."""
        ...

    def peak_memory(self) -> int | None:
        """Peak bytes of the whole sandbox, or None where the engine cannot tell."""
        ...

    def close(self) -> None:
        """Kill, and remove everything it left. Safe to repeat."""
        ...


class Engine(Protocol):
    """Runs jobs. `name` is its registered name; `takes_images`: it can run images of participants.

    `patience`: seconds that `start` may wait for a machine of a cluster, on top of the run's own time; 0 here.
    `devices`: the GPUs of a cluster that runs may have, which only the cluster tells apart; None: those of this host.
    """

    name: str
    takes_images: bool
    patience: float
    devices: tuple[GpuInfo, ...] | None

    def self_test(self) -> EngineReport:
        """Really start sandboxes and try to break out; say what is not enforced."""
        ...

    def start(self, job: Job) -> Sandbox: ...

    def adopt(self, job: Job) -> Sandbox | None:
        """Take over what an attempt of the same run left running on this node when its supervisor was killed.

        None where there is nothing to take over, or not with the same image, limits and channel: `start` replaces it.
        """
        ...

    def pull_image(self, pull: ImagePull, *, limit: int) -> str:
        """Take an image from a registry by its digest; return the id to run it by.

        Raises `UserError` for an image that is refused, `RetryableError` where registry or engine fail.
        """
        ...

    def load_image(self, archive: Path, *, limit: int) -> str:
        """Take a checked `docker save` archive; return the id to run it by.

        Raises `UserError` for an archive that is refused, `RetryableError` where this node cannot take it.
        """
        ...

    def has_image(self, image: str) -> bool: ...

    def image_used(self, image: str) -> None:
        """A run of an image from `load_image` is over: it may go where the node has no room to keep it."""
        ...

    def reap(self, keep: Collection[str]) -> list[str]:
        """Remove what belongs to runs not in `keep`; return what was removed.

        `keep` is asked after the sandboxes were listed, so that it may answer for the moment it is asked.
        """
        ...


@runtime_checkable
class ReadsImages(Protocol):
    """An engine that can tell what an image says of itself."""

    def image_config(self, image: str) -> ImageConfig: ...
