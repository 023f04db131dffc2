"""Devices of this node: found by `nvidia-smi`, and leased so that no two runs ever share one.

A lease is a lock on a file of the device's name below the node's folder, and on one in a folder that all nodes of the
host share. The kernel lets go of it when the process that holds it ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import structlog

from runners.contract import GpuInfo
from runners.errors import RetryableError
from runners.node.locks import host_lock

log = structlog.get_logger(__name__)

_TIMEOUT_S = 20
_UUID = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True)
class Found:
    """`problem`: why devices cannot be used although their driver is installed."""

    gpus: tuple[GpuInfo, ...] = ()
    problem: str = ""


def discover(environ: Mapping[str, str] = os.environ) -> Found:
    """The devices of this machine; none where there is no `nvidia-smi`.

    `TOUCHSTONE_GPUS` (UUIDs with commas between) restricts them; one that is not there is a problem, for the
    operator meant to lend it. `TOUCHSTONE_GPUS=none` lends none.
    """
    wanted = tuple(part.strip() for part in (environ.get("TOUCHSTONE_GPUS") or "").split(",") if part.strip())
    if wanted == ("none",) or shutil.which("nvidia-smi") is None:
        return Found(problem="TOUCHSTONE_GPUS names devices, but nvidia-smi is not there" if _named(wanted) else "")
    try:
        gpus = tuple(_gpu(line) for line in _ask("gpu", "uuid,name,memory.total"))
    except (RetryableError, ValueError) as error:
        return Found(problem=error.message if isinstance(error, RetryableError) else str(error))
    missing = set(wanted) - {gpu.uuid for gpu in gpus}
    problem = f"nvidia-smi knows no device {', '.join(sorted(missing))}; TOUCHSTONE_GPUS names it" if missing else ""
    return Found(tuple(gpu for gpu in gpus if not wanted or gpu.uuid in wanted), problem)


def _named(wanted: tuple[str, ...]) -> bool:
    return bool(wanted) and wanted != ("none",)


def _ask(what: str, fields: str) -> list[str]:
    """Lines of `nvidia-smi --query-<what>=<fields>`. Raises `RetryableError` where it fails."""
    argv = ["nvidia-smi", f"--query-{what}={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RetryableError(f"nvidia-smi does not answer: {error}", code="gpu_broken") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[:300]
        raise RetryableError(f"nvidia-smi failed with status {done.returncode}: {said}", code="gpu_broken")
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _gpu(line: str) -> GpuInfo:
    """One line: uuid, name (which may hold commas), MiB. Raises `ValueError` for anything else."""
    uuid, _, rest = line.partition(",")
    name, _, memory = rest.rpartition(",")
    if not _UUID.fullmatch(uuid.strip()) or not memory.strip().isdigit():
        raise ValueError(f"nvidia-smi said {line[:200]!r}, which is not uuid, name and memory")
    return GpuInfo(uuid=uuid.strip(), name=name.strip()[:100], memory=int(memory) * 2**20)


class Lease:
    """One device, ours until `close` or the end of this process."""

    def __init__(self, uuid: str, locks: ExitStack) -> None:
        self.uuid = uuid
        self._locks = locks

    def close(self) -> None:
        """Let the device go. Safe to repeat."""
        self._locks.close()


def lease(folder: Path, gpus: Collection[GpuInfo], *, shared: Path | None = None, ours: bool = True) -> Lease | None:
    """A device that nobody has, or None. One that foreign processes use is left alone, and said to be.

    `folder` is the node's own; `shared` that of all nodes of this host. Where the latter cannot be used, the log says
    why, and other nodes are not known of. `ours`: they are devices of this machine; who uses those of a cluster is the
    cluster's to know.

    Raises `RetryableError` where nvidia-smi cannot tell who uses them.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for gpu in gpus:
        with ExitStack() as locks:
            if not _locked(locks, folder, shared, f"{gpu.uuid}.lock"):
                continue
            foreign = users(gpu.uuid) if ours else []
            if not foreign:
                return Lease(gpu.uuid, locks.pop_all())
        log.warning("device in use by others, not leased", gpu=gpu.uuid, processes=foreign)
    return None


def _locked(locks: ExitStack, folder: Path, shared: Path | None, name: str) -> bool:
    """The node's own lock first: its processes must agree even while the host's folder comes and goes."""
    try:
        fcntl.flock(locks.enter_context((folder / name).open("a")), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if shared is None:
        return True
    try:
        locks.enter_context(host_lock(shared, name))
    except BlockingIOError:
        return False
    except OSError as error:
        _tell(str(shared), str(error))
    return True


@lru_cache(maxsize=16)
def _tell(shared: str, error: str) -> None:
    """Once for each reason: devices are leased all the time."""
    log.error(
        "devices are leased for this node alone: another node on this host could lease the same",
        folder=shared, error=error,
        next="have root make a folder that only the nodes' users may write in, and name it by TOUCHSTONE_GPU_LOCKS",
    )  # fmt: skip


def users(uuid: str) -> list[str]:
    """Processes that compute on a device: of a run that did not end, or of somebody outside Touchstone."""
    lines = _ask("compute-apps", "gpu_uuid,pid")
    return [pid.strip() for owner, _, pid in (line.partition(",") for line in lines) if owner.strip() == uuid]
