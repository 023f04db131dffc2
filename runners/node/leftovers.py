"""What a killed attempt leaves behind on a node, and how it goes away.

An attempt's folder is named `<run>~<attempt>~<pid>.<start time>` after the process that supervises it, so anybody
can tell whether it still has an owner. Labels lie in these folders: they must not outlive the run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from runners.contract import RunSpec
from runners.engines._limits import start_time
from runners.engines.base import Engine


def attempt_folder(directory: Path, spec: RunSpec) -> Path:
    """The folder of an attempt supervised by this process."""
    return directory / f"{spec.run}~{spec.attempt}~{os.getpid()}.{start_time(os.getpid())}"


class LiveRuns(Collection[str]):
    """Runs that another process of this node supervises, at the moment of each question.

    An attempt's folder is there before its sandbox. So whoever lists sandboxes first and asks then never takes a
    sandbox that was started meanwhile for a left one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __iter__(self) -> Iterator[str]:
        return iter({_run(folder) for folder in _folders(self._directory) if _is_live(folder)})

    def __contains__(self, run: object) -> bool:
        return run in set(self)

    def __len__(self) -> int:
        return len(set(self))


def remove_leftovers(directory: Path, engine: Engine | None) -> list[str]:
    """Remove folders and sandboxes whose supervisor is gone; return what was removed."""
    removed: list[str] = []
    for folder in _folders(directory):
        if not _is_live(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
    if engine is not None:
        removed += engine.reap(LiveRuns(directory))
    return removed


def _folders(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


def _run(folder: Path) -> str:
    return folder.name.partition("~")[0]


def _is_live(folder: Path) -> bool:
    """Whether another process supervises it. The start time tells a process from a later one with its number."""
    pid, _, started = folder.name.rpartition("~")[2].partition(".")
    return pid.isdigit() and int(pid) != os.getpid() and start_time(int(pid)) == started != ""
