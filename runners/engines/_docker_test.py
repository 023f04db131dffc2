"""Self-test of the Docker engine."""

from __future__ import annotations

from typing import Any, Protocol

from docker.errors import APIError

from docker import APIClient
from runners.contract import EngineReport
from runners.engines import _self_test
from runners.engines._docker_api import retried
from runners.engines.base import Engine
from runners.errors import RetryableError


class _DockerEngine(Engine, Protocol):
    @property
    def client(self) -> APIClient: ...


def run(engine: _DockerEngine, *, base: str, runtime: str) -> EngineReport:
    """Ask the daemon, look for the platform's images, start probes, report."""
    try:
        info = retried(engine.client.info)
        missing = [image for image in (base, runtime) if not engine.has_image(image)]
    except (RetryableError, APIError) as error:
        return EngineReport(name=engine.name, ok=False, problems=(str(error),))
    version = str(info.get("ServerVersion", ""))
    if missing:
        text = f"missing on this node: {', '.join(missing)}; run `make image-base`"
        return EngineReport(name=engine.name, ok=False, version=version, problems=(text,))
    found, seen = _self_test.problems(engine, image=base)
    return EngineReport(
        name=engine.name, ok=not found, version=version, isolation=_isolation(info),
        not_enforced=tuple(_not_enforced(info, seen)), problems=tuple(found),
    )  # fmt: skip


def _options(info: dict[str, Any]) -> str:
    return ",".join(info.get("SecurityOptions") or ())


def _isolation(info: dict[str, Any]) -> str:
    layers = [str(info.get("DefaultRuntime", "runc"))]
    options = _options(info)
    layers += [
        layer for layer in ("seccomp", "apparmor", "selinux", "userns", "rootless") if f"name={layer}" in options
    ]
    return ", ".join(layers)


def _not_enforced(info: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    missing = []
    if seen and not seen["seccomp"]:
        missing.append("seccomp: the daemon runs containers without a filter")
    if "name=userns" not in _options(info) and "name=rootless" not in _options(info):
        missing.append("user namespaces: user 65534 in the container is user 65534 on the host")
    if not info.get("SwapLimit", True):
        missing.append("swap: the kernel does not count it, so memory may exceed its limit by the swap in use")
    return missing
