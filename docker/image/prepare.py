"""Part of the web image: makes the folders and secrets of a deployment. As root, without network.

    python3 prepare.py HOME [NODE ...]                  what is there stays
    python3 prepare.py HOME --new SECRET [NODE ...]     SECRET anew: secret_key, NODE-token, or redis for the passwords
                                                        of the server and of each NODE; the old ones are good until
    python3 prepare.py HOME --done [NODE ...]           ends them
    python3 prepare.py HOME --queue NAME [NODE ...]     a user of Redis anew, for a node on another machine
    python3 prepare.py HOME --postgres [NODE ...]       the database's password, from stdin

The folder of secrets is open to the containers' user alone, so the files in it may be readable for whichever user a
container runs under.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import redis_users

USER = 10001
#: Secrets of others, empty until an operator writes them.
_GIVEN = ("email_url", "oidc", "s3_secret")
_QUEUE = "-queue"
_OLD = ".old"


def main(arguments: list[str]) -> int:
    """Make what is missing, and what is asked for anew."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("nodes", nargs="*")
    parser.add_argument("--new", default="")
    parser.add_argument("--done", action="store_true")
    parser.add_argument("--queue", default="")
    parser.add_argument("--postgres", action="store_true")
    asked = parser.parse_args(arguments)
    place: Path = asked.home / "secrets"
    _folder(place)
    if asked.postgres:
        _postgres(place, sys.stdin.read().strip())
    _forget(place, asked.new, asked.queue, asked.nodes)
    if asked.done:
        for file in place.glob(f"*{_OLD}"):
            file.unlink()
    _once(place / "secret_key", _random())
    for name in _GIVEN:
        _once(place / name, "")
    if not (place / "postgres_password").exists() or not (place / "database_url").exists():
        _postgres(place, _read(place / "postgres_password") or _random())
    for node in asked.nodes:
        _folder(asked.home / "nodes" / node)
    _folder(asked.home / "nodes" / "gpus")  # who uses which device
    for node in (*asked.nodes, *filter(None, [asked.queue])):
        user = redis_users.user_of(node)
        _once(place / f"{node}{_QUEUE}", f"redis://{user}:{_random()}@redis:6379/0")
    _once(place / "broker_url", f"redis://server:{_random()}@redis:6379/0")
    _acl(place)
    return 0


def _folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    os.chown(folder, USER, USER)


def _forget(place: Path, secret: str, queue: str, nodes: list[str]) -> None:
    """Remove the files of secrets; what follows makes them anew."""
    if queue:
        (place / f"{queue}{_QUEUE}").unlink(missing_ok=True)
    if secret == "redis":  # noqa: S105 - a name
        for file in (place / "broker_url", *(place / f"{node}{_QUEUE}" for node in nodes)):
            old = file.with_name(file.name + _OLD)
            if old.exists():  # one cut off half-way: that password is the one in use
                file.unlink(missing_ok=True)
            elif file.exists():
                file.rename(old)
    elif secret:
        (place / secret).unlink(missing_ok=True)


def _postgres(place: Path, password: str) -> None:
    _write(place / "postgres_password", password)
    _write(place / "database_url", f"postgresql://touchstone:{password}@postgres:5432/touchstone")


def _acl(place: Path) -> None:
    """Redis's users, from the URLs that are there. In place: a container may hold this very file.

    `node_broker_url` is that of earlier deployments, whose nodes had one user; it counts as long as the file is there.
    """
    ours = (place / "broker_url", place / f"broker_url{_OLD}")
    theirs = (*place.glob(f"*{_QUEUE}"), *place.glob(f"*{_QUEUE}{_OLD}"), place / "node_broker_url")
    nodes: dict[str, set[str]] = {}
    for url in filter(None, map(_url, theirs)):
        nodes.setdefault(str(url.username), set()).add(str(url.password))
    text = redis_users.acl(server={str(url.password) for url in map(_url, ours) if url}, nodes=nodes)
    file = place / "redis_acl"
    if not file.exists():
        _once(file, text)
    elif file.read_text() != text:
        file.chmod(0o644)
        file.write_text(text)
        file.chmod(0o444)


def _url(file: Path) -> SplitResult | None:
    return urlsplit(file.read_text()) if file.exists() else None


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _once(file: Path, text: str) -> None:
    if not file.exists():
        _write(file, text)


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text)
    partial.chmod(0o444)
    os.chown(partial, USER, USER)
    partial.rename(file)


def _random() -> str:
    return secrets.token_urlsafe(48)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
