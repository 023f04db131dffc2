"""Self-test of the Docker engine."""

from __future__ import annotations

from typing import Any, Protocol

from docker.errors import APIError

from docker import APIClient
from runners.contract import EngineReport
from runners.engines import _self_test
from runners.engines._docker_api import retried
from runners.engines._docker_runtime import Runtime
from runners.engines.base import Engine
from runners.errors import RetryableError


class _DockerEngine(Engine, Protocol):
    @property
    def client(self) -> APIClient: ...

    @property
    def container_runtime(self) -> Runtime: ...


def run(engine: _DockerEngine, *, base: str, runtime: str) -> EngineReport:
    """Ask the daemon, look for its runtime and the platform's images, start probes, report."""
    try:
        info = retried(engine.client.info)
        taken = engine.container_runtime
        missing = [image for image in (base, runtime) if not engine.has_image(image)]
    except (RetryableError, APIError) as error:
        return EngineReport(name=engine.name, ok=False, problems=(str(error),))
    version = str(info.get("ServerVersion", ""))
    if missing:
        text = f"missing on this node: {', '.join(missing)}; run `make image-base`"
        return EngineReport(name=engine.name, ok=False, version=version, problems=(text,))
    found, seen = _self_test.problems(engine, image=base, own_kernel=taken.gvisor)
    return EngineReport(
        name=engine.name, ok=not found, version=version, isolation=_isolation(taken, info),
        not_enforced=tuple(_not_enforced(taken, info, seen)), problems=tuple(found),
    )  # fmt: skip


def _options(info: dict[str, Any]) -> str:
    return ",".join(info.get("SecurityOptions") or ())


def _isolation(taken: Runtime, info: dict[str, Any]) -> str:
    options = _options(info)
    # gVisor answers system calls itself: the daemon's filters are for processes on the host's kernel.
    known = ("userns", "rootless") if taken.gvisor else ("seccomp", "apparmor", "selinux", "userns", "rootless")
    return ", ".join([taken.isolation, *(layer for layer in known if f"name={layer}" in options)])


def _not_enforced(taken: Runtime, info: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    missing = _of_gvisor(taken) if taken.gvisor else _of_runc(info, seen)
    if not info.get("SwapLimit", True):
        missing.append("swap: the kernel does not count it, so memory may exceed its limit by the swap in use")
    return missing


def _of_runc(info: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    missing = ["a kernel of its own: a hole in this host's kernel or in runc is a way out (gVisor has one)"]
    if seen and not seen["seccomp"]:
        missing.append("seccomp: the daemon runs containers without a filter")
    if "name=userns" not in _options(info) and "name=rootless" not in _options(info):
        missing.append("user namespaces: user 65534 in the container is user 65534 on the host")
    return missing


def _of_gvisor(taken: Runtime) -> list[str]:
    missing = [
        "number of files on /tmp and /dev/shm: bounded by memory alone",
        "memory of one process: at the limit the whole sandbox ends, and gVisor's own memory counts",
    ]
    if not taken.gpus:
        missing.append("GPUs: none are shown to a sandbox (gVisor without --nvproxy)")
    return missing
