"""What the daemon starts a container with: runc, which shares the host's kernel, or gVisor, which brings one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import APIClient
from runners.engines._docker_api import settled
from runners.errors import RetryableError

#: For an operator to paste. Its platform needs no KVM; `--fsgofer-host-uds` lets a sandbox dial the platform's socket.
GVISOR_SETTINGS = (
    '{"runtimes": {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": '
    '["--platform=ptrace", "--network=none", "--fsgofer-host-uds"]}}}'
)


@dataclass(frozen=True)
class Runtime:
    """`name` as the daemon knows it. `gpus`: it can show devices to a sandbox. `seccomp`: the host's kernel filters."""

    name: str
    version: str = ""
    gvisor: bool = False
    gpus: bool = True
    seccomp: bool = False

    @property
    def isolation(self) -> str:
        """In words, for a report."""
        named = f"{self.name} {self.version}".strip()
        return f"gVisor ({named})" if self.gvisor else named


def find(client: APIClient, wanted: str) -> Runtime:
    """The runtime named `wanted`, or the daemon's default where that is empty.

    Raises `RetryableError` where the daemon has none of that name: another one is never taken instead.
    """
    info = settled(client.info, fine=())
    known: dict[str, Any] = info.get("Runtimes") or {}
    name = wanted or str(info.get("DefaultRuntime") or "runc")
    if name not in known:
        raise RetryableError(_missing(name, known), code="node_misconfigured")
    path = str(known[name].get("path", ""))
    arguments = [str(argument) for argument in known[name].get("runtimeArgs") or ()]
    if "runsc" not in Path(path).name:
        seccomp = any("name=seccomp" in str(option) for option in info.get("SecurityOptions") or ())
        return Runtime(name, version=_runc_version(client) if name == "runc" else "", seccomp=seccomp)
    gpus = any(argument.startswith("--nvproxy") and not argument.endswith("=false") for argument in arguments)
    return Runtime(name, version=_runsc_version(path), gvisor=True, gpus=gpus)


def _missing(name: str, known: dict[str, Any]) -> str:
    text = f"the Docker daemon has no runtime {name!r} (TOUCHSTONE_DOCKER_RUNTIME); it has {', '.join(sorted(known))}"
    if "runsc" not in name:
        return f"{text}. Name one of these, or add it to `runtimes` in /etc/docker/daemon.json and reload the daemon"
    return (
        f"{text}. Install gVisor (Debian: apt install runsc), put this into /etc/docker/daemon.json and restart the "
        f"daemon: {GVISOR_SETTINGS}"
    )


def _runc_version(client: APIClient) -> str:
    parts = settled(client.version, fine=()).get("Components") or ()
    details = next((part.get("Details") or {} for part in parts if part.get("Name") == "runc"), {})
    # With the distribution's revision, where it tells: that is what says which holes are closed.
    plain = next((str(part.get("Version", "")) for part in parts if part.get("Name") == "runc"), "")
    commit = str(details.get("GitCommit", ""))
    return commit if commit.startswith(plain.partition("+")[0]) and plain else plain


def _runsc_version(path: str) -> str:
    """Asked of the program itself; empty where the daemon runs on another host."""
    if not Path(path).is_file():
        return ""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=20).stdout
    first = said.partition("\n")[0]
    return first.removeprefix("runsc version ").strip()
