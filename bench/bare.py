"""What a container costs without a platform: the `docker` command, and the same questions asked by hand."""

from __future__ import annotations

import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runners.channel.client import OipClient
from runners.channel.listener import Listener
from runners.channel.oip import Expected
from runners.judge.asking import batch_items

_SECONDS = 120.0
#: The limits that the platform's Docker engine sets.
_HARDENED = (
    "--init", "--network", "none", "--read-only", "--tmpfs", "/tmp:size=64m,mode=1777,nosuid,nodev,noexec",
    "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65534:65534", "--ipc", "private",
    "--memory", "1g", "--memory-swap", "1g", "--pids-limit", "128", "--cpus", "1",
)  # fmt: skip


class BareError(Exception):
    """A bare container did not do what it should."""


def build(folder: Path) -> str:
    """An image of the folder's Dockerfile; its tag."""
    tag = f"touchstone-bench/{uuid.uuid4().hex[:12]}:1"
    _docker("build", "--quiet", "--tag", tag, str(folder))
    return tag


def remove(tag: str) -> None:
    """Untag the image."""
    _docker("image", "rm", "--force", tag)


def true(image: str) -> float:
    """Seconds of `docker run --rm IMAGE true`, as anybody types it: the least that a container costs."""
    began = time.monotonic()
    _docker("run", "--rm", image, "true")
    return time.monotonic() - began


def asked(image: str, questions: Sequence[Any], *, classes: int) -> float:
    """Seconds from `docker run` until the container has answered `questions`, (n, *shape) each, and is gone."""
    name = f"touchstone-bench-{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as work, Listener(Path(work)) as listener:
        began = time.monotonic()
        argv = [
            "docker", "run", "--rm", "--name", name, *_HARDENED, "--volume", f"{listener.folder}:/run/touchstone:ro",
            "--env", "TOUCHSTONE_SOCKET=/run/touchstone/channel.sock", "--env", "OMP_NUM_THREADS=1",
            "--env", "OPENBLAS_NUM_THREADS=1", "--env", "PYTHONDONTWRITEBYTECODE=1", image,
        ]  # fmt: skip
        container = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _ask(listener, container, questions, classes)
        finally:
            subprocess.run(["docker", "kill", name], capture_output=True, timeout=_SECONDS)
            container.communicate(timeout=_SECONDS)
        return time.monotonic() - began


def _ask(listener: Listener, container: subprocess.Popen[bytes], questions: Sequence[Any], classes: int) -> None:
    def alive() -> None:
        if container.poll() is not None:
            said = container.stderr.read().decode(errors="replace") if container.stderr else ""
            raise BareError(f"the bare container ended with status {container.returncode}: {said.strip()[-1000:]}")

    client = OipClient(listener, alive=alive)
    until = time.monotonic() + _SECONDS
    try:
        client.wait_ready(until)
        client.describe(until)
        for x in questions:
            size = batch_items(x)
            for start in range(0, len(x), size):
                part = x[start : start + size]
                client.infer({"x": part}, [Expected("", (len(part), classes), ("FP32", "FP64"))], deadline=until)
    finally:
        client.close()


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise BareError(f"docker {arguments[0]} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout
