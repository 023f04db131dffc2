"""The whole of Touchstone on one machine: services, server, scheduler and one node, supervised.

    with Stack(Path("var"), say=print) as stack:
        ... stack.url ...

Secrets are made once, kept under `var/` for this user only, and never printed.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from scripts import registry
from scripts.processes import spawn, tail
from scripts.services import STOP_SIGNAL, Services
from scripts.supervisor import Member, Supervisor

ROOT = Path(__file__).resolve().parents[1]
#: For children: this checkout, whatever is installed.
PYTHONPATH = os.pathsep.join(str(ROOT / part) for part in ("platform", ".", "client"))
_READY_SECONDS = 120.0
#: What a node must never see: it is not trusted with the database.
_SERVER_ONLY = ("DATABASE_URL", "TOUCHSTONE_SECRET_KEY", "TOUCHSTONE_STORAGE", "DJANGO_SETTINGS_MODULE")


class StackError(Exception):
    """A part of the stack does not come up; the message says which, why and what to do."""


class Stack:
    """Starts everything on entry and stops it on exit.

    Args:
        var: folder for data, logs and secrets.
        port: where the server listens on 127.0.0.1; in use, another is taken (`strict_port`: an error).
        settings: the Django settings module of server and scheduler.
        engine: TOUCHSTONE_ENGINE of the node.
        extra: more environment for all processes.
        environ: the environment they start from; default: that of this process.
        durable: see `Services`.
    """

    def __init__(
        self,
        var: Path,
        *,
        say: Callable[[str], None],
        port: int = 8000,
        strict_port: bool = False,
        settings: str = "touchstone.config.settings.dev",
        engine: str = "auto",
        extra: Mapping[str, str] | None = None,
        durable: bool = True,
        node_name: str = "local",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.var = var.resolve()
        self.say = say
        self.port = _port(port, strict=strict_port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.engine = engine
        self.node_name = node_name
        base = os.environ if environ is None else environ
        self.services = Services(self.var, durable=durable, environ=base)
        self.registry_port = _registry_port(base, near=port) if registry.wanted(base) else 0
        self.supervisor: Supervisor | None = None
        #: The supervisor's members that are nodes.
        self.nodes: list[str] = []
        self._environment = {
            **base,
            "DJANGO_SETTINGS_MODULE": settings,
            "TOUCHSTONE_VAR": str(self.var),
            "TOUCHSTONE_STORAGE": base.get("TOUCHSTONE_STORAGE") or str(self.var / "storage"),
            "TOUCHSTONE_BASE_URL": self.url,
            "TOUCHSTONE_ALLOWED_HOSTS": "127.0.0.1,localhost",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": PYTHONPATH,
            **({"TOUCHSTONE_REGISTRY_HOST": self.registry_host} if self.registry_port else {}),
            **(extra or {}),
        }

    @property
    def registry_host(self) -> str:
        """What people write before the names of images they push; empty where no registry is started here."""
        return f"127.0.0.1:{self.registry_port}" if self.registry_port else ""

    def __enter__(self) -> Self:
        try:
            self.start_server()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_server(self) -> None:
        """Services, migrations, server and scheduler; returns when the site answers."""
        self.var.mkdir(parents=True, exist_ok=True)
        self._environment["TOUCHSTONE_SECRET_KEY"] = self.secret("secret_key")
        self.supervisor = Supervisor(self.say)
        self.services.prepare()
        for name, start in self.services.starters().items():
            self.supervisor.add(Member(name, start, self.log(name), first=STOP_SIGNAL[name]))
        self._environment |= self.services.environment
        self.manage("migrate", "--no-input", "--verbosity=0")
        if self.registry_port:
            self.supervisor.add(Member("registry", self._registry, self.log("registry")))
        self.supervisor.add(Member("server", self._server, self.log("server")))
        self.supervisor.add(Member("scheduler", self._scheduler, self.log("scheduler")))
        self._await_site()

    def start_node(self, *, name: str = "", extra: Mapping[str, str] | None = None) -> str:
        """A worker node with a token and a folder of its own; its name. `extra`: more of its environment.

        The first is the member `node` of the supervisor, others are `node-NAME`.
        """
        assert self.supervisor is not None
        name = name or self.node_name
        member = "node" if name == self.node_name else f"node-{name}"
        token = self.node_token(name)

        def start() -> subprocess.Popen[bytes]:
            return self._node(name, token, member, extra or {})

        self.supervisor.add(Member(member, start, self.log(member), grace=20.0))
        self.nodes.append(member)
        return name

    def stop(self) -> None:
        """Stop everything. Safe to repeat."""
        if self.supervisor is not None:
            self.supervisor.stop()
        self.services.stop()

    def log(self, name: str) -> Path:
        return self.var / "log" / f"{name}.log"

    def secret(self, name: str) -> str:
        """A random secret that is made once and stays the same."""
        path = self.var / "secrets" / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(48))
        return path.read_text()

    def manage(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a management command in the server's environment; its stdout. Raises `StackError`."""
        argv = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return self._run(argv, stdin)

    def module(self, name: str, *, question: Any) -> Any:
        """Run `python -m name` in the server's environment: JSON in, JSON out."""
        return json.loads(self._run([sys.executable, "-m", name], json.dumps(question)))

    def _run(self, argv: list[str], stdin: str | None) -> str:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, cwd=ROOT, env=self._environment)
        if done.returncode != 0:
            raise StackError(f"{' '.join(argv[1:4])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def node_token(self, name: str) -> str:
        """The node's token: kept under var, made anew if the database does not know it."""
        path = self.var / "secrets" / f"node-{name}"
        if path.exists() and self._node_is_known(path.read_text()):
            return path.read_text()
        token = self.manage("node_create", name, "--replace").strip().splitlines()[-1].strip()
        write_private(path, token)
        return token

    def _node_is_known(self, token: str) -> bool:
        request = urllib.request.Request(
            f"{self.url}/node/v1/claim",
            data=json.dumps({"queue": "none", "kinds": []}).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10):
                return True
        except urllib.error.HTTPError as error:
            with error:
                return error.code not in (401, 403)

    def _registry(self) -> subprocess.Popen[bytes]:
        config = self.module(
            "touchstone.registry.server_config",
            question={
                "secrets": str(self.var / "secrets" / "registry"), "storage": str(self.var / "registry"),
                "listen": self.registry_host, "realm": f"{self.url}/registry/token",
                "events": f"{self.url}/registry/events",
            },
        )  # fmt: skip
        path = self.var / "run" / "registry.json"
        write_private(path, json.dumps(config))
        return registry.start(path, port=self.registry_port, log=self.log("registry"))

    def _server(self) -> subprocess.Popen[bytes]:
        argv = [
            sys.executable, "-m", "gunicorn", "touchstone.config.wsgi", "--no-control-socket",
            "--bind", f"127.0.0.1:{self.port}",
            "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--timeout", "120",
            "--graceful-timeout", "5", "--access-logfile", "-", "--pythonpath", str(ROOT / "platform"),
        ]  # fmt: skip
        return spawn(argv, log=self.log("server"), env=self._environment, cwd=ROOT)

    def _scheduler(self) -> subprocess.Popen[bytes]:
        argv = [
            sys.executable, "-m", "celery", "-A", "touchstone.config.celery", "worker", "-B", "-Q", "server",
            "-n", "scheduler@%h", "--concurrency", "2", "--loglevel", "INFO", "--without-mingle", "--without-gossip",
            "--schedule", str(self.var / "run" / "beat-schedule"),
        ]  # fmt: skip
        return spawn(argv, log=self.log("scheduler"), env=self._environment, cwd=ROOT)

    def _node(self, name: str, token: str, member: str, extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
        argv = [
            sys.executable, "-m", "celery", "-A", "runners.worker", "worker", "-Q", "cpu", "-n", f"{name}@%h",
            "--loglevel", "INFO", "--without-mingle", "--without-gossip",
        ]  # fmt: skip
        env = {key: value for key, value in self._environment.items() if key not in _SERVER_ONLY}
        env |= {
            "TOUCHSTONE_URL": self.url,
            "TOUCHSTONE_NODE_TOKEN": token,
            "TOUCHSTONE_NODE_NAME": name,
            "TOUCHSTONE_NODE_DIR": str(self.var / member),
            "TOUCHSTONE_ENGINE": self.engine,
            "TOUCHSTONE_QUEUES": "cpu",
            **extra,
        }
        # At once: asked to stop, it would first report its runs, to a server that is gone as well.
        return spawn(argv, log=self.log(member), env=env, cwd=ROOT, death=signal.SIGKILL)

    def _await_site(self) -> None:
        assert self.supervisor is not None
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(f"{self.url}/readyz"):
            if time.monotonic() > deadline:
                raise StackError(
                    f"The site did not become ready at {self.url}/readyz within {_READY_SECONDS:.0f} s. "
                    f"The end of {self.log('server')}:\n{tail(self.log('server'))}"
                )
            time.sleep(0.1)


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user may read, as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    partial.replace(path)


def _port(wanted: int, *, strict: bool) -> int:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            if strict:
                raise StackError(
                    f"Port {wanted} is in use. Stop what listens there, or choose another with PORT=8001."
                ) from error
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _registry_port(environ: Mapping[str, str], *, near: int) -> int:
    """The usual port, so that names of images stay; any free one where the site's is any (`near` is 0)."""
    named = environ.get("TOUCHSTONE_REGISTRY_PORT")
    if not named:
        return _port(registry.PORT if near else 0, strict=False)
    try:
        return _port(int(named), strict=True)
    except (StackError, ValueError) as error:
        text = f"TOUCHSTONE_REGISTRY_PORT={named} cannot be used: it is no free port. Choose another, or leave it out."
        raise StackError(text) from error


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False
