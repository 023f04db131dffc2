"""The installed command line as a person has it: a wheel in an environment of its own, and a network that fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from scripts.stack import ROOT

_SECONDS = 120


def built_wheel(folder: Path) -> Path:
    """The client's wheel, from a copy of what it is made of."""
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("client", "runners"):
        shutil.copytree(ROOT / name, folder / "repo" / name, ignore=skip)
    _pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder), str(folder / "repo" / "client"))
    (wheel,) = folder.glob("*.whl")
    return wheel


def installed(folder: Path, wheel: Path, *more: str) -> Path:
    """The script `touchstone` in a new environment with the wheel, what it depends on, and `more`."""
    venv.create(folder, with_pip=False)
    constraints = ("-c", str(ROOT / "constraints.txt"))
    _pip("--python", str(folder / "bin" / "python"), "install", "--no-compile", *constraints, str(wheel), *more)
    return folder / "bin" / "touchstone"


def packed_size(folder: Path, *, without: tuple[str, ...]) -> int:
    """Bytes of what is installed, compressed as wheels are. `without`: packages that are left out."""
    (site,) = (folder / "lib").glob("python3*/site-packages")
    archive = folder / "all.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in site.rglob("*"):
            name = path.relative_to(site).as_posix()
            if path.is_file() and not name.startswith(without):
                out.write(path, name)
    return archive.stat().st_size


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@dataclass
class Shell:
    """Runs the script with a home of its own and nothing of the tests' environment."""

    script: Path
    home: Path
    url: str
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: object, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
        """One command; its exit code must be `code`."""
        done = subprocess.run(
            self._argv(arguments), capture_output=True, text=True, env=self._env(), cwd=cwd or self.home,
            timeout=_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: object, **options: Any) -> Any:
        """What a command prints with --json."""
        found = json.loads(self.run(*arguments, "--json", **options).stdout)
        assert found["schema_version"] == 1
        return found

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """A command that is still running."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._argv(arguments), stdout=pipe, stderr=pipe, text=True, env=self._env(), cwd=self.home,
            stdin=subprocess.DEVNULL, bufsize=1,
        )  # fmt: skip

    def _argv(self, arguments: tuple[object, ...]) -> list[str]:
        return [str(self.script), *map(str, arguments)]

    def _env(self) -> dict[str, str]:
        place = {f"XDG_{name}_HOME": str(self.home / name.lower()) for name in ("CONFIG", "CACHE", "STATE", "DATA")}
        own = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TOUCHSTONE_URL": self.url, **place}
        return own | self.environment


class Browser:
    """Pages by HTTP alone: forms with their tokens."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, follow_redirects=True, timeout=30.0, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def sign_in(self, name: str, password: str) -> None:
        page = self.submit("/login/", {"login": name, "password": password})
        assert name in page, "the login did not work"

    def submit(self, path: str, fields: dict[str, str]) -> str:
        """Load a page, send its form with these fields; the page that comes then."""
        page = self._http.get(path)
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert found is not None, page.text[:2000]
        address = str(page.url).partition("?")[0]
        answer = self._http.post(
            address, data={**fields, "csrfmiddlewaretoken": found[1]}, headers={"Referer": address}
        )
        assert answer.status_code == 200, answer.text[:2000]
        return answer.text


class Wire:
    """A way to the server that can be cut: after so many bytes to the server something happens, once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname or "", parts.port or 80)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.sent = 0
        self._lock = threading.Lock()
        self._after: tuple[int, Callable[[], object]] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def cut(self, *, after: int, then: Callable[[], object] = lambda: None) -> None:
        """Break the connection when `after` more bytes went to the server; `then` is called first."""
        with self._lock:
            self._after = (self.sent + after, then)

    @property
    def is_cut(self) -> bool:
        """Whether what was asked for has happened."""
        return self._after is None

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._to)
            except OSError:  # the server is away, as seen from the client
                near.close()
                continue
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, forth: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if forth and self._due(len(data)):
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if forth:
            source.close()
            sink.close()

    def _due(self, count: int) -> bool:
        with self._lock:
            self.sent += count
            if self._after is None or self.sent < self._after[0]:
                return False
            _, then = self._after
            self._after = None
        then()
        return True
