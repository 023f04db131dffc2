"""Self-test of the bubblewrap engine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from runners.contract import EngineReport
from runners.engines import _cgroups, _seccomp, _self_test
from runners.engines.base import Engine


def run(engine: Engine, *, binary: Path, root: bool, cgroups: bool) -> EngineReport:
    """Start probes and report."""
    grouped = cgroups and bool(_cgroups.parents())
    found, seen = _self_test.problems(engine)
    if seen and not seen["seccomp"] and _seccomp.supported():
        found.append("the seccomp filter is not loaded")
    layers = ["namespaces", *(["cgroups"] if grouped else []), *(["seccomp"] if seen.get("seccomp") else [])]
    return EngineReport(
        name=engine.name, ok=not found, version=_version(binary), isolation=f"bubblewrap: {', '.join(layers)}",
        not_enforced=tuple(_not_enforced(root, grouped=grouped)), problems=tuple(found),
    )  # fmt: skip


def _version(binary: Path) -> str:
    output = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    return output.strip().removeprefix("bubblewrap ")


def _not_enforced(root: bool, *, grouped: bool) -> list[str]:
    missing = [
        "images: only the platform's own Python runtime runs, and it sees this host's /usr",
        "a kernel of its own: a hole in this host's kernel is a way out",
        "GPUs: none are shown to a sandbox",
    ]
    if not root:
        missing.append("noexec on /tmp, and the number of files on /tmp and /dev/shm (the node does not run as root)")
        missing.append(f"a user id of its own: on the host the sandbox is user {os.geteuid()}, who runs the node")
    if not grouped:
        missing += [
            "memory as one sum: looked at every 50 ms, and by RLIMIT_DATA for each process (cgroups cannot be written)",
            "CPU share: only the number of cores is limited (cgroups cannot be written)",
            "processes: by RLIMIT_NPROC, counted over all sandboxes of the same user (cgroups cannot be written)",
        ]
    if not _seccomp.supported():
        missing.append("seccomp: no filter for this processor")
    return missing
