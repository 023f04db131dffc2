"""The judge's own process: forked from a warm parent, under limits of its own, talking through a pipe."""

from __future__ import annotations

import ctypes
import errno
import multiprocessing
import os
import resource
import signal
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from runners.contract import RunEvent, RunResult, RunSpec, Verdict
from runners.engines.base import Engine
from runners.errors import RetryableError
from runners.example_store import ExampleStore
from runners.node.calibration import calibration
from runners.node.ledger import Ledger
from runners.outbound import Reach

log = structlog.get_logger(__name__)
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class JudgeProcess:
    """One attempt in a child. Messages are `RunEvent`s, then at most one `RunResult`."""

    def __init__(
        self,
        *,
        spec: RunSpec,
        folder: Path,
        engine: Engine | None,
        memory: int,
        lasting: Path | None = None,
        gpus: tuple[str, ...] = (),
        ledger: Ledger | None = None,
        examples: ExampleStore | None = None,
    ) -> None:
        context = multiprocessing.get_context("fork")
        self._receive, send = context.Pipe(duplex=False)
        job = _Job(spec, folder, engine, lasting, gpus, ledger, examples)
        self._process = context.Process(target=_main, args=(send, job, memory, os.getpid()))
        self._process.start()
        send.close()

    def receive(self, seconds: float) -> RunEvent | RunResult | None:
        """The next message, or None after `seconds`. Raises `EOFError` once the child is gone."""
        if not self._receive.poll(seconds):
            return None
        message: RunEvent | RunResult = self._receive.recv()
        return message

    def exit_text(self) -> str:
        """How the child ended, in words."""
        self._process.join(10)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"

    def kill(self) -> None:
        """End it now. Safe to repeat."""
        self._process.kill()
        self._process.join()
        self._receive.close()


@dataclass(frozen=True)
class _Job:
    spec: RunSpec
    folder: Path
    engine: Engine | None
    lasting: Path | None
    gpus: tuple[str, ...]
    ledger: Ledger | None
    examples: ExampleStore | None

    def neighbours(self) -> int:
        return 0 if self.ledger is None else self.ledger.neighbours(self.spec.run)


def _main(send: Connection, job: _Job, memory: int, parent: int) -> None:
    die_with_parent()
    if os.getppid() != parent:  # the parent ended before the request to die with it
        os._exit(1)
    os.setsid()  # a terminal's Ctrl-C asks the node to finish its runs: it must not reach judges and sandboxes
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    send.send(_evaluate(job, send.send))
    send.close()


def _evaluate(job: _Job, emit: Callable[[Any], None]) -> RunResult:
    from runners.judge import LocalFiles, Place, evaluate

    spec = job.spec
    found = {part: job.folder / part for part in ("sample", "validation", "surrogates")}
    also = {part: folder if folder.is_dir() else None for part, folder in found.items()}
    files = LocalFiles(split=job.folder / "split", submission=job.folder / "submission", **also)
    place = Place(
        lasting=job.lasting, gpus=job.gpus, neighbours=job.neighbours, calibration=calibration(), examples=job.examples,
        reach=Reach.from_environment(),
    )  # fmt: skip
    try:
        return evaluate(spec=spec, files=files, engine=job.engine, workdir=job.folder / "work", emit=emit, place=place)
    except RetryableError as error:
        return platform_result(spec, code=error.code, message=error.message)
    except MemoryError:
        return platform_result(spec, code="judge_memory", message="The judge ran out of memory.")
    except OSError as error:
        return os_result(spec, error) if is_full(error) else bug_result(spec, where="the judge")
    except Exception:
        return bug_result(spec, where="the judge")


def bug_result(spec: RunSpec, *, where: str) -> RunResult:
    """The exception being handled is a bug: its text stays in the log, under an id that the report names."""
    reference = uuid.uuid4().hex[:12]
    log.error(f"bug in {where}", run=spec.run, attempt=spec.attempt, id=reference, trace=traceback.format_exc())
    return platform_result(spec, code="internal_error", message=f"Internal error {reference} in {where}.")


def is_full(error: OSError) -> bool:
    """Whether the node has no room for a file."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def os_result(spec: RunSpec, error: OSError) -> RunResult:
    """The node's own system refused something."""
    why = error.strerror or type(error).__name__
    log.error("node failed", run=spec.run, attempt=spec.attempt, trace=traceback.format_exc())
    code = "node_disk_full" if is_full(error) else "node_failed"
    return platform_result(spec, code=code, message=f"The node could not carry it out: {why}.")


def platform_result(spec: RunSpec, *, code: str, message: str) -> RunResult:
    """A fault of ours: costs the participant nothing, and the run is tried again."""
    return RunResult(run=spec.run, attempt=spec.attempt, verdict=Verdict.PLATFORM, code=code, message=message)
