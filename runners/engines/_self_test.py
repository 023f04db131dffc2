"""Probes common to all engines: start real sandboxes, let them try to break out, list what succeeded."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runners.engines.base import Engine, Exit, Job, Limits
from runners.errors import ParticipantFault, RetryableError

_SOURCE = Path(__file__).with_name("_probe.py").read_text
_MEMORY = 64 * 2**20
_PIDS = 48
#: Enough that processes meet their own limit first: to gVisor each costs 5 MB more than it has.
_FORKS_MEMORY = 2**30
_NO_CHANNEL = "it cannot reach the platform's socket"
_NO_CHANNEL_GVISOR = ": add --fsgofer-host-uds (newer gVisor: --host-uds=open) to its runtimeArgs in daemon.json"


def _limits(**changes: Any) -> Limits:
    return Limits(**{"memory": 256 * 2**20, "cpus": 1.0, "seconds": 30.0, "tmp": 16 * 2**20, "pids": _PIDS, **changes})


def run_probe(
    engine: Engine, *arguments: str, image: str | None, limits: Limits, channel: Path | None = None
) -> tuple[Exit | None, bytes]:
    """Run the probe to its end; how it ended and what it printed."""
    argv = ("python3" if image else "python", "-c", _SOURCE(), *arguments)
    # A name of its own: two nodes that start together on one host must not take each other's probe for theirs.
    run = f"self-test-{uuid.uuid4().hex[:8]}"
    sandbox = engine.start(Job(run=run, attempt=1, limits=limits, argv=argv, image=image, channel=channel))
    try:
        return sandbox.wait(limits.seconds + 5), sandbox.logs()
    finally:
        sandbox.close()


def _answer(log: bytes) -> dict[str, Any]:
    """The probe's JSON; empty if it printed none."""
    try:
        found: dict[str, Any] = json.loads(log.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {}
    return found


@contextmanager
def _listening() -> Iterator[Path]:
    """A folder as a run's channel has it, where runs have theirs, with a socket that takes connections."""
    parent = os.environ.get("TOUCHSTONE_NODE_DIR") or None
    if parent is not None:
        Path(parent).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".self-test-", dir=parent) as private, socket.socket(socket.AF_UNIX) as end:
        folder = Path(private).resolve() / "run"
        folder.mkdir()
        # As the sandbox's user; the folder around it lets nobody else in. Relative: a socket's path may have 107 bytes.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            end.bind(f"/proc/self/fd/{descriptor}/channel.sock")
        finally:
            os.close(descriptor)
        folder.chmod(0o755)
        (folder / "channel.sock").chmod(0o666)
        end.listen(4)
        yield folder


def judge(seen: dict[str, Any], *, own_kernel: bool = False, interfaces: bool = False) -> list[str]:
    """What of a probe's findings is a breach.

    `own_kernel`: the sandbox has one, and may make namespaces of its own. `interfaces`: it has some, and a policy that
    must let nothing through them.
    """
    breaches = [
        (seen["uid"] != 65534, f"it runs as user {seen['uid']}, not 65534"),
        (int(seen["capabilities"], 16) != 0, f"it has capabilities {seen['capabilities']}"),
        (not seen["no_new_privileges"], "no-new-privileges is not set"),
        (not interfaces and seen["interfaces"] not in (["lo"], []), f"it sees network interfaces {seen['interfaces']}"),
        (seen["connects"], "it reached a network address"),
        (bool(seen["writable"]), f"it wrote {', '.join(seen['writable'])}"),
        (not seen["tmp"], "it cannot write /tmp"),
        (seen["host_root"], "it can read /root"),
        (seen["docker_socket"], "it sees the Docker socket"),
        (seen["processes"] > 8, f"it sees {seen['processes']} processes"),
        (seen["mounts"], "it can mount file systems"),
        (seen["user_namespace"] and not own_kernel, "it can make user namespaces"),
        (own_kernel and seen["kernel"] == os.uname().release, "it sees the kernel of the host, not one of its own"),
        (not seen["channel"], _NO_CHANNEL + (_NO_CHANNEL_GVISOR if own_kernel else "")),
        (any("TOKEN" in key or "SECRET" in key for key in seen["environment"]), "it sees secrets in its environment"),
    ]
    return [text for breach, text in breaches if breach]


def problems(
    engine: Engine, *, image: str | None = None, own_kernel: bool = False, reaches: tuple[str, ...] = ()
) -> tuple[list[str], dict[str, Any]]:
    """Run all probes in `image`; the breaches, and the first probe's findings (empty if it did not run).

    `reaches`: `host:port` of what a sandbox with interfaces would reach if nothing stopped it.
    """
    try:
        with _listening() as channel:
            outcome, log = run_probe(engine, *reaches, image=image, limits=_limits(), channel=channel)
        seen = _answer(log)
        if outcome is None or outcome.code != 0 or not seen:
            said = log.decode("utf-8", "replace").strip()[-500:]
            return [f"the probe did not run to its end ({outcome}): {said}"], {}
        found = judge(seen, own_kernel=own_kernel, interfaces=bool(reaches))
        outcome, _ = run_probe(engine, "memory", image=image, limits=_limits(memory=_MEMORY))
        if outcome is None or (outcome.code == 0 and not outcome.memory):
            found.append("the memory limit is not enforced: 300 MB fitted into 64 MiB")
        outcome, log = run_probe(engine, "forks", "200", image=image, limits=_limits(memory=_FORKS_MEMORY))
        started = _answer(log).get("forks")
        if started is None:
            found.append(f"the probe of the process limit gave no answer ({outcome})")
        elif started > _PIDS:
            found.append(f"the process limit is not enforced: {started} processes, {_PIDS} are allowed")
    except (RetryableError, ParticipantFault) as error:
        return [error.message], {}
    return found, seen
