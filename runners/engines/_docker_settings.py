"""What the daemon is told about one container: every limit it offers."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from docker import APIClient
from runners.engines import _docker_seccomp, _limits
from runners.engines._docker_runtime import Runtime
from runners.engines.base import Job
from runners.errors import RetryableError

_PERIOD = 100_000
#: gVisor's own threads, and its processes on the host for each one in the sandbox (6.5 measured): all count.
_GVISOR_PIDS, _GVISOR_PIDS_EACH = 512, 8


def settings(client: APIClient, job: Job, *, image: str, runtime: Runtime) -> dict[str, Any]:
    """The arguments of `create_container`. `image`: what `job` runs. Raises `RetryableError` for an impossible job."""
    if job.limits.seconds <= 0:
        raise RetryableError("a job needs time to run", code="engine_use")
    if job.gpus and not runtime.gpus:
        text = f"the runtime {runtime.name} of this node shows no GPU to a sandbox (gVisor needs --nvproxy for that)"
        raise RetryableError(text, code="node_misconfigured")
    now = int(time.time())
    made = _frame(client, job, image, runtime)
    # All of them, always: a label that is not set here would be the image's own.
    labels = {
        **job.labels, "touchstone.run": job.run, "touchstone.attempt": str(job.attempt),
        "touchstone.deadline": str(now + int(job.limits.seconds)), "touchstone.started": str(now),
        "touchstone.worker": _limits.worker_id(), "touchstone.node": _limits.NODE,
        "touchstone.job": _hash(job, made),
    }  # fmt: skip
    return {**made, "labels": labels}


def fingerprint(client: APIClient, job: Job, *, image: str, runtime: Runtime) -> str:
    """The same for two jobs whose containers would be the same but for their time, run and attempt.

    It is in the label `touchstone.job` of what `settings` makes.
    """
    return _hash(job, _frame(client, job, image, runtime))


def _frame(client: APIClient, job: Job, image: str, runtime: Runtime) -> dict[str, Any]:
    made: dict[str, Any] = {
        "image": image, "user": f"{_limits.UID}:{_limits.UID}", "hostname": "sandbox",
        "environment": _limits.environment(job), "network_disabled": True,
        "host_config": client.create_host_config(**_host(job, runtime)),
        "healthcheck": {"test": ["NONE"]},  # an image's own would be run by the daemon, as often as it likes
    }  # fmt: skip
    if job.argv:
        made |= {"entrypoint": list(job.argv[:1]), "command": list(job.argv[1:])}
    if job.image is None:
        made["working_dir"] = _limits.SUBMISSION if job.folder is not None else "/tmp"  # noqa: S108
    return made


def _hash(job: Job, made: dict[str, Any]) -> str:
    told = [made, _identity(job.folder), _identity(job.channel)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _identity(folder: Path | None) -> list[Any]:
    """A folder by place and inode: one that was removed and made again is another, and no container sees it."""
    if folder is None:
        return []
    found = folder.stat()
    return [str(folder.resolve()), found.st_dev, found.st_ino]


def _host(job: Job, runtime: Runtime) -> dict[str, Any]:
    limits = job.limits
    shown = {_limits.SUBMISSION: job.folder, _limits.CHANNEL: job.channel}
    mounts = [
        Mount(target, str(folder.resolve()), type="bind", read_only=True)
        for target, folder in shown.items()
        if folder is not None
    ]
    ulimits = [
        Ulimit(name="nofile", soft=limits.files, hard=limits.files),
        Ulimit(name="fsize", soft=limits.tmp, hard=limits.tmp), Ulimit(name="core", soft=0, hard=0),
    ]  # fmt: skip
    pids = limits.pids
    if runtime.gvisor:
        # Its kernel counts the sandbox's processes; the host's limit only keeps gVisor itself in bounds.
        ulimits.append(Ulimit(name="nproc", soft=pids, hard=pids))
        pids = _GVISOR_PIDS + _GVISOR_PIDS_EACH * pids
    host: dict[str, Any] = {
        "network_mode": "none", "read_only": True, "cap_drop": ["ALL"], "security_opt": _security(runtime),
        "init": True, "runtime": runtime.name,
        # "none" is a private namespace whose /dev/shm is left to us: the daemon's own has no limit of files.
        "ipc_mode": "none",
        "tmpfs": {"/tmp": _tmpfs(job, limits.tmp), "/dev/shm": _tmpfs(job, _limits.shared_memory(limits))},  # noqa: S108
        "mem_limit": limits.memory, "memswap_limit": limits.memory, "pids_limit": pids, "cpu_period": _PERIOD,
        "cpu_quota": max(1000, int(limits.cpus * _PERIOD)), "ulimits": ulimits, "mounts": mounts,
        "log_config": LogConfig(type="json-file", config={"max-size": f"{max(limits.log, 4096)}", "max-file": "2"}),
    }  # fmt: skip
    if job.gpus:
        host["device_requests"] = [DeviceRequest(device_ids=list(job.gpus), capabilities=[["gpu"]])]
    return host


def _security(runtime: Runtime) -> list[str]:
    # gVisor's kernel answers the calls itself; what a daemon without seccomp lacks, the self-test's report says.
    return ["no-new-privileges", *([f"seccomp={_docker_seccomp.profile()}"] if runtime.seccomp else [])]


def _tmpfs(job: Job, size: int) -> str:
    return f"size={size},nr_inodes={_limits.inodes(job.limits)},mode=1777,nosuid,nodev,noexec"
