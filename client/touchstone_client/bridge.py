"""Bring an existing Open Inference Protocol server (KServe, MLServer, Triton) to the platform.

    python -m touchstone_client.bridge --port 8080 [--model NAME] -- COMMAND [ARGUMENT …]

Starts COMMAND, waits until it listens on the loopback port, then dials the platform's socket
(`TOUCHSTONE_SOCKET`) and passes each request on. The platform asks for the model `model`;
`--model` names what the server calls it. Standard library only, so it runs in any image
that has Python.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import subprocess
import sys
import time

from touchstone_client._dial import dial
from touchstone_client._http import Request
from touchstone_client._reply import Reply, error_reply

_PASSED = ("content-type", "inference-header-content-length")


class Bridge:
    """Passes requests to `127.0.0.1:port` over one kept connection."""

    def __init__(self, port: int, model: str) -> None:
        self._port = port
        self._model = model
        self._connection: http.client.HTTPConnection | None = None

    def __call__(self, request: Request) -> Reply:
        """The server's answer; status 500 if the server cannot be reached."""
        for last in (False, True):
            try:
                return self._forward(request)
            except (OSError, http.client.HTTPException) as error:
                # A kept connection may have been closed between two requests: once more, afresh.
                self._close()
                if last:
                    return error_reply(f"the server on port {self._port} did not answer: {error!r}", 500)
        raise AssertionError("unreachable")

    def _path(self, path: str) -> str:
        root = "/v2/models/model"
        if path == root or path.startswith(root + "/"):
            return f"/v2/models/{self._model}{path[len(root) :]}"
        return path

    def _forward(self, request: Request) -> Reply:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {key: value for key, value in request.headers.items() if key in _PASSED}
        body = bytes(request.body) if request.method == "POST" else None
        self._connection.request(request.method, self._path(request.path), body=body, headers=headers)
        answer = self._connection.getresponse()
        kept = tuple((key, value) for key, value in answer.getheaders() if key.lower() in _PASSED)
        return Reply(answer.status, kept, answer.read())

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until something listens on the loopback port; False if the process ends first."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code: the server's own if it ends first."""
    parser = argparse.ArgumentParser(
        prog="python -m touchstone_client.bridge", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--port", type=int, required=True, help="loopback port the server listens on")
    parser.add_argument("--model", default="model", help="the model's name in the server (default: model)")
    parser.add_argument("command", nargs="+", help="the server's command line, after --")
    options = parser.parse_args(arguments)
    path = os.environ.get("TOUCHSTONE_SOCKET")
    if not path:
        print("TOUCHSTONE_SOCKET is not set: the bridge only makes sense on the platform", file=sys.stderr)  # noqa: T201
        return 2
    # The channel is the bridge's: a server that would dial it shall listen.
    environment = {key: value for key, value in os.environ.items() if key != "TOUCHSTONE_SOCKET"}
    process = subprocess.Popen(options.command, env=environment)
    try:
        if not wait_for_port(options.port, process):
            print(f"the server ended with code {process.returncode} before it listened", file=sys.stderr)  # noqa: T201
            return process.returncode or 1
        dial(path, Bridge(options.port, options.model))
    finally:
        process.terminate()
        process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
