"""A Docker daemon of its own, beside the machine's, that may be killed. As root only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scripts.processes import spawn, tail

_BASE, _RUNTIME = "touchstone/base:1", "touchstone/runtime:1"
_SECONDS = 60.0


class DockerError(Exception):
    """The daemon does not come up, or does not do what it is asked."""


class OwnDocker:
    """Its data, sockets, bridge and images. With live-restore, so that containers outlive it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tsc-"))  # short: a socket's path may have 107 bytes
        self._bridge = f"tsc{os.getpid() % 10**6}"
        self._log = self.folder / "dockerd.log"
        (self.folder / "daemon.json").write_text(json.dumps({"live-restore": True}))
        number = os.getpid() % 250
        _run("ip", "link", "add", self._bridge, "type", "bridge")
        _run("ip", "addr", "add", f"172.30.{number}.1/24", "dev", self._bridge)
        _run("ip", "link", "set", self._bridge, "up")

    @property
    def host(self) -> str:
        """As DOCKER_HOST names it."""
        return f"unix://{self.folder}/d.sock"

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, or start it again after it was killed; returns when it answers."""
        self._forget_the_dead()
        argv = [
            "dockerd", "--config-file", self.folder / "daemon.json", "--data-root", self.folder / "data",
            "--exec-root", self.folder / "exec", "-H", self.host, "--pidfile", self.folder / "pid",
            # Never "none": that deletes the bridge of the machine's own daemon.
            f"--bridge={self._bridge}", "--iptables=false", "--ip-forward=false",
        ]  # fmt: skip
        child = spawn(argv, log=self._log)
        _await(lambda: self._answers(), child, self._log)
        return child

    def take_images(self) -> None:
        """The base image of the machine's daemon; it stands in for the larger runtime too, whose torch nobody needs."""
        with subprocess.Popen(["docker", "save", _BASE], stdout=subprocess.PIPE) as saved:
            loaded = subprocess.run(self._argv("load"), stdin=saved.stdout, capture_output=True, text=True)
        if saved.returncode != 0 or loaded.returncode != 0:
            raise DockerError(f"The base image could not be taken over: {loaded.stderr}")
        self.docker("tag", _BASE, _RUNTIME)

    def build(self, folder: Path, tag: str) -> str:
        """An image from a folder with a Dockerfile; its id."""
        self.docker("build", "--quiet", "--tag", tag, str(folder))
        return self.docker("image", "inspect", "--format", "{{.Id}}", tag).strip()

    def docker(self, *arguments: str) -> str:
        """Run the docker client against this daemon; its output. Raises `DockerError`."""
        try:
            done = subprocess.run(self._argv(*arguments), capture_output=True, text=True, timeout=_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DockerError(f"docker {arguments[0]} does not answer within {_SECONDS:.0f} s.") from error
        if done.returncode != 0:
            raise DockerError(f"docker {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def sandboxes(self) -> list[str]:
        """Containers of runs."""
        return self.docker("ps", "--all", "--quiet", "--filter", "label=touchstone.run").split()

    def empty(self) -> None:
        """Remove containers of runs that are still there."""
        if left := self.sandboxes():
            self.docker("rm", "--force", *left)

    def remove(self) -> list[str]:
        """Take away everything it made, once it has ended; return what was still mounted in the wrong places."""
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        left = sorted((mount for mount in mounts if mount.startswith(f"{self.folder}/")), reverse=True)
        for mount in left:
            subprocess.run(["umount", "--lazy", mount], check=False)
        subprocess.run(["ip", "link", "del", self._bridge], check=False)
        shutil.rmtree(self.folder)
        return [mount for mount in left if "/data/" in mount and "/merged" in mount]

    def _argv(self, *arguments: str) -> list[str]:
        return ["docker", "--host", self.host, *arguments]

    def _answers(self) -> bool:
        asked = subprocess.run(self._argv("version", "--format", "{{.Server.Version}}"), capture_output=True)
        return asked.returncode == 0

    def _forget_the_dead(self) -> None:
        """A killed daemon's pid file, and that of the containerd that died with it, make the next one wait in vain."""
        (self.folder / "pid").unlink(missing_ok=True)
        file = self.folder / "exec" / "containerd" / "containerd.pid"
        deadline = time.monotonic() + 5
        while file.exists() and time.monotonic() < deadline:
            comm = Path("/proc", file.read_text().strip(), "comm")
            if not comm.exists() or comm.read_text().strip() != "containerd":
                file.unlink()
                return
            time.sleep(0.05)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def _await(ready: Callable[[], bool], child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while not ready():
        if child.poll() is not None or time.monotonic() > deadline:
            raise DockerError(f"dockerd does not answer; the end of its log:\n{tail(log)}")
        time.sleep(0.05)
