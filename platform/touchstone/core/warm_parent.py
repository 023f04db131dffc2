"""`python -m touchstone.core.warm_parent FD MODULE`: import MODULE, then fork a child under limits for each request.

The other side is `touchstone.core.warm`. Requests are packets {"module", "arguments", "folder", "limits": [address
space, CPU seconds, file size, open files]} with two descriptors, for output and complaints; the answers are {"pid"},
then {"code"} when the child and its children are gone. A child gets neither this socket nor anything of the parent's
but its memory, which holds imported modules and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

_MOST = 2**16
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)


def serve(connection: socket.socket) -> None:
    """Answer until the other side hangs up; a child that still runs then is killed."""
    connection.sendall(b'{"ready": true}')
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, _MOST, 2)
        if not message:
            return
        asked = json.loads(message)
        child = os.fork()
        if child == 0:
            _be_child(connection, asked, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(json.dumps({"pid": child}).encode())
        code = _wait(connection, child)
        if code is None:
            return
        connection.sendall(json.dumps({"code": code}).encode())


def _wait(connection: socket.socket, child: int) -> int | None:
    """How the child ended, once its whole session is gone; None if the other side hung up meanwhile."""
    watched = os.pidfd_open(child)
    try:
        # While a child runs the other side has nothing to say: whatever comes is its end.
        ready, _, _ = select.select([watched, connection], [], [])
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(watched)
    return os.waitstatus_to_exitcode(status) if watched in ready else None


def _be_child(connection: socket.socket, asked: dict[str, Any], descriptors: list[int]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        connection.close()
        for descriptor, target in zip(descriptors, (1, 2), strict=True):
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.chdir(asked["folder"])
        os.environ["HOME"] = os.environ["TMPDIR"] = asked["folder"]
        for what, limit in zip(_LIMITS, asked["limits"], strict=True):
            resource.setrlimit(what, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = _run(asked["module"], asked["arguments"])
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # never back into the parent's loop


def _run(module: str, arguments: list[str]) -> int:
    """The module as a program; its exit status, as Python itself would give it."""
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as leave:
        if leave.code is None or isinstance(leave.code, int):
            return leave.code or 0
        print(leave.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _socket:
        importlib.import_module(sys.argv[2])
        gc.freeze()  # children would copy each page that a collection touches
        serve(_socket)
