"""Containers whose step on this compute node is gone: they are in the daemon's cgroup, and Slurm does not end them.

`python -m runners.engines._slurm_orphans NODE` waits until its standard input ends, as it does with the step that
started it, and then removes what that step left. Where Slurm kills it as well, the next step here does that.
"""

from __future__ import annotations

import re
import subprocess
import sys

from runners.engines import _docker_owner, _limits
from runners.engines._docker_api import settled
from runners.engines.docker import DockerEngine

#: A dot tells a step's from a node's own name, which ends in eight digits of a hash.
_NODE = re.compile(r"slurm\.\w+")
_GONE, _CONFLICT = 404, 409


def node_of(job: str) -> str:
    """What a step's sandboxes are named after: two steps on one machine leave each other's alone."""
    return f"slurm.{job}"


def is_a_step(node: str) -> bool:
    """Whether a sandbox's node is a step of Slurm."""
    return _NODE.fullmatch(node) is not None


def reap(engine: DockerEngine, *, ended: str = "") -> list[str]:
    """Remove containers of steps that are gone, at once: none is ever taken over. `ended`: a step known to be."""
    removed: list[str] = []
    client = engine.client
    found = settled(lambda: client.containers(all=True, filters={"label": "touchstone.run"}), fine=())
    for container in found:
        labels: dict[str, str] = container["Labels"]
        node = labels.get("touchstone.node", "")
        gone = node == ended or _limits.is_gone(labels.get("touchstone.worker", ""))
        if is_a_step(node) and gone:
            name = container["Id"]
            settled(lambda name=name: client.remove_container(name, force=True, v=True), fine=(_GONE, _CONFLICT))  # type: ignore[misc]
            _docker_owner.forget(_docker_owner.file_of(container.get("Mounts") or ()))
            removed.append(container["Names"][0].lstrip("/"))
    return removed


def watch() -> None:
    """Start a program that outlives this step, however it ends, and clears up after it."""
    argv = [sys.executable, "-m", "runners.engines._slurm_orphans", _limits.NODE]
    # Its end of the pipe is closed by the kernel with this process, so nothing here holds or waits for it.
    _WATCHES.append(subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True))


_WATCHES: list[subprocess.Popen[bytes]] = []


if __name__ == "__main__":
    sys.stdin.buffer.read()
    reap(DockerEngine(), ended=sys.argv[1])
