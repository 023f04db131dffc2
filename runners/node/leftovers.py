"""What a killed attempt leaves behind on a node, and how it goes away.

An attempt's folder is named `<run>~<attempt>~<pid>` after the process that supervises it, so anybody can tell
whether it still has an owner. Labels lie in these folders: they must not outlive the run.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

from runners.contract import RunSpec
from runners.engines.base import Engine


def attempt_folder(directory: Path, spec: RunSpec) -> Path:
    """The folder of an attempt supervised by this process."""
    return directory / f"{spec.run}~{spec.attempt}~{os.getpid()}"


def remove_leftovers(directory: Path, engine: Engine | None) -> list[str]:
    """Remove folders and sandboxes whose supervisor is gone; return what was removed."""
    live: set[str] = set()
    removed: list[str] = []
    for folder in directory.iterdir() if directory.is_dir() else ():
        run, _, rest = folder.name.partition("~")
        pid = rest.rpartition("~")[2]
        if pid.isdigit() and int(pid) != os.getpid() and psutil.pid_exists(int(pid)):
            live.add(run)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
    if engine is not None:
        removed += engine.reap(live)
    return removed
