"""Processes under limits that are forked from a warm one: what costs most of a short check is starting Python.

The warm process has none of our environment and opens no file of anybody: it imports, forks and waits. So a child is
as clean as one that was started afresh.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import structlog

from touchstone.core import limited
from touchstone.core.limited import Ended, LimitedTimeout, run_limited

log = structlog.get_logger(__name__)

_START_S = 60.0
_MOST = 2**16


class _Broken(Exception):
    """The warm process is gone or talks nonsense."""


class WarmPython:
    """Runs modules as `run_limited` does, in forks of one process that has imported `preload`.

    One check at a time; threads wait for each other. Made on first use in each process, and gone with it. Where it
    cannot be used, `run` starts a fresh process instead: slower, never worse.
    """

    def __init__(self, *, preload: str) -> None:
        self._preload = preload
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._owner = 0
        atexit.register(self.close)

    def run(self, module: str, *arguments: str, folder: Path, seconds: float) -> Ended:
        """Run `python -m module arguments` in `folder`. Raises `LimitedTimeout`."""
        with self._lock:
            try:
                return self._run(module, arguments, folder, seconds)
            except (_Broken, OSError) as error:
                log.warning("limited.warm_lost", error=repr(error))
                self._discard()
        return run_limited(module, *arguments, folder=folder, seconds=seconds)

    def start(self) -> None:
        """Begin to get warm now, so that the first check need not wait for it."""
        with self._lock:
            try:
                self._connection()
            except (_Broken, OSError) as error:
                log.warning("limited.warm_lost", error=repr(error))
                self._discard()

    def close(self) -> None:
        """End the warm process. Safe to repeat."""
        with self._lock:
            self._discard()

    def _run(self, module: str, arguments: tuple[str, ...], folder: Path, seconds: float) -> Ended:
        connection = self._connection()
        limits = [limited.MEMORY, int(seconds) + 1, limited._FILE_SIZE, limited._OPEN_FILES]
        asked = {"module": module, "arguments": arguments, "folder": str(folder), "limits": limits}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            self._ask(connection, asked, out, err)
            child = int(self._answer(connection, _START_S)["pid"])
            try:
                code = int(self._answer(connection, seconds)["code"])
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):  # it ended this very moment
                    os.killpg(child, signal.SIGKILL)
                self._answer(connection, _START_S)  # not before it is gone is the folder ours again
                raise LimitedTimeout(f"{module} took longer than {seconds:.0f} s") from None
            out.seek(0)
            err.seek(0)
            return Ended(code, out.read(), err.read())

    def _ask(self, connection: socket.socket, asked: dict[str, Any], out: IO[bytes], err: IO[bytes]) -> None:
        message = json.dumps(asked).encode()
        if len(message) > _MOST:
            raise _Broken("the request is too long")
        connection.settimeout(_START_S)
        socket.send_fds(connection, [message], [out.fileno(), err.fileno()])

    def _answer(self, connection: socket.socket, seconds: float) -> dict[str, Any]:
        connection.settimeout(max(0.001, seconds))
        message = connection.recv(_MOST)
        if not message:
            raise _Broken("it hung up")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _connection(self) -> socket.socket:
        if self._owner != os.getpid():  # a fork of ours: the warm process belongs to the parent
            self._process = self._socket = None
        if self._socket is None or self._process is None or self._process.poll() is not None:
            self._discard()
            self._start()
        if self._socket is None:
            raise _Broken("it did not start")
        return self._socket

    def _start(self) -> None:
        # Each message keeps its bounds, and an end is seen on both sides.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "touchstone.core.warm_parent", str(theirs.fileno()), self._preload],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                cwd="/", env=limited._environment(Path("/nonexistent")), start_new_session=True,
            )  # fmt: skip
        self._socket, self._owner = ours, os.getpid()
        if self._answer(ours, _START_S) != {"ready": True}:
            raise _Broken("it did not get ready")

    def _discard(self) -> None:
        if self._owner == os.getpid():
            if self._socket is not None:
                self._socket.close()
            if self._process is not None:
                self._end(self._process)
        self._process = self._socket = None

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """It ends itself, and its child, once we have hung up."""
        deadline = time.monotonic() + 2
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if process.poll() is None:
            process.kill()
            process.wait()
