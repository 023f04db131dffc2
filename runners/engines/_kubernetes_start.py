"""From a job object to a submission that runs: its pod, its files, its relay."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runners.engines import _limits
from runners.engines._kubernetes_api import Api
from runners.engines._kubernetes_exec import Exec
from runners.engines._kubernetes_manifest import BOOT_SECONDS, RELAY, SUBMISSION, Names
from runners.engines._kubernetes_mux import Mux
from runners.engines._kubernetes_settings import Settings
from runners.engines._kubernetes_states import container, is_running, start_fault, why_pending
from runners.engines._relay import dial_channel
from runners.errors import NO_CAPACITY, RetryableError

_PAUSE = 0.25
_COPY_SECONDS = 600.0
_COMMAND = ["python3", "-m", "runners.engines._kubernetes_relay"]


class _Sink(io.RawIOBase):
    """A file that goes to a program's standard input."""

    def __init__(self, program: Exec) -> None:
        self._program = program

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._program.write(bytes(data))
        return len(data)


def await_relay(api: Api, called: Names, settings: Settings, *, foreign: bool) -> str:
    """The pod's name, once its relay container runs. Raises where it never will, or not in time."""
    began = time.monotonic()
    bound: float | None = None
    while True:
        pod = _pod_of(api, called)
        if pod is not None:
            fault = start_fault(pod, foreign=foreign)
            if fault is not None:
                raise fault
            if is_running(pod, RELAY):
                return str(pod["metadata"]["name"])
        now = time.monotonic()
        if bound is None and pod is not None and (pod.get("spec") or {}).get("nodeName"):
            bound = now
        if bound is None and now - began > settings.pending:
            text = f"No node of the cluster took the pod within {settings.pending:g} s: {why_pending(pod)}"
            raise RetryableError(text, code=NO_CAPACITY)
        if bound is not None and now - bound > BOOT_SECONDS:
            raise RetryableError(f"the pod did not start in {BOOT_SECONDS} s", code="engine_start")
        time.sleep(_PAUSE)


def send_files(api: Api, settings: Settings, pod: str, folder: Path) -> None:
    """The submission's files, as a tar stream. Raises `RetryableError`."""
    program = Exec(api, settings, pod, RELAY, [*_COMMAND, "receive", _limits.SUBMISSION])
    try:
        with io.BufferedWriter(_Sink(program), 2**20) as sink, tarfile.open(fileobj=sink, mode="w|") as archive:
            for entry in sorted(os.listdir(folder)):
                archive.add(folder / entry, arcname=entry, filter=_plain)
        program.end_input()
        program.wait(_COPY_SECONDS)
    except OSError as error:
        raise RetryableError(f"the submission's files did not reach the pod: {error}", code="engine_start") from error
    finally:
        program.close()


def start_relay(
    api: Api, settings: Settings, pod: str, channel: Path | None, *, ended: Callable[[], None]
) -> Exec:  # fmt: skip
    """Begin to carry the channel; `ended` is called once the stream has broken."""
    program = Exec(api, settings, pod, RELAY, [*_COMMAND, "relay", _limits.SOCKET])

    def dial() -> Any:
        if channel is None:
            raise OSError("this job has no channel")
        return dial_channel(channel)

    def carry() -> None:
        try:
            Mux(program.read, program.write, dial=dial).serve()
        except OSError:  # its end is what `ended` tells
            ended()

    threading.Thread(target=carry, daemon=True).start()
    return program


def await_submission(api: Api, pod: str, *, foreign: bool, broken: Callable[[], bool]) -> None:
    """Return once the submission runs, or has ended by itself. Raises where it could not be started."""
    limit = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < limit:
        found = api.get("pods", pod)
        if found is None:
            raise RetryableError("the pod was deleted before its submission ran", code="sandbox_lost")
        fault = start_fault(found, foreign=foreign)
        if fault is not None:
            raise fault
        if {"running", "terminated"} & set(container(found, SUBMISSION)):
            return
        if broken():
            raise RetryableError("the relay's connection broke before the submission ran", code="engine_start")
        time.sleep(_PAUSE)
    raise RetryableError(f"the submission did not start in {BOOT_SECONDS} s", code="engine_start")


def size_of(folder: Path | None) -> int:
    """Bytes of the files in it, in whole blocks."""
    if folder is None:
        return 0
    return sum(-(-path.lstat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


def _pod_of(api: Api, called: Names) -> dict[str, Any] | None:
    found = api.list("pods", {"batch.kubernetes.io/job-name": called.job})
    return found[0] if found else None


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Files and folders, readable for all, owned by nobody in particular."""
    if not (entry.isfile() or entry.isdir()):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry
