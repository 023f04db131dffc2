"""Containers by the Docker daemon, with every limit it offers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException
from docker.types import LogConfig, Mount, Ulimit
from docker.utils import kwargs_from_env

from docker import APIClient
from runners.contract import EngineReport, Verdict
from runners.engines import _docker_images, _docker_test, _limits
from runners.engines._docker_api import explain, retried, settled, start_fault
from runners.engines._docker_sandbox import DockerSandbox
from runners.engines.base import Job
from runners.errors import ParticipantFault, RetryableError
from runners.registry import engine

BASE_IMAGE = "touchstone/base:1"
RUNTIME_IMAGE = "touchstone/runtime:1"
_TIMEOUT = 120
_CONFLICT, _GONE = 409, 404
_PERIOD = 100_000
#: Free bytes that images of finished runs leave to others.
_ROOM = 32 * 2**30


@engine("docker")
class DockerEngine:
    """`runtime` is the image of jobs that name none: the platform's own Python."""

    name = "docker"

    def __init__(self, *, runtime: str = RUNTIME_IMAGE, base: str = BASE_IMAGE) -> None:
        self._runtime = runtime
        self._base = base
        self._api: APIClient | None = None
        self._owner = 0

    @property
    def client(self) -> APIClient:
        """The connection, made on first use in each process. Raises `RetryableError` if there is no daemon.

        A node forks its workers and judges: two processes on one inherited connection would read each other's answers.
        """
        if self._api is None or self._owner != os.getpid():
            try:
                self._api = APIClient(timeout=_TIMEOUT, **kwargs_from_env())
            except DockerException as error:
                raise RetryableError(f"the Docker daemon does not answer: {error}", code="engine_gone") from error
            self._owner = os.getpid()
        return self._api

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
        started = time.time()
        if job.image is not None:
            self._refuse_volumes(job.image)
        container = self._create(job)
        try:
            retried(lambda: self.client.start(container))
        except APIError as error:
            self._remove(container)
            raise start_fault(error, foreign=job.image is not None) from error
        except BaseException:
            self._remove(container)
            raise
        return DockerSandbox(self.client, container, job.limits, started=started)

    def load_image(self, archive: Path, *, limit: int) -> str:
        """Take a checked `docker save` archive; return its id, `sha256:…`. Raises `UserError`."""
        return _docker_images.load(self.client, archive, limit=limit)

    def has_image(self, image: str) -> bool:
        """Whether the daemon holds `image` (id, digest or tag)."""
        return settled(lambda: self.client.inspect_image(image), fine=(_GONE,)) is not None

    def image_used(self, image: str) -> None:
        """Remove an image that came as an archive once the daemon's disk gets full; until then it is kept for others.

        An image with a name is somebody's own, and one in use stays: the daemon refuses to remove it.
        """
        found = settled(lambda: self.client.inspect_image(image), fine=(_GONE,))
        if found is None or found.get("RepoTags") or _has_room(settled(self.client.info, fine=())):
            return
        settled(lambda: self.client.remove_image(found["Id"]), fine=(_GONE, _CONFLICT))

    def reap(self, keep: Collection[str]) -> list[str]:
        """Remove containers of this node's runs that are not in `keep`, and those of anybody past their deadline."""
        removed: list[str] = []
        found = settled(lambda: self.client.containers(all=True, filters={"label": "touchstone.run"}), fine=())
        for container in found:
            labels = container["Labels"]
            ours = labels.get("touchstone.node") == _limits.NODE and labels["touchstone.run"] not in keep
            if ours or _limits.is_gone(labels.get("touchstone.worker", "")) or _is_late(labels):
                self._remove(container["Id"])
                removed.append(container["Names"][0].lstrip("/"))
        return removed

    def _refuse_volumes(self, image: str) -> None:
        """A volume that an image declares is a folder of the host's disk: writable, without a limit."""
        found = settled(lambda: self.client.inspect_image(image), fine=(_GONE,))
        volumes = sorted((found or {}).get("Config", {}).get("Volumes") or ())
        if volumes:
            text = f"The image declares volumes ({', '.join(volumes)[:200]}); a sandbox can write /tmp only."
            hint = "Build it without VOLUME, from a base image without one."
            raise ParticipantFault(Verdict.CRASH, text, hint=hint, code="image_volumes")

    def _create(self, job: Job) -> str:
        name = f"touchstone-{job.run}"
        for last in (False, True):
            try:
                made = retried(lambda: self.client.create_container(name=name, **self._settings(job)))
                return str(made["Id"])
            except APIError as error:
                status = error.response.status_code if error.response is not None else 0
                if status == _GONE:
                    raise self._no_image(job, error) from error
                if status != _CONFLICT or last:
                    raise start_fault(error, foreign=job.image is not None) from error
                self._replace(name, job)
        raise AssertionError("unreachable")

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
        labels = found["Config"]["Labels"] or {}
        older = int(labels.get("touchstone.attempt", "0")) < job.attempt
        if not (older or _limits.is_gone(labels.get("touchstone.worker", "")) or not found["State"]["Running"]):
            text = f"attempt {labels.get('touchstone.attempt')} of run {job.run} is still running on this node"
            raise RetryableError(text, code="run_conflict")
        self._remove(found["Id"])

    def _remove(self, container: str) -> None:
        settled(lambda: self.client.remove_container(container, force=True, v=True), fine=(_GONE, _CONFLICT))

    def _settings(self, job: Job) -> dict[str, Any]:
        limits = job.limits
        deadline = int(time.time() + limits.seconds)
        settings: dict[str, Any] = {
            "image": job.image or self._runtime, "user": f"{_limits.UID}:{_limits.UID}", "hostname": "sandbox",
            "environment": _limits.environment(job), "network_disabled": True, "host_config": self._host(job),
            "healthcheck": {"test": ["NONE"]},  # an image's own would be run by the daemon, as often as it likes
            "labels": {
                **job.labels, "touchstone.run": job.run, "touchstone.attempt": str(job.attempt),
                "touchstone.deadline": str(deadline), "touchstone.worker": _limits.worker_id(),
                "touchstone.node": _limits.NODE,
            },
        }  # fmt: skip
        if job.argv:
            settings |= {"entrypoint": list(job.argv[:1]), "command": list(job.argv[1:])}
        if job.image is None:
            settings["working_dir"] = _limits.SUBMISSION if job.folder is not None else "/tmp"  # noqa: S108
        if limits.seconds <= 0:
            raise RetryableError("a job needs time to run", code="engine_use")
        return settings

    def _host(self, job: Job) -> Any:
        limits = job.limits
        shown = {_limits.SUBMISSION: job.folder, _limits.CHANNEL: job.channel}
        mounts = [
            Mount(target, str(folder.resolve()), type="bind", read_only=True)
            for target, folder in shown.items()
            if folder is not None
        ]
        log = {"max-size": f"{max(limits.log, 4096)}", "max-file": "2"}
        return self.client.create_host_config(
            network_mode="none", read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"], init=True,
            ipc_mode="private", tmpfs={"/tmp": f"size={limits.tmp},mode=1777,nosuid,nodev,noexec"},  # noqa: S108
            shm_size=min(limits.tmp, 64 * 2**20), mem_limit=limits.memory, memswap_limit=limits.memory,
            pids_limit=limits.pids, cpu_period=_PERIOD, cpu_quota=max(1000, int(limits.cpus * _PERIOD)),
            ulimits=[
                Ulimit(name="nofile", soft=limits.files, hard=limits.files),
                Ulimit(name="fsize", soft=limits.tmp, hard=limits.tmp), Ulimit(name="core", soft=0, hard=0),
            ],
            log_config=LogConfig(type="json-file", config=log), mounts=mounts,
        )  # fmt: skip


def _has_room(info: dict[str, Any]) -> bool:
    """Whether the daemon's disk has room for images to keep; unknown for a daemon on another host: then it has not."""
    root = Path(str(info.get("DockerRootDir", "")))
    return root.is_dir() and shutil.disk_usage(root).free >= _ROOM


def _is_late(labels: dict[str, str]) -> bool:
    deadline = labels.get("touchstone.deadline", "")
    return deadline.isdigit() and time.time() > int(deadline) + 60
