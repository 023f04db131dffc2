"""What Slurm starts on a compute node: runs one sandbox there, and carries its channel, log and end to the judge.

`python -m runners.engines._slurm_step JOBFILE`. The job ends when the judge hangs up: a sandbox never outlives it.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from uuid import uuid4

from runners.channel.bridging import PORT_LABEL
from runners.channel.listener import Listener
from runners.engines import _cgroups, _limits
from runners.engines import _slurm_link as link
from runners.engines._relay import Pipe
from runners.engines._slurm_job import LOG_FILE, REPORT_FILE, Report, StepJob
from runners.engines.base import Engine, Exit, ReadsImages, Sandbox
from runners.errors import ParticipantFault, RetryableError, UserError

_PAUSE = 0.2
_TELL = 1.0
_DRAIN = 2.0
#: Exit codes of a process ended by SIGTERM or SIGKILL.
_BY_SIGNAL = (128 + 15, 128 + 9)
_NVIDIA = Path("/proc/driver/nvidia/gpus")


class Judge:
    """The step's side of its conversation.

    `end` is set once the judge, or Slurm, wants it to end; `cancelled`: it was Slurm, or the network failed.
    """

    def __init__(self, job: StepJob) -> None:
        self.end = threading.Event()
        self.cancelled = False
        self._job = job
        self._log = b""
        self._lock = threading.Lock()
        self._connection = link.dial(job.host, job.port, job.secret, link.CONTROL)
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, kind: str, *, data: bytes = b"", **more: object) -> None:
        """A judge that cannot be told has gone: the job ends."""
        with self._lock:
            try:
                link.send(self._connection, {"kind": kind, **more}, data)
            except OSError:
                self.end.set()

    def tell_log(self, log: bytes, peak: int | None) -> None:
        """What is new since last time."""
        if log.startswith(self._log):
            self.tell("log", data=log[len(self._log) :], peak=peak)
        else:
            self.tell("log", data=log, anew=True, peak=peak)
        self._log = log

    def dial(self) -> socket.socket:
        """A connection for one that the sandbox made. Raises `OSError`."""
        return link.dial(self._job.host, self._job.port, self._job.secret, link.DATA)

    def lose(self) -> None:
        """The network between the two broke: the run is lost, whoever hears of it."""
        self.cancelled = True
        self.end.set()

    def _listen(self) -> None:
        try:
            while link.receive(self._connection)[0].get("kind") != "kill":
                continue
        except (OSError, ValueError):  # the judge has gone
            self._connection.close()
        self.end.set()


class Channel:
    """Listens on this machine as the judge does on its own, and joins each connection with one to the judge."""

    def __init__(self, judge: Judge, folder: Path) -> None:
        self._judge = judge
        self._listener = Listener(folder)
        self.folder = self._listener.folder
        self._pipes: list[Pipe] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            near = self._listener.accept(_PAUSE)
            if near is None:
                continue
            try:
                far = self._judge.dial()
            except OSError:  # no doing of the sandbox, which would take it for the platform's hanging up
                self._judge.lose()
                near.close()
                continue
            self._pipes = [pipe for pipe in self._pipes if pipe.is_open]
            self._pipes.append(Pipe(near, far, lost=self._judge.lose))

    def drain(self) -> None:
        """Let what the sandbox said before it ended reach the judge."""
        limit = time.monotonic() + _DRAIN
        for pipe in self._pipes:
            pipe.drained(max(0.0, limit - time.monotonic()))

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        for pipe in self._pipes:
            pipe.hang_up()
        self._listener.close()


def main(path: Path) -> int:
    """Carry out a job file; the exit code for Slurm."""
    job = StepJob.model_validate_json(path.read_text())
    number = os.environ.get("SLURM_JOB_ID", str(os.getpid()))
    # As `_slurm_orphans` knows it. The folder is in it because two clusters may share a machine, and both count from 1.
    _limits.NODE = f"slurm.{number}x{hashlib.sha256(bytes(path.parent.resolve())).hexdigest()[:8]}"
    judge = Judge(job)
    signal.signal(signal.SIGTERM, lambda _number, _frame: _stop(judge, _frame))
    judge.tell("up", node=os.environ.get("SLURMD_NODENAME") or socket.gethostname(), job=number)
    try:
        _carry_out(job, judge, path.parent)
    except (RetryableError, ParticipantFault, UserError) as error:
        judge.tell("refused", refusal=_refusal(error))
        return 1
    except Exception:  # a bug, or a machine that is not as it should be: the judge hears of it, Slurm's log has it all
        mark = uuid4().hex[:12]
        sys.stderr.write(f"{mark}\n{traceback.format_exc()}")
        text = f"The step on the compute node failed (id {mark}, in the job's output there)."
        judge.tell("refused", refusal=_refusal(RetryableError(text, code="step_failed")))
        return 1
    return 0


def _carry_out(job: StepJob, judge: Judge, folder: Path) -> None:
    engine = _engine(job.engine)
    _clear_up(engine)
    if job.task == "self-test":
        judge.tell("tested", report=engine.self_test().model_dump(mode="json"))
        return
    with ExitStack() as stack:
        _run(job, engine, judge, stack, folder)


def _clear_up(engine: Engine) -> None:
    """What a step that was killed left on this machine goes; and this one's will."""
    engine.reap(())
    if engine.name == "docker":
        from runners.engines import _slurm_orphans
        from runners.engines.docker import DockerEngine

        if isinstance(engine, DockerEngine):
            _slurm_orphans.reap(engine)
            _slurm_orphans.watch()


