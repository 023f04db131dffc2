"""The least an HTTP question over a unix socket costs in Python: no tensors, no model, no sandbox.

python -m bench.echo SOCKET REPLY_BYTES
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.stack import ROOT

_BLOCK = 65536
_START_SECONDS = 20.0


class Echo:
    """A process that answers every POST with `reply` bytes, and a connection to it."""

    def __init__(self, folder: Path, *, reply: int) -> None:
        path = folder / "echo.sock"
        self._reply = reply
        argv = [sys.executable, "-m", "bench.echo", str(path), str(reply)]
        self._process = subprocess.Popen(argv, cwd=ROOT)
        self._socket = self._connect(path)

    def _connect(self, path: Path) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                connection.connect(str(path))
                return connection
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    connection.close()
                    self._process.kill()
                    self._process.wait()
                    raise
                time.sleep(0.02)

    def ask(self, body: bytes) -> bytes:
        """POST `body`; the answer's body."""
        head = f"POST /echo HTTP/1.1\r\nHost: echo\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        self._socket.sendall(head + body)
        found = receive(self._socket)
        if found is None or len(found) != self._reply:
            raise RuntimeError("the echo did not answer in full")
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(10)


def receive(connection: socket.socket) -> bytes | None:
    """The body of one message with a Content-Length; None where the other side hung up."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        more = connection.recv(_BLOCK)
        if not more:
            return None
        data += more
    size = int(data[:end].lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    parts, have = [data[end + 4 :]], len(data) - end - 4
    while have < size:
        more = connection.recv(_BLOCK)
        if not more:
            return None
        parts.append(more)
        have += len(more)
    return b"".join(parts)


def main() -> int:
    path, reply = sys.argv[1], int(sys.argv[2])
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {reply}\r\n\r\n".encode() + b"x" * reply
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        connection, _ = listener.accept()
        with connection:
            while receive(connection) is not None:
                connection.sendall(answer)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
