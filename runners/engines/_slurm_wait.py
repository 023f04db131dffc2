"""From a submitted job to its first sign of life: in the queue, on its way, or refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from runners.contract import Verdict
from runners.engines import _slurm_commands as slurm
from runners.engines._slurm_board import Board
from runners.engines._slurm_settings import Settings
from runners.engines._slurm_states import JobState
from runners.errors import NO_CAPACITY, ParticipantFault, RetryableError

_LOOK = 1.0
#: From the moment Slurm says that the job runs until its step dials; importing from a slow shared folder takes time.
_DIAL = 90.0
#: From then until the sandbox runs: an image may have to come first.
_BOOT = 1800.0


def await_start(
    job: str, board: Board, settings: Settings, output: Callable[[], str], lost_on: Callable[[str], None]
) -> None:
    """Return once the sandbox runs.

    Raises `RetryableError` for a queue that is too long and a job that ended first, and what the compute node's own
    engine raised there.
    """
    _wait(job, board, settings, output, lambda: board.started, lost_on)


def await_answer(job: str, board: Board, settings: Settings, output: Callable[[], str]) -> dict[str, Any]:
    """What the step found out about its node."""
    _wait(job, board, settings, output, lambda: board.answer is not None, lambda _node: None)
    return board.answer or {}


def _wait(
    job: str,
    board: Board,
    settings: Settings,
    output: Callable[[], str],
    done: Callable[[], bool],
    lost_on: Callable[[str], None],
) -> None:
    queue = _Queue(job, settings)
    linked: float | None = None
    while not done():
        if board.refusal is not None:
            raise _refusal(board.refusal)
        if board.linked and not board.broken:
            linked = linked or time.monotonic()
            if time.monotonic() - linked > _BOOT:
                raise RetryableError(f"job {job} did not start its sandbox in {_BOOT:g} s", code="engine_start")
        else:
            queue.look(output, lost_on, board.node)
        with board.changed:
            if not done() and board.refusal is None:
                board.changed.wait(_LOOK)


class _Queue:
    """How long a job has waited for what."""

    def __init__(self, job: str, settings: Settings) -> None:
        self._job = job
        self._settings = settings
        self._since = time.monotonic()
        self._running: float | None = None

    def look(self, output: Callable[[], str], lost_on: Callable[[str], None], node: str) -> None:
        """Raise `RetryableError` where waiting longer is of no use."""
        found = slurm.state(self._job)
        now = time.monotonic()
        if found is None or found.ended or found.restarts:
            where = node or (found.node if found is not None else "")
            if where and not (found is not None and found.fell_over):
                lost_on(where)
            raise _ended_early(self._job, found, output())
        if found.waits:
            if now - self._since > self._settings.pending:
                text = f"No compute node came free within {self._settings.pending:g} s: {found.words}."
                raise RetryableError(text, code=NO_CAPACITY)
            return
        self._running = self._running or now
        if now - self._running > _DIAL:
            text = f"job {self._job} runs on {found.node}, but did not reach this host at {self._settings.host}"
            advice = (
                "let compute nodes connect to it (TOUCHSTONE_SLURM_HOST, _PORTS), and see that they share its files"
            )
            raise RetryableError(f"{text}; {advice}. {output()[-600:]}", code="node_misconfigured")


def _ended_early(job: str, found: JobState | None, output: str) -> RetryableError:
    state = "is unknown to Slurm" if found is None else f"ended {found.words}, exit code {found.exit_code},"
    said = " ".join(output.split())[-600:]
    return RetryableError(
        f"Slurm's job {job} {state} before its sandbox ran: {said or 'no message'}", code="engine_start"
    )


def _refusal(told: dict[str, Any]) -> Exception:
    """What the compute node's engine raised, raised again here."""
    message, code = str(told.get("message", "")), str(told.get("code", ""))
    if told.get("family") != RetryableError.__name__:
        verdict = Verdict(str(told.get("verdict") or Verdict.INVALID_OUTPUT))
        return ParticipantFault(verdict, message, hint=str(told.get("hint", "")), code=code)
    return RetryableError(message, code=code or "engine_start")
