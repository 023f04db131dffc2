"""What runs in the relay container, beside a submission that has no network: it is reached by `exec` alone.

* `hold`: the container's own process; does nothing, and ends when told to.
* `receive FOLDER`: unpacks a tar from standard input: the submission's files.
* `relay SOCKET`: listens there, and carries the connections over standard input and output (`_kubernetes_mux`).

Once the socket is there, the pod's startup probe lets the submission start.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tarfile
import threading
from pathlib import Path

from runners.engines._kubernetes_mux import Mux


def hold() -> int:
    """Until the pod ends."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Event().wait()
    return 0


def receive(folder: Path) -> int:
    """Regular files and folders only; `data` also keeps names inside the folder."""
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        archive.extractall(folder, filter="data")
    return 0


def relay(path: Path) -> int:
    """Until standard input ends: the judge has gone, and so shall the submission."""
    path.unlink(missing_ok=True)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(16)
        mux = Mux(lambda count: _exactly(source.read(count), count), lambda data: _write_all(target.fileno(), data))
        threading.Thread(target=_accept, args=(listener, mux), daemon=True).start()
        try:
            mux.serve()
        except OSError:
            path.unlink(missing_ok=True)
    return 0


def _accept(listener: socket.socket, mux: Mux) -> None:
    while True:
        connection, _ = listener.accept()
        try:
            mux.add(connection)
        except OSError:  # the judge has gone
            connection.close()
            return


def _exactly(data: bytes, count: int) -> bytes:
    if len(data) != count:
        raise OSError("the judge has gone")
    return data


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def main(arguments: list[str]) -> int:
    """One of the three, by name."""
    action, *rest = arguments
    if action == "hold":
        return hold()
    return {"receive": receive, "relay": relay}[action](Path(rest[0]))


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)
