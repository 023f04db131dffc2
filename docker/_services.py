"""Bringing the services of a deployment up, in their order, and renewing those that run one after the other."""

from __future__ import annotations

import os
import subprocess

from _deployment import NODES, WEB_IMAGE, DeployError, Deployment
from _images import say

SERVERS = ("web", "scheduler", "registry")
STORES = ("postgres", "redis")
_GIVEN = {
    "COMPOSE_PROJECT_NAME": "touchstone",
    "TOUCHSTONE_LISTEN": "127.0.0.1:8000",
    "TOUCHSTONE_REGISTRY_LISTEN": "127.0.0.1:5000",
}
#: Secrets are files: none is taken from the environment.
_SECRET = ("KEY", "TOKEN", "PASSWORD", "DATABASE_URL", "BROKER_URL")


def rolling(deployment: Deployment) -> tuple[str, ...]:
    """The services that come and go one after the other, in that order."""
    return (*SERVERS, *deployment.nodes)


def begin(deployment: Deployment) -> None:
    """Settings, folders, secrets, and what keeps data; returns when that is healthy."""
    deployment.write_settings(_given())
    prepare(deployment)
    deployment.compose("up", "-d", "--no-deps", *STORES)
    deployment.await_healthy(*STORES)


def set_up(deployment: Deployment) -> None:
    """Migrations, the nodes' tokens, the registry's configuration."""
    say("migrations, tokens of the nodes, configuration of the registry")
    deployment.compose("run", "--rm", "--no-deps", "-T", "setup", stdin=subprocess.DEVNULL)


def tell_redis(deployment: Deployment) -> None:
    """Give Redis the users of its file, without breaking a connection of those that stay."""
    argv = deployment.once("python3", "setup.py", "/secrets", "--users")
    if subprocess.run(argv, env=deployment.environment(), stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise DeployError("Redis could not be told of its users; see above. When it runs, do the same again.")


def renew(deployment: Deployment, services: tuple[str, ...] | None = None, *, force: bool = False) -> None:
    """Start services (all), and replace those that run and have changed (`force`: all), one after the other.

    Nodes that are no longer wanted on this host finish their runs and go.
    """
    if services is None:
        services = rolling(deployment)
        _dismiss(deployment)
    fresh = [name for name in services if not deployment.is_running(name)]
    recreate = ("--force-recreate",) if force else ()
    for name in services:
        if name not in fresh:
            say(f"renewing {name}" + (": it finishes its runs first" if name in NODES else ""))
            deployment.compose("up", "-d", "--no-deps", *recreate, name)
            deployment.await_healthy(name)
    if "web" in fresh:  # the others wait for it anyway
        deployment.compose("up", "-d", "--no-deps", "web")
        deployment.await_healthy("web")
    rest = [name for name in fresh if name != "web"]
    if rest:
        deployment.compose("up", "-d", "--no-deps", *rest)
        deployment.await_healthy(*rest)


def restart(deployment: Deployment, services: list[str]) -> None:
    """Restart services in turn; without names all of ours."""
    known = (*STORES, *rolling(deployment))
    unknown = [name for name in services if name not in known]
    if unknown:
        raise DeployError(f"There is no service {', '.join(unknown)}. Known: {', '.join(known)}.")
    renew(deployment, tuple(services) or rolling(deployment), force=True)


def _dismiss(deployment: Deployment) -> None:
    gone = [name for name in NODES if name not in deployment.nodes and deployment.container(name)]
    for name in gone:
        say(f"{name} goes: it finishes its runs first")
        deployment.compose("rm", "--stop", "--force", name)


def prepare(deployment: Deployment, *options: str, given: str = "") -> None:
    """Folders and secrets; `options` and `given`, its stdin, are those of docker/image/prepare.py.

    Made by a container: so whoever may use Docker may deploy, and the files' owners are right.
    """
    home = deployment.home
    image = deployment.settings.get("TOUCHSTONE_WEB_IMAGE") or WEB_IMAGE
    command = [
        "docker",
        "run",
        "--rm",
        "--interactive",
        "--network",
        "none",
        "--user",
        "0:0",
        "--volume",
        f"{home}:{home}",
        image,
    ]
    argv = [*command, "python3", "prepare.py", *options, "--", str(home), *NODES]
    if subprocess.run(argv, input=given, text=True, check=False).returncode != 0:
        raise DeployError(f"The secrets under {home} could not be made; see above.")


def _given() -> dict[str, str]:
    """Settings of the first start, from the environment."""
    named = {k: v for k, v in os.environ.items() if k.startswith("TOUCHSTONE_") and not k.endswith(_SECRET)}
    named |= {k: v for k, v in os.environ.items() if k == "COMPOSE_PROJECT_NAME"}
    named.pop("TOUCHSTONE_HOME", None)
    return _GIVEN | named
