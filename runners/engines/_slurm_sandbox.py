"""A job of Slurm whose sandbox runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from runners.engines import _slurm_commands as slurm
from runners.engines._slurm_board import Board
from runners.engines._slurm_job import OUTPUT_FILE, REPORT_FILE, Report
from runners.engines._slurm_states import JobState, exit_of
from runners.engines.base import Exit, Limits
from runners.errors import RetryableError

_PAUSE = 0.5
#: Seconds between two questions to Slurm about a job whose step is heard from.
_LOOK = 10.0
#: A step that fell silent: how long Slurm may take to say how it ended, before it is given up.
_PATIENCE = 5.0
#: Past the time limit, which the compute node keeps itself.
_LATE = 20.0
_ENDING = 5.0
_MOST_OUTPUT = 64 * 1024


class SlurmSandbox:
    """`waited`: seconds from submission until it ran, which are not the submission's. `lost_on`: told a node's name."""

    #: The step mostly has no control group of its own to count in, and does not tell whether it has.
    samples_memory = True

    def __init__(
        self, job: str, board: Board, folder: Path, limits: Limits, *, waited: float, lost_on: Callable[[str], None]
    ) -> None:
        self.waited = waited
        self.job = job
        self._board = board
        self._folder = folder
        self._deadline = time.monotonic() + limits.seconds + _LATE
        self._lost_on = lost_on
        self._looked = self._broke = 0.0
        self._killed = self._timeout = self._closed = False
        self._exit: Exit | None = None

    @property
    def node(self) -> str:
        """The compute node it runs on."""
        return self._board.node

    def poll(self) -> Exit | None:
        """None while it runs. The compute node keeps its time limit; one that does not is ended here."""
        if self._exit is not None:
            return self._exit
        if self._board.report is not None:
            self._finish(self._told(self._board.report))
        elif self._board.broken:
            self._look_for_the_end()
        elif time.monotonic() >= self._deadline:
            self._timeout = True
            self._end()
        elif time.monotonic() - self._looked >= _LOOK:
            self._looked = time.monotonic()
            self._look_at_slurm()
        return self._exit

    def wait(self, seconds: float) -> Exit | None:
        """Wait at most so long; None if it still runs."""
        end = time.monotonic() + seconds
        while (result := self.poll()) is None and (left := end - time.monotonic()) > 0:
            with self._board.changed:
                if self._board.report is None:
                    self._board.changed.wait(min(left, _PAUSE))
        return result

    def kill(self) -> None:
        """End every process of the sandbox. Safe to repeat."""
        if self._board.broken:
            self.wait(_PATIENCE + 1.0)  # it ended, or was cut off, before we asked
        if self.poll() is None:
            self._killed = True
            self._end()

    def logs(self) -> bytes:
        """The last bytes of stdout and stderr, at most `limits.log`."""
        return self._board.log()

    def peak_memory(self) -> int | None:
        """Peak bytes of the whole sandbox, or None where the compute node's engine cannot tell."""
        return self._board.peak

    def close(self) -> None:
        """Kill, and remove everything it left. Safe to repeat."""
        if self._closed:
            return
        self.kill()
        self._board.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._closed = True

    def _end(self) -> None:
        """Ask the step, which reports; and Slurm, in case it cannot."""
        self._board.ask_to_end()
        limit = time.monotonic() + _ENDING
        with self._board.changed:
            while self._board.report is None and not self._board.broken and (left := limit - time.monotonic()) > 0:
                self._board.changed.wait(left)
        slurm.cancel(self.job)
        report = self._board.report
        if report is not None:
            self._finish(self._told(report))
        else:  # it hung up without a word: it was cut off before it was asked
            lost = self._board.broken and not self._timeout
            self._finish(Exit(None, timeout=self._timeout, killed=not lost, lost=lost))

    def _told(self, report: Report) -> Exit:
        """A sandbox that was killed because we asked, and not because of its time or memory."""
        ours = self._killed or self._timeout
        lost = report.lost and not ours
        return Exit(
            report.code, memory=report.memory, timeout=report.timeout or self._timeout,
            killed=(report.killed or ours) and not lost, lost=lost,
        )  # fmt: skip

    def _look_at_slurm(self) -> None:
        """A job that has ended, though its step was not heard to hang up: its machine went without a word."""
        try:
            found = slurm.state(self.job)
        except RetryableError:  # the controller is away; the step is heard from, so the run goes on
            return
        if found is None or found.ended or found.waits or found.restarts:
            self._decide(found)

    def _look_for_the_end(self) -> None:
        """The step fell silent: its report may lie in the shared folder, else Slurm says what became of it."""
        now = time.monotonic()
        self._broke = self._broke or now
        written = self._folder / REPORT_FILE
        if written.exists():
            self._finish(self._told(Report.model_validate_json(written.read_text())))
            return
        if now - self._looked < _PAUSE:
            return
        self._looked = now
        try:
            found = slurm.state(self.job)
        except RetryableError:
            found = None
            if now - self._broke < _PATIENCE:
                return
        if found is not None and not found.ended and not found.waits and now - self._broke < _PATIENCE:
            return
        self._decide(found)

    def _decide(self, found: JobState | None) -> None:
        if found is None:
            ended = Exit(None, killed=self._killed, lost=not self._killed)
        else:
            ended = exit_of(
                found, output=self.output(), killed=self._killed, due=time.monotonic() >= self._deadline - _LATE,
                apart=self._board.apart,
            )  # fmt: skip
        if found is None or not found.ended:
            slurm.cancel(self.job)
        self._finish(ended, blame=found is None or not found.fell_over)

    def output(self) -> str:
        """What Slurm and the step wrote; the submission's own words are not among it."""
        return read_tail(self._folder / OUTPUT_FILE)

    def _finish(self, ended: Exit, *, blame: bool = True) -> None:
        if blame and ended.lost and self._board.report is None and self.node:
            self._lost_on(self.node)
        self._exit = ended


def read_tail(path: Path) -> str:
    """The end of a file of the shared folder; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _MOST_OUTPUT))
            return file.read(_MOST_OUTPUT).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
