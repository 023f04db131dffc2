"""A real S3-compatible store: `rclone serve s3` over a folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY, SECRET, BUCKET = "TESTKEYTESTKEYTESTKE", "test-secret-of-the-store", "files"


@dataclass(frozen=True)
class Store:
    """A running store and the folder in which its objects are files."""

    url: str
    folder: Path

    def options(self, **changes: Any) -> dict[str, Any]:
        """Arguments of `S3Storage`."""
        return {"bucket": BUCKET, "key": KEY, "secret": SECRET, "url": self.url} | changes

    def files(self) -> set[str]:
        """Names of all objects; what the store itself keeps on the way is not one."""
        root = self.folder / BUCKET
        found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        return {name for name in found if ".rclone" not in name}


@contextmanager
def store_serve(folder: Path) -> Iterator[Store]:
    """Serve `folder` while the context lasts."""
    (folder / BUCKET).mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rclone = Path(sys.executable).parent / "rclone"
    command = [
        str(rclone), "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}",
        "--no-cleanup", "--disable-multipart-streaming", "--config", os.devnull,
        "--allow-origin", "*", "--log-level", "ERROR", "--dir-cache-time", "1s",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(port, process, folder / "log")
            yield Store(f"http://127.0.0.1:{port}", folder)
        finally:
            process.terminate()
            process.wait(10)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the store did not start: {log.read_text()[-500:]}")
