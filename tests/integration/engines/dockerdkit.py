"""A Docker daemon of a test's own, which it may kill: own bridge, data, sockets and image."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from docker import APIClient

#: Its only image: a shell and `sleep` of this host.
IMAGE = "tiny:1"
_PROGRAMS = {"/bin/sh": "sh", "/bin/sleep": "sleep", "/bin/cat": "cat"}
#: Takes the place of NVIDIA's hook: keeps what it was told, and refuses devices that it does not know.
_HOOK = """#!/usr/bin/env python3
import json, os, sys
state = json.load(sys.stdin)
env = dict(e.split("=", 1) for e in json.load(open(os.path.join(state["bundle"], "config.json")))["process"]["env"])
devices = env.get("NVIDIA_VISIBLE_DEVICES", "")
with open({log!r}, "a") as log:
    log.write(json.dumps({{"arguments": sys.argv[1:], "devices": devices}}) + "\\n")
if not devices.startswith("GPU-5eed"):
    sys.exit("nvidia-container-cli: device error: %s: unknown device" % devices)
"""


class Daemon:
    """`live-restore` is on: containers outlive the daemon. As root only."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tsd-"))  # short: a socket's path may have 107 bytes
        self.hook_log = self.folder / "hook.log"
        self._bridge = f"tsd{os.getpid() % 10**6}"
        self._process: subprocess.Popen[bytes] | None = None
        (self.folder / "daemon.json").write_text(json.dumps({"live-restore": True}))
        self._write_hook()

    @property
    def host(self) -> str:
        """As DOCKER_HOST names it."""
        return f"unix://{self.folder}/d.sock"

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        self._forget_stale_pids()
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "dockerd", "--config-file", str(self.folder / "daemon.json"), "--data-root", f"{self.folder}/data",
                    "--exec-root", f"{self.folder}/exec", "-H", self.host, "--pidfile", f"{self.folder}/pid",
                    # Never "none": that deletes the bridge of the host's own daemon.
                    f"--bridge={self._bridge}", "--iptables=false", "--ip-forward=false",
                ],
                stdout=log, stderr=log, env={**os.environ, "PATH": path}, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.05)

    def make(self) -> None:
        """Its network and its image, and its first start."""
        number = os.getpid() % 250
        subprocess.run(["ip", "link", "add", self._bridge, "type", "bridge"], check=True)
        subprocess.run(["ip", "addr", "add", f"172.29.{number}.1/24", "dev", self._bridge], check=True)
        subprocess.run(["ip", "link", "set", self._bridge, "up"], check=True)
        self.start()
        with contextlib.closing(APIClient(base_url=self.host)) as client:
            name, _, tag = IMAGE.partition(":")
            client.import_image_from_data(_image(), repository=name, tag=tag)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal; its containers run on."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(30)

    def remove(self) -> None:
        """End it with all its containers, and take away everything it made."""
        if self._process is not None:
            if self._process.poll() is not None:
                self.start()
            with contextlib.closing(APIClient(base_url=self.host)) as client:
                for container in client.containers(all=True):
                    client.remove_container(container["Id"], force=True)
            self.stop()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((mount for mount in mounts if mount.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False)
        subprocess.run(["ip", "link", "del", self._bridge], check=False)
        shutil.rmtree(self.folder)

    def forget(self, container: str) -> None:
        """End a container behind the stopped daemon's back, and its record with it."""
        record = self.folder / "data" / "containers" / container
        pid = json.loads((record / "config.v2.json").read_text())["State"]["Pid"]
        os.kill(pid, signal.SIGKILL)
        shutil.rmtree(record)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(5)
            try:
                asked.connect(f"{self.folder}/d.sock")
                asked.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b"200 OK" in asked.recv(200)
            except OSError:
                return False

    def _forget_stale_pids(self) -> None:
        """What a killed daemon leaves makes the next one wait in vain: the number of a containerd that died with it."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "pid").unlink()
        file = self.folder / "exec" / "containerd" / "containerd.pid"
        if not file.exists():
            return
        comm = Path("/proc", file.read_text().strip(), "comm")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                if comm.read_text().strip() != "containerd":
                    break
            except OSError:
                break
            time.sleep(0.02)
        else:
            return  # it lives: the next daemon takes it
        file.unlink()

    def _write_hook(self) -> None:
        hook = self.folder / "bin" / "nvidia-container-runtime-hook"
        hook.parent.mkdir()
        hook.write_text(_HOOK.format(log=str(self.hook_log)))
        hook.chmod(0o755)


def _image() -> bytes:
    """A root file system with a few programs and what they are linked with."""
    spool = io.BytesIO()
    linked = subprocess.run(["ldd", *_PROGRAMS], capture_output=True, text=True, check=True).stdout
    libraries = {word for word in linked.split() if word.startswith("/") and not word.endswith(":")}
    with tarfile.open(fileobj=spool, mode="w") as archive:
        for path in sorted({*_PROGRAMS, *libraries}):
            content = Path(path).read_bytes()
            info = tarfile.TarInfo(path.lstrip("/"))
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
    return spool.getvalue()
