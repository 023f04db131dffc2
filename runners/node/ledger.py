"""What the runs of one node use together: a run waits until the machine has room for it, the oldest first.

The ledger is a small file under a lock. An entry belongs to a process; one whose process is gone counts no more.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from runners.contract import RunSpec
from runners.engines._limits import start_time
from runners.spec.models import SubmissionKind


@dataclass(frozen=True)
class Entry:
    """One run of one process. `running`: it was let in; else it waits."""

    run: str
    owner: str
    cpus: float
    memory: int
    running: bool


class Ledger:
    """`cpus` and `memory` (bytes) are what runs may use together."""

    def __init__(self, path: Path, *, cpus: float, memory: int) -> None:
        self._path = path
        self._cpus = cpus
        self._memory = memory
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def admit(self, spec: RunSpec) -> bool:
        """Whether the run may begin now; else it is noted as waiting, and asks again. Repeated it stays true.

        A run that wants more than there is gets the machine for itself.
        """
        wanted = _entry(spec)
        with self._open() as entries:
            mine = next((entry for entry in entries if entry.owner == wanted.owner), None)
            if mine is None or mine.run != spec.run:
                entries[:] = [entry for entry in entries if entry.owner != wanted.owner]
                entries.append(wanted)
                mine = wanted
            if mine.running:
                return True
            if not self._may_begin(entries, mine):
                return False
            entries[entries.index(mine)] = replace(mine, running=True)
            return True

    def is_open(self) -> bool:
        """Whether no run of another process waits: one that is claimed now would only wait behind it."""
        with self._open() as entries:
            return all(entry.running or entry.owner == _owner() for entry in entries)

    def is_crowded(self) -> bool:
        """Whether a run of this process had to go back for want of room, and there still is none."""
        with self._open() as entries:
            mine = next((entry for entry in entries if entry.owner == _owner()), None)
            return mine is not None and not mine.running and not self._may_begin(entries, mine)

    def leave(self) -> None:
        """The run of this process is over."""
        with self._open() as entries:
            entries[:] = [entry for entry in entries if entry.owner != _owner()]

    def neighbours(self, run: str) -> int:
        """How many other runs are under way on this node."""
        with self._open() as entries:
            return sum(entry.running and entry.run != run for entry in entries)

    def _may_begin(self, entries: list[Entry], wanted: Entry) -> bool:
        """A run that needs nothing waits for nobody; others take turns, or a large one would wait for ever."""
        if wanted.cpus == 0 and wanted.memory == 0:
            return True
        if next(entry for entry in entries if not entry.running).owner != wanted.owner:
            return False
        running = [entry for entry in entries if entry.running]
        if not any(entry.cpus or entry.memory for entry in running):
            return True
        return (
            sum(entry.cpus for entry in running) + wanted.cpus <= self._cpus
            and sum(entry.memory for entry in running) + wanted.memory <= self._memory
        )

    @contextmanager
    def _open(self) -> Iterator[list[Entry]]:
        """The entries of live processes, in the order they came; what is changed is written back."""
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            entries = _entries(file.read())
            yield entries
            file.seek(0)
            file.truncate()
            json.dump([asdict(entry) for entry in entries], file)


def _entries(text: str) -> list[Entry]:
    """Those whose process lives. A file that was cut short by a full disk or a crash begins anew."""
    try:
        found = [Entry(**raw) for raw in json.loads(text or "[]")]
    except (ValueError, TypeError):
        return []
    return [entry for entry in found if _lives(entry.owner)]


def _entry(spec: RunSpec) -> Entry:
    # Files are read by the judge, endpoints run elsewhere; but surrogates run here, whatever is asked their examples.
    file = spec.submission.kind is SubmissionKind.PREDICTIONS
    file = file or (spec.submission.kind is SubmissionKind.ENDPOINT and not spec.surrogates)
    resources = spec.resources
    return Entry(
        run=spec.run, owner=_owner(), cpus=0 if file else resources.cpus, memory=0 if file else resources.memory,
        running=False,
    )  # fmt: skip


def _owner() -> str:
    return f"{os.getpid()}.{start_time(os.getpid())}"


def _lives(owner: str) -> bool:
    pid, _, started = owner.partition(".")
    return pid.isdigit() and start_time(int(pid)) == started != ""
