"""Part of the web image: what a deployment needs once, and again after an upgrade or a restore. Safe to repeat.

    python3 setup.py SECRETS NODE...      in a container of the web image

    python3 setup.py SECRETS --users      only what is said of Redis

Migrates the database, sees to it that SECRETS/NODE-token holds a working token for each node, writes the configuration
of the registry, and gives Redis the users of SECRETS/redis_acl.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
from pathlib import Path

import django
import redis_users
from django.core.management import call_command

_DAY = 86_400


def main(secrets: Path, nodes: list[str]) -> int:
    django.setup()
    _users(secrets)
    if nodes == ["--users"]:
        return 0
    call_command("migrate", interactive=False, verbosity=1)
    for name in nodes:
        _token(secrets / f"{name}-token", name)
    _registry(secrets / "registry.json")
    _sweep(Path(os.environ["TMPDIR"]))
    return 0


def _sweep(scratch: Path) -> None:
    """Remove what killed processes left of uploads and checks more than a day ago."""
    for path in scratch.iterdir():
        if time.time() - path.stat().st_mtime < _DAY:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _token(file: Path, name: str) -> None:
    """A token that the database knows is kept: the node holds it too."""
    from touchstone.evaluations.services import node_authenticate, node_create

    known = node_authenticate(raw=file.read_text().strip()) if file.exists() else None
    if known is not None and known.name == name:
        return
    _, token = node_create(name=name, replace=True)
    _write(file, token)
    print(f"minted a token for the node {name}")  # noqa: T201


def _users(secrets: Path) -> None:
    """By the password that Redis knows: while it is made anew that may be the one before."""
    from redis import Redis
    from redis.exceptions import AuthenticationError

    text, old = (secrets / "redis_acl").read_text(), secrets / "broker_url.old"
    try:
        with Redis.from_url((secrets / "broker_url").read_text()) as redis:
            redis_users.apply(redis, text)
    except AuthenticationError:
        if not old.exists():
            raise
        with Redis.from_url(old.read_text()) as redis:
            redis_users.apply(redis, text)


def _registry(file: Path) -> None:
    server = os.environ["TOUCHSTONE_INTERNAL_URL"]
    out = io.StringIO()
    call_command("registry_config", listen="0.0.0.0:5000", server=server, stdout=out, secrets=Path("/run/registry"))
    _write(file, out.getvalue())


def _write(file: Path, text: str) -> None:
    """In place: a container may hold this very file. The folder around it lets nobody else in."""
    if file.exists() and file.read_text() == text:
        return
    file.write_text(text)
    file.chmod(0o444)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
