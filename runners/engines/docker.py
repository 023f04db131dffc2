"""Containers by the Docker daemon, with every limit it offers."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from docker import APIClient
from runners.contract import EngineReport, GpuInfo, ImagePull
from runners.engines import (
    RUNTIME_SETTING,
    _docker_accounts,
    _docker_adopt,
    _docker_images,
    _docker_owner,
    _docker_runtime,
    _docker_test,
    _limits,
)
from runners.engines._docker_api import LOST, explain, image_fault, retried, settled, start_fault
from runners.engines._docker_runtime import Runtime
from runners.engines._docker_sandbox import DockerSandbox
from runners.engines._docker_settings import settings
from runners.engines.base import ImageConfig, Job
from runners.errors import ParticipantFault, RetryableError
from runners.registry import engine

BASE_IMAGE = "touchstone/base:1"
RUNTIME_IMAGE = "touchstone/runtime:1"
_TIMEOUT = 120
_CONFLICT, _GONE = 409, 404
#: A worker that was killed may come back and take its container over: others leave it for so many seconds.
_ORPHAN_S = 60.0


@engine("docker")
class DockerEngine:
    """`runtime` is the image of jobs that name none: the platform's own Python.

    `runtime_name` is what the daemon starts containers with, as its settings name it (`runc`, `runsc`); by default
    TOUCHSTONE_DOCKER_RUNTIME, and where that is empty the daemon's own choice.
    """

    name = "docker"
    takes_images = True
    patience = 0.0
    devices: tuple[GpuInfo, ...] | None = None

    def __init__(
        self, *, runtime: str = RUNTIME_IMAGE, base: str = BASE_IMAGE, runtime_name: str | None = None
    ) -> None:
        self._runtime = runtime
        self._base = base
        self._wanted = os.environ.get(RUNTIME_SETTING, "").strip() if runtime_name is None else runtime_name
        self._found: Runtime | None = None
        self._api: APIClient | None = None
        self._owner = 0
        self._orphans: dict[str, float] = {}

    @property
    def client(self) -> APIClient:
        """The connection, made on first use in each process. Raises `RetryableError` if there is no daemon.

        A node forks its workers and judges: two processes on one inherited connection would read each other's answers.
        """
        if self._api is None or self._owner != os.getpid():
            # A daemon that answered before is only being restarted; one that never did is not waited for.
            self._api = retried(_connect) if self._found is not None else _connect_once()
            self._owner = os.getpid()
        return self._api

    @property
    def container_runtime(self) -> Runtime:
        """What containers are started with. Raises `RetryableError` where the daemon does not have it."""
        if self._found is None:
            self._found = _docker_runtime.find(self.client, self._wanted)
        return self._found

    def close(self) -> None:
        """Hang up. Running sandboxes stay."""
        if self._api is not None:
            self._api.close()
            self._api = None

    def self_test(self) -> EngineReport:
        """Start containers that try to break out; say what is not enforced."""
        return _docker_test.run(self, base=self._base, runtime=self._runtime)

    def start(self, job: Job) -> DockerSandbox:
        """Start a container.

        Raises `ParticipantFault` where the image itself cannot be started, else `RetryableError`.
        """
        words = self._checked(job.image) if job.image is not None else []
        try:
            return self._started(job)
        except APIError as error:
            fault = start_fault(error, foreign=job.image is not None, words=words)
            if job.image is None or isinstance(fault, ParticipantFault) or not self._starts_another(job):
                raise fault from error
        # The daemon's words may be the image's own, by a link of any name: what starts and what does not is no word.
        try:
            return self._started(job)  # the node's trouble may have been short
        except APIError as error:
            raise image_fault(error) from error

    def _started(self, job: Job) -> DockerSandbox:
        """Raises `APIError` where the daemon refuses."""
        started = time.time()
        part = f"-{job.part}" if job.part else ""
        container = self._create(job, f"touchstone-{job.run}{part}")
        self._begin_or_remove(container, foreign=job.image is not None)
        owner = _docker_owner.beside(job.channel)
        return DockerSandbox(self.client, container, job.limits, started=started, owner=owner)

    def _starts_another(self, job: Job) -> bool:
        """Whether an image of the platform's own starts where a participant's did not, with all else the same."""
        known = next((image for image in (self._runtime, self._base) if self.has_image(image)), None)
        if known is None:  # the self-test lets no such node take runs
            return False
        try:
            container = self._create(replace(job, image=known, argv=("true",)), f"touchstone-{job.run}-probe")
            self._begin_or_remove(container, foreign=False)
        except APIError:
            return False
        self._remove(container)
        return True

    def adopt(self, job: Job) -> DockerSandbox | None:
        """Take over the running container of an earlier attempt of this run, whose supervisor is gone.

        None unless it is what `start` would start: same image, command, limits, folders (by inode) and devices, and at
        least half of its time left. It keeps the end that was set at its start; ended there, it counts as lost.
        """
        return _docker_adopt.adopt(self.client, job, image=job.image or self._runtime, runtime=self.container_runtime)

    def pull_image(self, pull: ImagePull, *, limit: int) -> str:
        """Take an image from a registry by its digest; return its id. Raises `UserError`, `RetryableError`."""
        return _docker_images.pull(self.client, pull, limit=limit)

    def load_image(self, archive: Path, *, limit: int) -> str:
        """Take a checked `docker save` archive; return its id, `sha256:…`. Raises `UserError`."""
        return _docker_images.load(self.client, archive, limit=limit)

    def has_image(self, image: str) -> bool:
        """Whether the daemon holds `image` (id, digest or tag)."""
        return settled(lambda: self.client.inspect_image(image), fine=(_GONE,)) is not None

    def image_config(self, image: str) -> ImageConfig:
        """How an image is started and its labels. Raises `RetryableError` where the daemon does not hold it."""
        found = settled(lambda: self.client.inspect_image(image), fine=(_GONE,))
        if found is None:
            raise RetryableError("the image is not on this node", code="image_missing")
        told = found.get("Config") or {}
        command = [*(told.get("Entrypoint") or ()), *(told.get("Cmd") or ())]
        return ImageConfig(tuple(map(str, command)), told.get("Labels") or {})

    def image_used(self, image: str) -> None:
        """Keep a participant's image for its next run, and remove those used longest ago where there is no room."""
        _docker_images.used(self.client, image)

    def reap(self, keep: Collection[str]) -> list[str]:
        """Remove containers of this node's runs that are not in `keep`, and those of anybody past their deadline.

        Those of another node on this host go a minute after their worker did: it may come back and take them over.
        """
        removed: list[str] = []
        found = settled(lambda: self.client.containers(all=True, filters={"label": "touchstone.run"}), fine=())
        for container in found:
            file = _docker_owner.file_of(container.get("Mounts") or ())
            if not self._is_left(container, file, keep):
                continue
            with _docker_owner.held(file):
                if self._is_left(container, file, keep):
                    self._remove(container["Id"])
                    _docker_owner.forget(file)
                    removed.append(container["Names"][0].lstrip("/"))
        self._orphans = {key: since for key, since in self._orphans.items() if key in {c["Id"] for c in found}}
        return removed

    def _is_left(self, container: dict[str, Any], file: Path | None, keep: Collection[str]) -> bool:
        labels: dict[str, str] = container["Labels"]
        if _is_late(labels):
            return True
        if labels.get("touchstone.node") == _limits.NODE:
            return labels["touchstone.run"] not in keep
        if not _docker_owner.read(container["Id"], labels, file).is_gone:
            self._orphans.pop(container["Id"], None)
            return False
        return time.monotonic() - self._orphans.setdefault(container["Id"], time.monotonic()) > _ORPHAN_S

    def _checked(self, image: str) -> list[str]:
        """What of an image's settings the daemon may quote. Refuses one that declares volumes."""
        found = settled(lambda: self.client.inspect_image(image), fine=(_GONE,))
        told = (found or {}).get("Config") or {}
        _limits.refuse_volumes(told.get("Volumes") or ())
        return [*(told.get("Entrypoint") or ()), *(told.get("Cmd") or ()), str(told.get("WorkingDir") or "")]

    def _create(self, job: Job, name: str) -> str:
        for last in (False, True):
            told = settings(self.client, job, image=job.image or self._runtime, runtime=self.container_runtime)
            try:
                made = retried(lambda told=told: self.client.create_container(name=name, **told))  # type: ignore[misc]
                return str(made["Id"])
            except APIError as error:
                status = error.response.status_code if error.response is not None else 0
                if status == _GONE:
                    raise self._no_image(job, error) from error
                if status != _CONFLICT or last:
                    raise
                self._replace(name, job)
        raise AssertionError("unreachable")

    def _begin_or_remove(self, container: str, *, foreign: bool) -> None:
        try:
            if foreign:
                _docker_accounts.check(self.client, container)
            self._begin(container)
        except BaseException:
            self._remove(container)
            raise

    def _begin(self, container: str) -> None:
        """Start it once: a daemon that was lost while it did so may have done it."""
        asked = False

        def begin() -> None:
            nonlocal asked
            if asked and self.client.inspect_container(container)["State"]["Status"] != "created":
                return
            asked = True
            self.client.start(container)

        retried(begin)

    def _no_image(self, job: Job, error: APIError) -> RetryableError:
        if job.image is None:
            text = f"the image {self._runtime} is missing on this node; run `make image-base` on it"
            return RetryableError(text, code="runtime_missing")
        return RetryableError(f"the image is not on this node: {explain(error)}", code="image_missing")

    def _replace(self, name: str, job: Job) -> None:
        """The name is a lock: an older attempt's container, or one nobody watches any more, gives way."""
        found = settled(lambda: self.client.inspect_container(name), fine=(_GONE,))
        if found is None:
            return
        file = _docker_owner.file_of(found.get("Mounts") or ())
        with _docker_owner.held(file):
            owner = _docker_owner.read(found["Id"], found["Config"]["Labels"] or {}, file)
            if found["State"]["Running"] and not owner.is_gone and owner.attempt >= job.attempt:
                text = f"attempt {owner.attempt} of run {job.run} is still running on this node"
                raise RetryableError(text, code="run_conflict")
            self._remove(found["Id"])
            _docker_owner.forget(file)

    def _remove(self, container: str) -> None:
        settled(lambda: self.client.remove_container(container, force=True, v=True), fine=(_GONE, _CONFLICT))


def _connect() -> APIClient:
    return APIClient(timeout=_TIMEOUT, **kwargs_from_env())


def _connect_once() -> APIClient:
    try:
        return _connect()
    except (*LOST, DockerException) as error:
        raise RetryableError(f"the Docker daemon does not answer: {error}", code="engine_gone") from error


def _is_late(labels: dict[str, str]) -> bool:
    deadline = labels.get("touchstone.deadline", "")
    return deadline.isdigit() and time.time() > int(deadline) + 60