def _stop(judge: Judge, _frame: FrameType | None) -> None:
    judge.cancelled = True
    judge.end.set()


def _refusal(error: RetryableError | UserError) -> dict[str, str]:
    verdict = error.verdict.value if isinstance(error, ParticipantFault) else ""
    return {
        "family": type(error).__name__, "verdict": verdict, "message": error.message, "code": error.code,
        "hint": getattr(error, "hint", ""),
    }  # fmt: skip


def _engine(name: str) -> Engine:
    from runners.registry import engines

    engine: Engine = engines()[name]()
    return engine


def _run(job: StepJob, engine: Engine, judge: Judge, stack: ExitStack, folder: Path) -> None:
    image = _image(job, engine)
    _refuse_servers(engine, image)
    channel: Channel | None = None
    if job.channel:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="touchstone-", ignore_cleanup_errors=True))
        channel = Channel(judge, Path(place))
        stack.callback(channel.close)
    gpus, env = _devices(os.environ, job.engine)
    shown = None if channel is None else channel.folder
    sandbox = engine.start(job.engine_job(channel=shown, image=image, gpus=gpus, env=env))
    stack.callback(sandbox.close)
    judge.tell("started", apart=_counts_apart(engine))
    ended = _watch(sandbox, judge)
    if channel is not None:
        channel.drain()
    _report(sandbox, ended, judge, folder)
    if image is not None and job.source is not None:
        sandbox.close()
        engine.image_used(image)


def _watch(sandbox: Sandbox, judge: Judge) -> Exit:
    told = time.monotonic()
    while (ended := sandbox.wait(_PAUSE)) is None:
        if judge.end.is_set():
            sandbox.kill()
        elif time.monotonic() - told >= _TELL:
            told = time.monotonic()
            judge.tell_log(sandbox.logs(), sandbox.peak_memory())
    if ended.code in _BY_SIGNAL and not (ended.memory or ended.timeout):
        judge.end.wait(_PAUSE)  # Slurm's signal may have reached the submission first
    return replace(ended, lost=True) if judge.cancelled and not (ended.memory or ended.timeout) else ended


def _report(sandbox: Sandbox, ended: Exit, judge: Judge, folder: Path) -> None:
    """To the judge, and into the shared folder, in case the connection is what broke."""
    report = Report(**asdict(ended), peak=sandbox.peak_memory())
    judge.tell_log(sandbox.logs(), report.peak)
    (folder / LOG_FILE).write_bytes(sandbox.logs())
    part = folder / f"{REPORT_FILE}.part"
    part.write_text(report.model_dump_json())
    part.replace(folder / REPORT_FILE)
    judge.tell("ended", report=report.model_dump(mode="json"), peak=report.peak)


def _image(job: StepJob, engine: Engine) -> str | None:
    """The image on this machine: it may have come with an earlier run."""
    source = job.source
    if source is None:
        return job.image
    if source.pull is not None:
        return engine.pull_image(source.pull, limit=source.limit)
    return engine.load_image(Path(source.archive), limit=source.limit)


def _refuse_servers(engine: Engine, image: str | None) -> None:
    """An image of a server that listens on TCP needs a program beside it that only the judge's own machine gives."""
    if image is None or not isinstance(engine, ReadsImages) or PORT_LABEL not in engine.image_config(image).labels:
        return
    text = f"The Slurm engine runs no images with the label {PORT_LABEL}: they need a node with the docker engine."
    raise RetryableError(text, code="no_bridge")


def _counts_apart(engine: Engine) -> bool:
    """Whether the sandbox's memory is limited and counted in a cgroup of its own, not with the step's."""
    return engine.name == "docker" or bool(_cgroups.parents())


def _devices(environ: Mapping[str, str], engine: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The devices Slurm gave this job, by UUID where the driver tells them; and how CUDA is told of them.

    Docker shows a container its own devices alone and counts them anew: the host's numbers would hide them.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES", "")
    given = environ.get("SLURM_JOB_GPUS") or visible
    names = tuple(name for name in given.split(",") if name)
    known = _uuids() if names else {}
    told = {"CUDA_VISIBLE_DEVICES": visible} if visible and engine != "docker" else {}
    return tuple(known.get(name, name) for name in names), told


def _uuids() -> dict[str, str]:
    """UUID by minor number, which is what Slurm counts by."""
    found = {}
    for path in _NVIDIA.glob("*/information"):
        text = path.read_text()
        uuid, minor = re.search(r"GPU UUID:\s*(\S+)", text), re.search(r"Device Minor:\s*(\d+)", text)
        if uuid and minor:
            found[minor[1]] = uuid[1]
    return found


if __name__ == "__main__":
    # Not through the interpreter's shutdown: threads that wait on a socket would hold it up.
    status = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(status)
