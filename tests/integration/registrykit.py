"""What the tests of the registry share: small images, a Docker that is logged in, and a line that can be cut."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.integration.waiting import joined

_SECONDS = 120.0
DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")


class Docker:
    """The docker client as one person uses it, with a configuration of its own."""

    def __init__(self, folder: Path, *, host: str, username: str, token: str) -> None:
        self.host = host
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        key = base64.b64encode(f"{username}:{token}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": key}}}))
        self.made: list[str] = []

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run the docker command; stdout and stderr together."""
        return _docker(*arguments, given=given, env={**os.environ, "DOCKER_CONFIG": str(self.folder)})

    def build(self, target: str, files: dict[str, bytes], *, config: str = "") -> str:
        """An image of one layer a file, on nothing; its id."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        steps = "".join(f"COPY {name} /{name}\n" for name in files)
        (folder / "Dockerfile").write_text(f'FROM scratch\n{steps}{config}CMD ["/none"]\n')
        done = self.run("build", "--quiet", "--tag", target, str(folder))
        assert done.returncode == 0, done.stdout
        self.made.append(target)
        return self.run("image", "inspect", "--format", "{{.Id}}", target).stdout.strip()

    def push(self, target: str) -> tuple[str, str]:
        """Push; the digest, and what Docker said."""
        done = self.run("push", target)
        found = DIGEST.search(done.stdout)
        assert found is not None, done.stdout
        assert done.returncode == 0, done.stdout
        return found[1], done.stdout

    def forget(self) -> None:
        """Remove what was built here."""
        while self.made:
            self.run("image", "rm", "--force", self.made.pop())


def _docker(*arguments: str, given: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["docker", *arguments], text=True, input=given, timeout=_SECONDS, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=env, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        last = (error.stdout or b"")[-2000:]
        raise AssertionError(f"docker {' '.join(arguments)} did not end within {_SECONDS:g} s: {last!r}") from None


def forget_pulled(host: str) -> None:
    """Remove the images that came from a registry."""
    listed = _docker("image", "ls", "--digests", "--format", "{{.Repository}}@{{.Digest}}")
    assert listed.returncode == 0, listed.stdout
    for name in listed.stdout.split():
        if name.startswith(f"{host}/") and not name.endswith("@<none>"):
            removed = _docker("image", "rm", "--force", name)
            assert removed.returncode == 0, removed.stdout


@contextmanager
def cut_line(port: int, *, after: int) -> Iterator[tuple[int, list[int]]]:
    """A port that leads to `port`, and is dead once `after` bytes went up; (port, [bytes that went up])."""
    sent = [0]
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def pump(source: socket.socket, target: socket.socket, *, up: bool) -> None:
        with suppress(OSError):
            while (data := source.recv(2**16)) and sent[0] < after:
                sent[0] += len(data) if up else 0
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                if sent[0] >= after:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", port), timeout=30)
                far.settimeout(None)  # what is pumped may pause for longer
                pairs = ((near, far, True), (far, near, False))
                both = [
                    threading.Thread(target=pump, args=(a, b), kwargs={"up": up}, daemon=True) for a, b, up in pairs
                ]
                for thread in both:
                    thread.start()
                # A daemon, as the pumps are: one that hangs must not keep the tests from ending.
                threads.append(threading.Thread(target=_close_after, args=(both, near, far), daemon=True))
                threads[-1].start()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield listener.getsockname()[1], sent
    finally:
        sent[0] = after
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        joined([server, *threads], f"the line to port {port}, which was cut after {sent[0]} bytes,", seconds=30)


def _close_after(pumps: list[threading.Thread], *ends: socket.socket) -> None:
    for thread in pumps:
        thread.join()
    for end in ends:
        end.close()
