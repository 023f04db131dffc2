"""One deployment by docker/compose.yml: its settings, its Compose, its containers."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import _sizes

HERE = Path(__file__).resolve().parent
NODES = ("node-1", "node-2")
WEB_IMAGE = "touchstone/web:1"
_HEALTHY_S = 180.0
_RESTARTS = 4


class DeployError(Exception):
    """Shown without a traceback: it says what is wrong and what to do."""


class Deployment:
    """`home` holds `settings.env`, which Compose reads, the secrets, and the nodes' folders."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.settings_file = self.home / "settings.env"

    @functools.cached_property
    def settings(self) -> dict[str, str]:
        """What `settings.env` says."""
        if not self.settings_file.exists():
            raise DeployError(f"There is no deployment in {self.home}: no settings.env. Make one with `make deploy`.")
        lines = (line.strip() for line in self.settings_file.read_text().splitlines())
        pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
        return {key.strip(): value.strip() for key, _, value in pairs}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that run on this host: the first so many of `NODES`."""
        given = self.settings.get("TOUCHSTONE_LOCAL_NODES") or str(len(NODES))
        if given not in (known := [str(count) for count in range(len(NODES) + 1)]):
            raise DeployError(
                f"TOUCHSTONE_LOCAL_NODES={given} in {self.settings_file}: it must be {' or '.join(known)}."
            )
        return NODES[: int(given)]

    @property
    def project(self) -> str:
        return self.settings["COMPOSE_PROJECT_NAME"]

    def write_settings(self, given: Mapping[str, str]) -> None:
        """Make `settings.env` where it is missing; from then on it is the operator's to edit."""
        if self.settings_file.exists():
            found = self.settings_file.stat()
            if found.st_mode & 0o077 and os.geteuid() in (0, found.st_uid):  # as earlier versions left it
                self.settings_file.chmod(0o600)
            return
        self.home.mkdir(parents=True, exist_ok=True)
        host, port = given["TOUCHSTONE_LISTEN"].rsplit(":", 1)
        base = given.get("TOUCHSTONE_BASE_URL") or f"http://{host}:{port}"
        registry = given["TOUCHSTONE_REGISTRY_LISTEN"]
        memory = _sizes.machine_memory()
        nodes = given.get("TOUCHSTONE_LOCAL_NODES") or str(_sizes.local_nodes(memory))
        settings = {
            "TOUCHSTONE_HOME": str(self.home),
            "TOUCHSTONE_BASE_URL": base,
            "TOUCHSTONE_ALLOWED_HOSTS": ",".join(sorted({urlsplit(base).hostname or host, host})),
            "TOUCHSTONE_REGISTRY_HOST": registry,
            "TOUCHSTONE_DOCKER_GID": str(os.stat(_socket(given)).st_gid),
            "TOUCHSTONE_LOCAL_NODES": nodes,
            **_sizes.limits(memory, int(nodes) if nodes.isdecimal() else 0),
            **given,
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        partial = self.settings_file.with_name(".settings.partial")
        partial.unlink(missing_ok=True)
        # For its owner alone: an operator may put the address of a service into it, with a password.
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"# Read by Compose. Every variable of docker/compose.yml may be set here.\n{text}")
        partial.replace(self.settings_file)

    def compose(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        """Run Compose; its words are the person's to see. Raises `DeployError`."""
        done = subprocess.run(self.argv(*arguments), env=self.environment(), check=False, **options)  # type: ignore[call-overload]
        if done.returncode != 0:
            raise DeployError(f"`docker-compose {' '.join(arguments)}` ended with status {done.returncode}; see above.")
        return done  # type: ignore[no-any-return]

    def argv(self, *arguments: str) -> list[str]:
        """The command line of Compose for this deployment."""
        files = [HERE / name for name in ("compose.yml", *self.settings.get("TOUCHSTONE_COMPOSE_FILES", "").split())]
        named = [part for file in files for part in ("-f", str(file))]
        return [*_program(), "--env-file", str(self.settings_file), "-p", self.project, *named, *arguments]

    def environment(self) -> dict[str, str]:
        """The environment without what would override `settings.env`."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TOUCHSTONE_", "COMPOSE_"))}
        return kept | {"COMPOSE_IGNORE_ORPHANS": "true"}

    def container(self, service: str) -> str:
        """The id of a service's container, or ""."""
        label = f"label=com.docker.compose.service={service}"
        project = f"label=com.docker.compose.project={self.project}"
        oneoff = "label=com.docker.compose.oneoff=False"
        found = _docker("ps", "--all", "--quiet", "--filter", label, "--filter", project, "--filter", oneoff).split()
        return found[0] if found else ""

    def is_running(self, service: str) -> bool:
        """Whether its container runs."""
        known = self.container(service)
        return bool(known) and _docker("inspect", "--format", "{{.State.Running}}", known).strip() == "true"

    def await_healthy(self, *services: str) -> None:
        """Wait until each is healthy. Raises `DeployError` with the end of the log of the first that is not."""
        deadline = time.monotonic() + _HEALTHY_S
        for service in services:
            while (state := self._health(service)) != "healthy":
                if time.monotonic() > deadline or self._is_lost(service, state):
                    log = _docker("logs", "--tail", "30", self.container(service), quiet=False)
                    raise DeployError(f"{service} does not get healthy ({state}). The end of its log:\n{log}")
                time.sleep(0.3)

    def _health(self, service: str) -> str:
        known = self.container(service)
        if not known:
            return "missing"
        state = json.loads(_docker("inspect", "--format", "{{json .State}}", known))
        health = state.get("Health", {}).get("Status", "healthy")
        return str(health) if state["Status"] == "running" else str(state["Status"])

    def _is_lost(self, service: str, state: str) -> bool:
        """Whether it ended, or was started again and again."""
        if state != "restarting":
            return state in ("exited", "dead")
        return int(_docker("inspect", "--format", "{{.RestartCount}}", self.container(service))) >= _RESTARTS

    def exec(self, service: str, *argv: str) -> list[str]:
        """A command line that runs `argv` in a service's container, with stdin and stdout of its own."""
        known = self.container(service)
        if not known or not self.is_running(service):
            raise DeployError(f"{service} does not run; start the deployment with `make deploy`.")
        return ["docker", "exec", "--interactive", known, *argv]

    def once(self, *argv: str) -> list[str]:
        """A command line that runs `argv` in a fresh container of the server's image, beside what runs."""
        return self.argv("run", "--rm", "--no-deps", "-T", "setup", *argv)


@contextmanager
def piped(argv: list[str], *, stdin: int | IO[bytes] = subprocess.DEVNULL, **options: object) -> Iterator[IO[bytes]]:
    """The stdout of a command as a stream. Raises `DeployError` if it fails."""
    with subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, **options) as process:  # type: ignore[call-overload]
        try:
            yield process.stdout
        except tarfile.TarError as error:  # it ended in the middle; its own words are above
            raise DeployError(f"`{' '.join(argv[:6])} …` did not finish ({error}); see above.") from error
        process.stdout.close()
        if process.wait() != 0:
            raise DeployError(f"`{' '.join(argv[:6])} …` ended with status {process.returncode}; see above.")


@functools.cache
def _program() -> tuple[str, ...]:
    """Compose v2 where the docker client has it, else docker-compose."""
    for program in (("docker", "compose"), ("docker-compose",)):
        try:
            if subprocess.run([*program, "version"], capture_output=True, check=False).returncode == 0:
                return program
        except FileNotFoundError:
            continue
    raise DeployError("Compose is missing: install the package docker-compose, or Docker's Compose plugin.")


def _docker(*arguments: str, quiet: bool = True) -> str:
    done = subprocess.run(
        ["docker", *arguments],
        stdout=subprocess.PIPE,
        stderr=None if quiet else subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0 and quiet:
        raise DeployError(f"`docker {' '.join(arguments)}` failed; see above. Does the Docker engine answer?")
    return done.stdout


def _socket(given: Mapping[str, str]) -> Path:
    path = Path(given.get("TOUCHSTONE_DOCKER_SOCKET", "/var/run/docker.sock"))
    if not path.exists():
        raise DeployError(f"There is no Docker socket at {path}; start the engine, or set TOUCHSTONE_DOCKER_SOCKET.")
    return path
