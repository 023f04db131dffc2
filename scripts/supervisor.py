"""Keeps child processes running: one that dies is started again, more slowly each time it does.

All children are started by the supervisor's own thread, because the kernel ties "die with your
parent" to the thread that started the child.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.processes import stop, tail

_LONGEST_PAUSE = 20.0
_HEALTHY_SECONDS = 30.0


@dataclass
class Member:
    """One supervised child. `start` returns when the child is up, or raises.

    `first` is the signal that asks it to end; it is killed `grace` seconds later.
    """

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log: Path
    first: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    restarts: int = 0
    started: float = 0.0
    again_at: float = 0.0


class Supervisor:
    """Runs members in the order in which they were added, and stops them in the opposite order."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._members: list[Member] = []
        self._wanted: list[Member] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor")
        self._thread.start()

    def add(self, member: Member) -> None:
        """Start `member` and wait until it is up. Raises what its `start` raises."""
        with self._changed:
            self._error = None
            self._wanted.append(member)
            self._changed.notify_all()
            self._changed.wait_for(lambda: member in self._members or self._error is not None)
            if self._error is not None:
                raise self._error

    def pid(self, name: str) -> int | None:
        """The process id of a member while it runs."""
        process = self._member(name).process
        return process.pid if process is not None and process.poll() is None else None

    def restarts(self, name: str) -> int:
        """How often a member has been started again."""
        return self._member(name).restarts

    def stop(self) -> None:
        """Stop every member. Safe to repeat."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _member(self, name: str) -> Member:
        return next(member for member in self._members if member.name == name)

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping or self._wanted, timeout=0.2)
                    if self._stopping:
                        return
                    wanted, self._wanted = self._wanted, []
                for member in wanted:
                    self._admit(member)
                for member in self._members:
                    self._tend(member)
        finally:
            for member in reversed(self._members):
                if member.process is not None:
                    stop(member.process, first=member.first, grace=member.grace)

    def _admit(self, member: Member) -> None:
        error: BaseException | None = None
        try:
            self._start(member)
        except Exception as failure:
            error = failure
        with self._changed:
            if error is None:
                self._members.append(member)
            self._error = error
            self._changed.notify_all()

    def _start(self, member: Member) -> None:
        member.process = member.start()
        member.started = time.monotonic()

    def _tend(self, member: Member) -> None:
        now = time.monotonic()
        if member.process is not None:
            status = member.process.poll()
            if status is None:
                return
            stop(member.process)  # grandchildren that a killed child left
            member.process = None
            member.failures = 0 if now - member.started > _HEALTHY_SECONDS else member.failures + 1
            pause = min(0.5 * 2**member.failures, _LONGEST_PAUSE)
            member.again_at = now + pause
            self._say(f"{member.name} {_ended(status)}; starting it again in {pause:.1f} s (log: {member.log})")
            return
        if now < member.again_at:
            return
        try:
            self._start(member)
            member.restarts += 1
        except Exception as error:
            member.failures += 1
            pause = min(0.5 * 2**member.failures, _LONGEST_PAUSE)
            member.again_at = time.monotonic() + pause
            self._say(f"{member.name} does not start ({error}); next try in {pause:.1f} s\n{tail(member.log, 5)}")


def _ended(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
