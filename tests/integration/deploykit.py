"""What the test of a deployment does with one: brings it up, asks it, and takes it away again."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from livekit import WAIT_SECONDS, clean_environment, scores

from scripts.stack import ROOT
from touchstone_client import types as t
from touchstone_client.sdk import Client

_DEPLOY = ROOT / "docker" / "deploy.py"
_COMMAND_SECONDS = 600.0
_PEOPLE = (ROOT / "scripts" / "people.py").read_text()


@dataclass
class Deployed:
    """A deployment of its own: own project, folder, ports. `remove` takes everything away."""

    home: Path
    project: str = field(default_factory=lambda: f"tstest{uuid.uuid4().hex[:8]}")
    port: int = field(default_factory=lambda: _free_port())
    registry: int = field(default_factory=lambda: _free_port())
    extra: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command of docker/deploy.py."""
        env = clean_environment() | {
            "COMPOSE_PROJECT_NAME": self.project,
            "TOUCHSTONE_LISTEN": f"127.0.0.1:{self.port}",
            "TOUCHSTONE_REGISTRY_LISTEN": f"127.0.0.1:{self.registry}",
            # Not what the size of this machine would give.
            "TOUCHSTONE_LOCAL_NODES": "2", "TOUCHSTONE_MEMORY": "4GiB",
            # Each of a dozen starts waits for the first answer.
            "TOUCHSTONE_HEALTH_INTERVAL": "2s",
        } | self.extra  # fmt: skip
        return subprocess.Popen(
            [sys.executable, str(_DEPLOY), "--home", str(self.home), *arguments],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def deploy(self, *arguments: str, fails: bool = False) -> str:
        """Run a command of docker/deploy.py to its end; what it said."""
        code, said = ended(self.start(*arguments))
        assert (code != 0) == fails, f"deploy.py {' '.join(arguments)}:\n{said[-6000:]}"
        return said

    def person(self, name: str, *, organise: bool = False) -> Client:
        """A client of somebody, who is made if new."""
        asked = {
            "username": name,
            "email": f"{name}@test.invalid",
            "password": secrets.token_urlsafe(12),
            "scopes": ["read", "submit", *(["organise"] if organise else [])],
        }
        argv = ["docker", "exec", "-i", self.container("web"), "python3", "-c", _PEOPLE]
        done = subprocess.run(argv, input=json.dumps([asked]), check=True, capture_output=True, text=True, timeout=120)
        self.tokens |= json.loads(done.stdout)
        self.clients.append(Client(self.url, self.tokens[name]))
        return self.clients[-1]

    def container(self, service: str) -> str:
        return self.containers(f"com.docker.compose.service={service}", "com.docker.compose.oneoff=False")[0]

    def containers(self, *labels: str) -> list[str]:
        """Ids of this project's containers, running or not."""
        wanted = (f"com.docker.compose.project={self.project}", *labels)
        filters = [part for label in wanted for part in ("--filter", f"label={label}")]
        return docker("ps", "--all", "--quiet", *filters).split()

    def rows(self, query: str) -> list[tuple[str, ...]]:
        """What the database answers, as text."""
        argv = ["psql", "-X", "-A", "-t", "-h", "/run/postgresql", "-U", "touchstone", "-c", query, "touchstone"]
        answer = docker("exec", self.container("postgres"), *argv)
        return [tuple(line.split("|")) for line in answer.splitlines() if line]

    def node_of(self, submission: t.Submission) -> str:
        """The node that has, or had, a submission's run; "" before it was claimed."""
        query = "SELECT n.name FROM evaluations_run r JOIN evaluations_node n ON n.id = r.node_id"
        found = self.rows(f"{query} WHERE r.submission_id = '{submission.id}'")
        return found[0][0] if found else ""

    def set(self, name: str, value: str) -> None:
        """Change a line of settings.env, as an operator does."""
        file = self.home / "settings.env"
        lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{name}=")]
        file.write_text("\n".join([*lines, f"{name}={value}", ""]))

    def remove(self) -> None:
        """Containers, networks, volumes and files; what cannot be removed fails the test."""
        while self.clients:
            self.clients.pop().close()
        if (self.home / "settings.env").exists():
            # Killed first: a node would finish the run of a test that failed.
            for container in self.containers():
                docker("rm", "--force", "--volumes", container)
            self.deploy("down", "--data")
        subprocess.run(["rm", "-rf", str(self.home)], check=True, timeout=120)
        assert self.containers() == []
        for kind in ("network", "volume"):
            left = docker(kind, "ls", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}")
            assert left == "", f"{kind}s left behind: {left}"


def refused(deployed: Deployed, user: str) -> str:
    """What Redis refused to a user since it started."""
    ask = (
        "import redis; r = redis.Redis.from_url(open('/run/secrets/broker_url').read())\n"
        f"print([e['object'] for e in r.acl_log() if e['username'] == {user!r}])"
    )
    return docker("exec", deployed.container("web"), "python3", "-c", ask).strip()


def ended(process: subprocess.Popen[str], *, seconds: float = _COMMAND_SECONDS) -> tuple[int, str]:
    """Status and words of a command of docker/deploy.py. One that does not end is killed, and the test told so."""
    with process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()  # else leaving `with` waits for ever
            # What it started holds the pipe, and may go on for ever too: only what is there is read.
            raise AssertionError(f"{process.args!r} did not end within {seconds:.0f} s") from None
    return process.returncode, said


def docker(*arguments: str) -> str:
    """The docker client's stdout."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=300).stdout


def outcome(client: Client, submission: t.Submission) -> tuple[str, int, dict[str, float | None]]:
    """How it ended: state, attempt, scores."""
    done = client.wait(submission.id, timeout=WAIT_SECONDS)
    return done.status, done.attempt, scores(client, done)


def sandboxes(deployed: Deployed) -> list[str]:
    """Names of the containers of runs that the nodes of a deployment have, running or not."""
    found: list[str] = []
    for node in ("node-1", "node-2"):
        folder = hashlib.sha256(bytes(deployed.home.resolve() / "nodes" / node)).hexdigest()[:8]
        label = f"label=touchstone.node={node}-{folder}"
        found += docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()
    return found


def next_version(folder: Path) -> str:
    """The web image with one more migration, which the code before it has to live with; the image's name."""
    migrations = sorted((ROOT / "platform/touchstone/evaluations/migrations").glob("[0-9]*.py"))
    folder.mkdir()
    (folder / "9999_next.py").write_text(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        f"    dependencies = [('evaluations', '{migrations[-1].stem}')]\n"
        "    operations = [migrations.RunSQL('ALTER TABLE evaluations_run ADD COLUMN next_version text')]\n"
    )
    place = "/opt/touchstone/app/platform/touchstone/evaluations/migrations/"
    (folder / "Dockerfile").write_text(f"FROM touchstone/web:1\nCOPY 9999_next.py {place}\n")
    tag = f"touchstone-test/web-{os.getpid()}-{uuid.uuid4().hex[:8]}:1"
    docker("build", "--quiet", "--tag", tag, str(folder))
    return tag


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
