"""What a killed attempt leaves behind on a node, and how it goes away or is taken over.

An attempt's folder is named `<run>~<attempt>~<pid>.<start time>` after the process that supervises it, so anybody
can tell whether it still has an owner. Labels lie in these folders: they must not outlive their supervisor. The
sandbox may: its channel lies in a folder of the run (`lasting`), where the next attempt finds it. A sandbox that
nobody took over within a minute goes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import structlog

from runners.channel.listener import Listener
from runners.contract import RunSpec
from runners.engines._limits import start_time
from runners.engines.base import Engine
from runners.errors import RetryableError
from runners.node.client import Fenced, NodeClient
from runners.node.locks import engine_lock, held

log = structlog.get_logger(__name__)

#: Seconds that a sandbox without a supervisor waits for the next attempt of its run.
_ORPHAN_S = 60.0


def attempt_folder(directory: Path, spec: RunSpec) -> Path:
    """The folder of an attempt supervised by this process."""
    return directory / f"{spec.run}~{spec.attempt}~{os.getpid()}.{start_time(os.getpid())}"


def make_attempt_folder(folder: Path) -> None:
    """From here on the run is live: what it keeps between attempts is no longer an older attempt's to remove."""
    with held(_forgetting_lock(folder.parent), wait=True):
        folder.mkdir(mode=0o700, parents=True)


class LiveRuns(Collection[str]):
    """Runs that another process of this node supervises, and those that wait to be taken over, at each question.

    An attempt's folder is there before its sandbox. So whoever lists sandboxes first and asks then never takes a
    sandbox that was started meanwhile for a left one.
    """

    def __init__(self, directory: Path, lasting: Path | None = None) -> None:
        self._directory = directory
        self._lasting = lasting

    def __iter__(self) -> Iterator[str]:
        live = {_run(folder) for folder in _entries(self._directory) if _is_live(folder)}
        return iter(live | (set() if self._lasting is None else _orphans(self._lasting)))

    def __contains__(self, run: object) -> bool:
        return run in set(self)

    def __len__(self) -> int:
        return len(set(self))


def give_back(directory: Path, lasting: Path, client: NodeClient) -> list[str]:
    """Remove the folders of attempts whose supervisor is gone, and give their runs back to the queue as lost.

    Their sandboxes stay for the next attempt, unless the server says that the run is somebody else's by now. A
    server that is away is told later; labels go at once.
    """
    for needed in (directory, lasting):
        needed.mkdir(mode=0o700, parents=True, exist_ok=True)
    removed: list[str] = []
    with held(directory.parent / "recovery.lock") as alone:
        for folder in _entries(directory) if alone else ():
            if _is_live(folder) or "~" not in folder.name:
                continue
            empty = _emptied(folder)
            run, attempt, _ = folder.name.split("~", 2)
            orphan = lasting / f"{run}.left"
            if not orphan.exists():
                orphan.touch()
            try:
                client.release(run, int(attempt), lost=True)
            except Fenced as fence:
                log.info("not ours any more", run=run, attempt=attempt, reason=str(fence))
                if run not in _own(directory):
                    forget_unless_live(directory, lasting, run)
            except RetryableError as error:
                log.warning("lost run not given back yet", run=run, error=error.message)
                continue
            except RuntimeError as error:  # refused for ever: its lease lapses
                log.error("lost run cannot be given back", run=run, error=str(error))
            if empty:
                folder.rmdir()
            removed.append(folder.name)
    return removed


def remove_leftovers(directory: Path, lasting: Path, engine: Engine | None) -> list[str]:
    """Remove sandboxes and folders of runs that nobody supervises or may still take over; return what was removed."""
    removed = reap(directory, lasting, engine)
    kept = set(LiveRuns(directory, lasting)) | _own(directory)
    for path in _entries(lasting):
        if path.name.partition(".")[0] not in kept:
            _remove(path)
            removed.append(path.name)
    return removed


def hold_places(lasting: Path) -> list[Listener]:
    """Listen for sandboxes that wait to be taken over, for a node that starts takes longer than they go on dialling.

    One that is put through waits for its first question. When the places are left it dials again. They must be left
    before this process forks: a copy of a listener would keep the sandbox waiting for nobody.
    """
    return [Listener(lasting, name=run) for run in sorted(_orphans(lasting)) if (lasting / run / "run").is_dir()]


def reap(directory: Path, lasting: Path | None, engine: Engine | None) -> list[str]:
    """Remove the sandboxes of runs that nobody supervises or may still take over; nothing while the engine is tested.

    Raises `RetryableError` from the engine.
    """
    with held(engine_lock(directory.parent)) as alone:
        return engine.reap(LiveRuns(directory, lasting)) if engine is not None and alone else []


def forget(lasting: Path, run: str) -> None:
    """Remove what a run keeps between attempts: the next one starts anew."""
    for name in (run, f"{run}.files", f"{run}.left"):
        _remove(lasting / name)


def forget_unless_live(directory: Path, lasting: Path, run: str) -> None:
    """Forget it, unless another process supervises an attempt of this run; none begins between look and removal."""
    with held(_forgetting_lock(directory), wait=True):
        if run not in LiveRuns(directory):
            forget(lasting, run)


def _forgetting_lock(directory: Path) -> Path:
    return directory.parent / "forgetting.lock"


def _orphans(lasting: Path) -> set[str]:
    """Runs whose supervisor died less than a minute ago."""
    found = set()
    for path in lasting.glob("*.left"):
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:  # taken over or removed meanwhile
            continue
        if age < _ORPHAN_S:
            found.add(path.name.removesuffix(".left"))
    return found


def _own(directory: Path) -> set[str]:
    """Runs of this very process."""
    mine = f"~{os.getpid()}.{start_time(os.getpid())}"
    return {_run(folder) for folder in _entries(directory) if folder.name.endswith(mine)}


def _emptied(folder: Path) -> bool:
    """Remove what is in the folder; true if it is empty now."""
    for path in _entries(folder):
        _remove(path)
    return not _entries(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _entries(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


def _run(folder: Path) -> str:
    return folder.name.partition("~")[0]


def _is_live(folder: Path) -> bool:
    """Whether another process supervises it. The start time tells a process from a later one with its number."""
    pid, _, started = folder.name.rpartition("~")[2].partition(".")
    return pid.isdigit() and int(pid) != os.getpid() and start_time(int(pid)) == started != ""
