"""Secrets of a deployment that runs: new ones in place of old, and what a node on another machine is given."""

from __future__ import annotations

import secrets
import subprocess
from urllib.parse import urlsplit, urlunsplit

from _deployment import NODES, DeployError, Deployment
from _images import say
from _services import prepare, renew, set_up, tell_redis

_SERVERS = ("web", "scheduler")
ROTATED = ("secret_key", "postgres", "redis", *NODES)


def rotate(deployment: Deployment, name: str) -> None:
    """Make a secret anew while everything runs; what is cut off half-way may be done again. Raises `DeployError`.

    `secret_key` signs everybody out. `redis` is the server's password and those of the nodes here: old ones are good
    until everything has the new. A node's name means its token: it finishes its runs first.
    """
    if name == "secret_key":
        prepare(deployment, "--new", "secret_key")
        renew(deployment, _SERVERS, force=True)
    elif name == "postgres":
        _postgres(deployment)
    elif name == "redis":
        prepare(deployment, "--new", "redis")
        tell_redis(deployment)
        renew(deployment, (*_SERVERS, *deployment.nodes), force=True)
        prepare(deployment, "--done")
        tell_redis(deployment)
    elif name in deployment.nodes:
        say(f"{name} stops: it finishes its runs first")
        deployment.compose("stop", name)
        prepare(deployment, "--new", f"{name}-token")
        set_up(deployment)
        renew(deployment, (name,), force=True)
    else:
        raise DeployError(
            f"There is no secret {name!r} here. Known: {', '.join((*ROTATED[:3], *deployment.nodes))}. "
            "A node on another machine gets a new token, and a new password for the queue, by `deploy.py node-token`."
        )
    say(f"{name} is new")


def _postgres(deployment: Deployment) -> None:
    """From the ALTER on the old password opens no new connection, so the servers are renewed at once.

    The database trusts its own container, so this works whichever password was the last.
    """
    password = secrets.token_urlsafe(48)
    argv = deployment.exec("postgres", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "/run/postgresql", "-U",
                           "touchstone", "touchstone")  # fmt: skip
    order = f"ALTER USER touchstone PASSWORD '{password}'"  # by stdin: in no list of processes
    if subprocess.run(argv, input=order, text=True, check=False).returncode != 0:
        raise DeployError("PostgreSQL did not take the new password, so the old one stays; see above.")
    prepare(deployment, "--postgres", given=password)
    renew(deployment, _SERVERS, force=True)


def node_token(deployment: Deployment, name: str) -> None:
    """Print a token for a node elsewhere, and on a second line its address of the queue; older ones stop working."""
    if name in NODES:
        raise DeployError(f"{name} is a node of this host; `deploy.py rotate {name}` gives it a new token.")
    argv = deployment.exec("web", "python3", "manage.py", "node_create", name, "--replace")
    if subprocess.run(argv, check=False).returncode != 0:
        raise DeployError(f"No token for {name!r}; see above.")
    prepare(deployment, "--queue", name)
    tell_redis(deployment)
    show = deployment.once("cat", f"/secrets/{name}-queue")
    done = subprocess.run(show, env=deployment.environment(), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise DeployError(f"The token is good, but {name}'s address of the queue could not be read; do the same again.")
    print(_reached(done.stdout.strip(), deployment.settings.get("TOUCHSTONE_QUEUE_LISTEN", "")))  # noqa: T201


def _reached(url: str, listen: str) -> str:
    """The address as a machine outside has it, where the queue is open to any."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@{listen or 'HOST:6379'}"))


def staff(deployment: Deployment, name: str, *, remove: bool) -> None:
    """Make an account that exists one of the platform's staff, or one no longer."""
    argv = deployment.exec("web", "python3", "staff.py", name, *(["--remove"] if remove else []))
    if subprocess.run(argv, check=False).returncode != 0:
        raise DeployError(f"Nothing is changed for {name!r}; see above.")
