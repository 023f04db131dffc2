"""What every engine gives a sandbox alike: its environment, and names that outlive the process that made them."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterable
from math import ceil
from pathlib import Path

from runners.contract import Verdict
from runners.engines.base import Job, Limits
from runners.errors import ParticipantFault

UID = 65534
SUBMISSION = "/submission"
CHANNEL = "/run/touchstone"
SOCKET = f"{CHANNEL}/channel.sock"


def _node() -> str:
    """Names this node on its host: by its name and folder, so that two nodes that share a name share nothing else."""
    folder = Path(os.environ.get("TOUCHSTONE_NODE_DIR") or ".").resolve()
    name = os.environ.get("TOUCHSTONE_NODE_NAME") or socket.gethostname()
    return f"{name}-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}"


#: Sandboxes are named after their node, so that two nodes on one host leave each other's alone.
NODE = _node()


def environment(job: Job) -> dict[str, str]:
    """The whole environment of a sandbox. Thread pools are told the CPU limit: they look at the host's cores."""
    threads = str(max(1, ceil(job.limits.cpus)))
    fixed = {
        "HOME": "/tmp",  # noqa: S108 - the sandbox's own tmpfs
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
    if job.channel is not None:
        fixed["TOUCHSTONE_SOCKET"] = SOCKET
    return {**fixed, **job.env}


def inodes(limits: Limits) -> int:
    """How many files /tmp may hold, and /dev/shm: an empty one costs the host memory, but none of the size."""
    return 1024 + limits.tmp // 4096


def shared_memory(limits: Limits) -> int:
    """Bytes of /dev/shm."""
    return min(limits.tmp, 64 * 2**20)


def refuse_volumes(volumes: Iterable[str]) -> None:
    """Raises `ParticipantFault` where an image declares any: a folder of the host's disk, writable, without a limit."""
    named = ", ".join(sorted(map(str, volumes)))
    if named:
        text = f"The image declares volumes ({named[:200]}); a sandbox can write /tmp only."
        hint = "Build it without VOLUME, from a base image without one."
        raise ParticipantFault(Verdict.CRASH, text, hint=hint, code="image_volumes")


def start_time(pid: int) -> str:
    """Start time of a process in clock ticks, or "" where there is none; with the pid it names a process for ever."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def worker_id() -> str:
    """`<host>:<pid>:<start time>` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}:{start_time(os.getpid())}"


def is_gone(worker: str) -> bool:
    """Whether the process named by `worker_id` ran on this host and has ended."""
    host, _, rest = worker.partition(":")
    pid, _, started = rest.partition(":")
    return host == socket.gethostname() and pid.isdigit() and start_time(int(pid)) != started
