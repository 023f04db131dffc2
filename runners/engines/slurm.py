"""Runs on a cluster's compute nodes, by Slurm: the judge, and with it the labels, stays on the submit host.

`start` submits a job and returns once its sandbox runs on a compute node, in that node's own engine. What the sandbox
says to its socket there comes to the judge's socket here over one TCP connection each, dialled from the compute node.
Only by name (`TOUCHSTONE_ENGINE=slurm`); settings are `TOUCHSTONE_SLURM_…`, see docs/slurm.md.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Collection
from math import ceil
from pathlib import Path
from typing import Literal

from runners.contract import EngineReport, GpuInfo, ImagePull
from runners.engines import _limits
from runners.engines import _slurm_commands as slurm
from runners.engines import _slurm_link as link
from runners.engines._slurm_board import Board
from runners.engines._slurm_job import ARCHIVE_FILE, JOB_FILE, OUTPUT_FILE, SUBMISSION_FOLDER, ImageSource, StepJob
from runners.engines._slurm_sandbox import SlurmSandbox, read_tail
from runners.engines._slurm_settings import Settings
from runners.engines._slurm_wait import await_answer, await_start
from runners.engines.base import Job, Limits
from runners.errors import RetryableError, UserError
from runners.registry import engine

_MIB = 2**20
_DAY = 86400.0
#: For an image to come to the compute node before the sandbox's own time begins.
_IMAGE_MINUTES = 30
#: For the step to dial, to start, and to clear up: Slurm's limit never comes before the sandbox's own.
_STEP_MINUTES = 4
_NOT_ENFORCED = (
    "secrecy and integrity on the cluster's network: inputs and answers go in the clear, and could be changed there",
    "other jobs of the cluster on the same compute node: they share its caches, disks and network",
)


@engine("slurm")
class SlurmEngine:
    """`patience`: seconds `start` may wait in Slurm's queue, on top of the run's own time."""

    name = "slurm"

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings.read()
        self.takes_images = self._settings.inner == "docker"
        self.patience = self._settings.pending
        count = self._settings.gpus
        self.devices: tuple[GpuInfo, ...] | None = tuple(
            GpuInfo(uuid=f"slurm-{n}", name=self._settings.gres) for n in range(count)
        )
        self._sources: dict[str, ImageSource] = {}

    def self_test(self) -> EngineReport:
        """A job on a compute node, in which that node's engine lets probes try to break out."""
        try:
            version = slurm.version()
            answer = self._test_a_node()
            inner = EngineReport.model_validate(answer["report"])
        except (RetryableError, UserError) as error:
            return EngineReport(name=self.name, ok=False, problems=(error.message,))
        return EngineReport(
            name=self.name, ok=inner.ok, version=f"{version}; {inner.name} {inner.version}",
            isolation=f"Slurm; on the compute node {inner.isolation}",
            not_enforced=(*inner.not_enforced, *_NOT_ENFORCED), problems=inner.problems,
        )  # fmt: skip

    def start(self, job: Job) -> SlurmSandbox:
        """Submit, and wait until the sandbox runs; that wait is no part of `limits.seconds`.

        Raises `RetryableError` where no node comes free within `TOUCHSTONE_SLURM_PENDING`, or Slurm or the node
        fails, and `ParticipantFault` where the compute node's engine does.
        """
        if job.limits.seconds <= 0:
            raise RetryableError("a job needs time to run", code="engine_use")
        if job.image is not None and not self.takes_images:
            text = "The compute nodes have no container engine: they cannot run an image (TOUCHSTONE_SLURM_ENGINE)."
            raise RetryableError(text, code="no_container_engine")
        began = time.monotonic()
        folder = self._folder(job)
        secret = link.make_secret()
        board = self._board(secret, channel=job.channel, log=job.limits.log)
        number = ""
        try:
            self._write(job, folder, board.port, secret)
            number = self._submit(job, folder)
            await_start(number, board, self._settings, lambda: read_tail(folder / OUTPUT_FILE), self._note_loss(job))
        except BaseException:
            board.close()
            if number:
                slurm.cancel(number)
            shutil.rmtree(folder, ignore_errors=True)
            raise
        waited = time.monotonic() - began
        return SlurmSandbox(number, board, folder, job.limits, waited=waited, lost_on=self._note_loss(job))

    def adopt(self, job: Job) -> None:
        """Nothing to take over: a step ends with its judge, since the TCP connection to it does."""

    def pull_image(self, pull: ImagePull, *, limit: int) -> str:
        """Remember where it is: the compute node pulls it, once Slurm has chosen one."""
        self._want_images("pull an image")
        self._sources[pull.reference] = ImageSource(limit=limit, pull=pull)
        return pull.reference

    def load_image(self, archive: Path, *, limit: int) -> str:
        """Remember the checked archive: each job gets it in its folder, and the compute node loads it from there."""
        self._want_images(f"load {archive.name}")
        with archive.open("rb") as stream:
            name = f"archive:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        self._sources[name] = ImageSource(limit=limit, archive=str(archive.resolve()))
        return name

    def has_image(self, image: str) -> bool:
        """Whether a compute node may run it: only there can it be seen what that node holds."""
        return self.takes_images

    def image_used(self, image: str) -> None:
        """The compute nodes keep their images; an archive went with the folder of its job."""
        self._sources.pop(image, None)

    def reap(self, keep: Collection[str]) -> list[str]:
        """Cancel jobs of this node's runs that are not in `keep`, and of anybody whose worker here is gone."""
        removed: list[str] = []
        found = slurm.jobs()
        folders = {path.name: path for path in self._private("jobs").iterdir()}
        kept = {_safe(run) for run in keep}
        open_jobs = {name.rpartition("~")[2] for name in folders}
        for item in found:
            _, node, run, attempt, worker, mark = [*item.comment.split("/"), *[""] * 6][:6]
            if (node == _safe(_limits.NODE) and run not in kept) or _limits.is_gone(worker):
                slurm.cancel(item.job)
                if mark in open_jobs:  # else it was closed, and Slurm is still clearing up after it
                    removed.append(f"{run}~{attempt}")
        for name, path in folders.items():
            run, _, worker = [*name.split("~"), *[""] * 3][:3]
            if run not in kept or _limits.is_gone(worker):
                shutil.rmtree(path, ignore_errors=True)
        for path in self._private("lost").iterdir():
            if time.time() - path.stat().st_mtime > _DAY:
                path.unlink(missing_ok=True)
        return removed

    def _test_a_node(self) -> dict[str, object]:
        limits = Limits(memory=1024 * _MIB, cpus=1.0, seconds=300.0, tmp=16 * _MIB)
        job = Job(run=f"self-test-{secrets.token_hex(4)}", attempt=1, limits=limits)
        folder = self._folder(job)
        secret = link.make_secret()
        board = self._board(secret, channel=None, log=0)
        number = ""
        try:
            self._write(job, folder, board.port, secret, task="self-test")
            number = self._submit(job, folder)
            return await_answer(number, board, self._settings, lambda: read_tail(folder / OUTPUT_FILE))
        finally:
            board.close()
            if number:
                slurm.cancel(number)
            shutil.rmtree(folder, ignore_errors=True)

    def _board(self, secret: str, *, channel: Path | None, log: int) -> Board:
        chosen = self._settings
        return Board(bind=chosen.bind, ports=chosen.ports, secret=secret, channel=channel, log_limit=log)

    def _private(self, part: str) -> Path:
        """A folder below the shared one that only this user sees, one for each node of the platform."""
        path = self._settings.shared / _safe(_limits.NODE) / part
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            text = f"the shared folder {self._settings.shared} cannot be written: {error.strerror}"
            raise RetryableError(f"{text}; see TOUCHSTONE_SLURM_SHARED", code="node_misconfigured") from error
        return path

    def _folder(self, job: Job) -> Path:
        name = f"{_safe(job.run)}~{job.attempt}~{_limits.worker_id()}~{secrets.token_hex(4)}"
        path = self._private("jobs") / name
        path.mkdir(mode=0o700)
        return path

    def _write(self, job: Job, folder: Path, port: int, secret: str, task: Literal["run", "self-test"] = "run") -> None:
        shown: Path | None = None
        if job.folder is not None:
            shown = folder / SUBMISSION_FOLDER
            shutil.copytree(job.folder, shown, symlinks=True)
        source = _brought(self._sources.get(job.image or ""), folder)
        StepJob.of(
            job, task=task, engine=self._settings.inner, host=self._settings.host, port=port, secret=secret,
            source=source, folder=shown,
        ).write(folder / JOB_FILE)  # fmt: skip

    def _submit(self, job: Job, folder: Path) -> str:
        """With the nodes that lost this run before left out, if others are left."""
        comment = "/".join(
            (slurm.NAME, _safe(_limits.NODE), _safe(job.run), str(job.attempt), _limits.worker_id(), folder.name[-8:])
        )
        options, script = self._options(job, folder), self._script(folder)
        lost = self._lost(job)
        if lost:
            try:
                return slurm.submit([*options, f"--exclude={','.join(lost)}"], script, comment=comment)
            except RetryableError as error:
                if error.code != slurm.NO_SUCH_NODE:
                    raise
        return slurm.submit(options, script, comment=comment)

    def _options(self, job: Job, folder: Path) -> list[str]:
        limits = job.limits
        gres = [f"--gres={self._settings.gres}:{len(job.gpus)}"] if job.gpus else []
        return [
            *self._settings.options, "--no-requeue", "--nodes=1", "--ntasks=1",
            f"--cpus-per-task={max(1, ceil(limits.cpus))}",
            f"--mem={ceil((limits.memory + self._settings.overhead) / _MIB)}M",
            f"--time={ceil(limits.seconds / 60) + _STEP_MINUTES + (_IMAGE_MINUTES if job.image else 0)}", *gres,
            f"--output={_quoted(folder / OUTPUT_FILE)}", "--input=/dev/null", "--chdir=/",
            "--export=ALL", "--propagate=NONE",  # the judge's own limits are none of the step's
        ]  # fmt: skip

    def _script(self, folder: Path) -> str:
        argv = [self._settings.python, "-m", "runners.engines._slurm_step", str(folder / JOB_FILE)]
        return f"#!/bin/sh\numask 077\nexec {shlex.join(argv)}\n"

    def _note_loss(self, job: Job) -> Callable[[str], None]:
        def note(node: str) -> None:
            if re.fullmatch(r"[A-Za-z0-9_.-]+", node):
                with (self._private("lost") / _safe(job.run)).open("a") as file:
                    file.write(f"{node}\n")

        return note

    def _lost(self, job: Job) -> list[str]:
        path = self._private("lost") / _safe(job.run)
        return sorted(set(path.read_text().split())) if path.exists() else []

    def _want_images(self, what: str) -> None:
        if not self.takes_images:
            text = f"This node's compute nodes have no container engine: they cannot {what} (TOUCHSTONE_SLURM_ENGINE)."
            raise RetryableError(text, code="no_container_engine")


def _brought(source: ImageSource | None, folder: Path) -> ImageSource | None:
    """An archive comes into the job's own folder and goes with it: another run's may end at any moment."""
    if source is None or not source.archive:
        return source
    target = folder / ARCHIVE_FILE
    try:
        os.link(source.archive, target)
    except OSError:  # the shared folder is on another file system
        shutil.copyfile(source.archive, target)
    return source.model_copy(update={"archive": str(target)})


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)


def _quoted(path: Path) -> str:
    """`sbatch` replaces %j and the like in names of files."""
    return str(path).replace("%", "%%")
