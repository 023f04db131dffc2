"""The judge's own process: forked from a warm parent, under limits of its own, talking through a pipe."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import traceback
import uuid
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import structlog

from runners.contract import RunEvent, RunResult, RunSpec, Verdict
from runners.engines.base import Engine
from runners.errors import RetryableError

log = structlog.get_logger(__name__)
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class JudgeProcess:
    """One attempt in a child. Messages are `RunEvent`s, then at most one `RunResult`."""

    def __init__(self, *, spec: RunSpec, folder: Path, engine: Engine | None, memory: int) -> None:
        context = multiprocessing.get_context("fork")
        self._receive, send = context.Pipe(duplex=False)
        self._process = context.Process(target=_main, args=(send, spec, folder, engine, memory, os.getpid()))
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


def _main(send: Connection, spec: RunSpec, folder: Path, engine: Engine | None, memory: int, parent: int) -> None:
    die_with_parent()
    if os.getppid() != parent:  # the parent ended before the request to die with it
        os._exit(1)
    os.setsid()  # a terminal's Ctrl-C asks the node to finish its runs: it must not reach judges and sandboxes
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    send.send(_evaluate(spec, folder, engine, send.send))
    send.close()


def _evaluate(spec: RunSpec, folder: Path, engine: Engine | None, emit: Callable[[Any], None]) -> RunResult:
    from runners.judge import LocalFiles, evaluate

    sample = folder / "sample"
    files = LocalFiles(
        split=folder / "split", sample=sample if sample.is_dir() else None, submission=folder / "submission"
    )
    try:
        return evaluate(spec=spec, files=files, engine=engine, workdir=folder / "work", emit=emit)
    except RetryableError as error:
        return platform_result(spec, code=error.code, message=error.message)
    except MemoryError:
        return platform_result(spec, code="judge_memory", message="The judge ran out of memory.")
    except Exception:
        return bug_result(spec, where="the judge")


def bug_result(spec: RunSpec, *, where: str) -> RunResult:
    """The exception being handled is a bug: its text stays in the log, under an id that the report names."""
    reference = uuid.uuid4().hex[:12]
    log.error(f"bug in {where}", run=spec.run, attempt=spec.attempt, id=reference, trace=traceback.format_exc())
    return platform_result(spec, code="internal_error", message=f"Internal error {reference} in {where}.")


def platform_result(spec: RunSpec, *, code: str, message: str) -> RunResult:
    """A fault of ours: costs the participant nothing, and the run is tried again."""
    return RunResult(run=spec.run, attempt=spec.attempt, verdict=Verdict.PLATFORM, code=code, message=message)
