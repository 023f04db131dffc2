"""What a judge leaves in the shared folder for the step that runs on a compute node."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from runners.contract import ImagePull
from runners.engines.base import Job, Limits

JOB_FILE, LOG_FILE, REPORT_FILE, OUTPUT_FILE = "job.json", "log", "report.json", "slurm.out"
SUBMISSION_FOLDER, ARCHIVE_FILE = "submission", "image.tar"


class Report(BaseModel):
    """How the sandbox ended: the fields of `Exit`, and its peak of memory in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: int | None
    memory: bool = False
    timeout: bool = False
    killed: bool = False
    lost: bool = False
    peak: int | None = None


class ImageSource(BaseModel):
    """Where the compute node finds an image that it lacks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int
    archive: str = ""
    pull: ImagePull | None = None


class StepJob(BaseModel):
    """`task`: run a sandbox, or test the node's engine. `secret` opens the judge's port for this job alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["run", "self-test"]
    engine: str
    host: str
    port: int
    secret: str
    run: str
    attempt: int
    limits: dict[str, float]
    argv: tuple[str, ...] = ()
    image: str | None = None
    source: ImageSource | None = None
    folder: str | None = None
    channel: bool = False
    env: dict[str, str] = {}
    labels: dict[str, str] = {}

    @classmethod
    def of(
        cls, job: Job, *, task: Literal["run", "self-test"], engine: str, host: str, port: int, secret: str,
        source: ImageSource | None, folder: Path | None,
    ) -> StepJob:  # fmt: skip
        """`folder`: where a copy of the submission lies in the shared folder."""
        return cls(
            task=task, engine=engine, host=host, port=port, secret=secret, run=job.run, attempt=job.attempt,
            limits=asdict(job.limits), argv=job.argv, image=job.image, source=source,
            folder=None if folder is None else str(folder), channel=job.channel is not None,
            env=dict(job.env), labels=dict(job.labels),
        )  # fmt: skip

    def write(self, path: Path) -> None:
        """For this user's eyes only."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(self.model_dump_json())
            file.flush()
            os.fsync(file.fileno())

    def engine_job(self, *, channel: Path | None, image: str | None, gpus: tuple[str, ...], env: dict[str, str]) -> Job:
        """The job as the compute node's own engine takes it."""
        whole = {key: value if key in ("cpus", "seconds") else int(value) for key, value in self.limits.items()}
        return Job(
            run=self.run, attempt=self.attempt, limits=Limits(**whole), argv=self.argv, image=image,  # type: ignore[arg-type]
            folder=None if self.folder is None else Path(self.folder), channel=channel, env={**self.env, **env},
            labels=self.labels, gpus=gpus,
        )  # fmt: skip
