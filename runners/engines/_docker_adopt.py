"""Taking over a container whose supervisor was killed: it runs on, and has its model loaded."""

from __future__ import annotations

import time
from typing import Any

from docker import APIClient
from runners.engines import _docker_owner, _limits
from runners.engines._docker_api import settled
from runners.engines._docker_runtime import Runtime
from runners.engines._docker_sandbox import DockerSandbox
from runners.engines._docker_settings import fingerprint
from runners.engines.base import Job

_GONE = 404
#: Share of its time that a container must have left: with less, starting another is the better bet.
_ENOUGH = 0.5


def adopt(client: APIClient, job: Job, *, image: str, runtime: Runtime) -> DockerSandbox | None:
    """The container of an earlier attempt of the same run, if it is the one that `job` would start; else None.

    Its time goes on from where it was: it ends at the moment that was set when it was started.
    """
    file = _docker_owner.beside(job.channel)
    if file is None:  # nothing could talk to it
        return None
    with _docker_owner.held(file) as opened:
        found = settled(lambda: client.inspect_container(f"touchstone-{job.run}"), fine=(_GONE,))
        if opened is None or found is None or not _fits(client, found, job, image=image, runtime=runtime):
            return None
        labels = found["Config"]["Labels"]
        owner = _docker_owner.read(found["Id"], labels, file)
        if not owner.is_gone or owner.attempt >= job.attempt:
            return None
        _docker_owner.write(opened, container=found["Id"], attempt=job.attempt)
    return DockerSandbox(
        client, found["Id"], job.limits, started=float(labels["touchstone.started"]), owner=file,
        seconds=float(labels["touchstone.deadline"]) - time.time(),
    )  # fmt: skip


def _fits(client: APIClient, found: dict[str, Any], job: Job, *, image: str, runtime: Runtime) -> bool:
    labels = found["Config"]["Labels"] or {}
    state = found["State"]
    if not state["Running"] or state.get("Paused") or labels.get("touchstone.node") != _limits.NODE:
        return False
    told = fingerprint(client, job, image=image, runtime=runtime)
    if labels.get("touchstone.run") != job.run or labels.get("touchstone.job") != told:
        return False
    if float(labels["touchstone.deadline"]) - time.time() < _ENOUGH * job.limits.seconds:
        return False
    wanted = settled(lambda: client.inspect_image(image), fine=(_GONE,))
    return wanted is not None and found["Image"] == wanted["Id"]
