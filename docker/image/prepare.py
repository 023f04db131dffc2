"""Part of the web image: makes the folders and secrets of a deployment. As root, without network.

    python3 prepare.py HOME [NODE ...]

What is there stays. The folder of secrets is open to the containers' user alone, so the files in it may be readable for
whichever user a container runs under.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

USER = 10001


def main(home: Path, nodes: list[str]) -> int:
    place = home / "secrets"
    for folder in (place, *(home / "nodes" / name for name in nodes)):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        os.chown(folder, USER, USER)
    _once(place / "secret_key", _random())
    password = _once(place / "postgres_password", _random())
    _once(place / "database_url", f"postgresql://touchstone:{password}@postgres:5432/touchstone")
    _redis(place)
    return 0


def _redis(place: Path) -> None:
    """Two users: the server may do all; a node may take and acknowledge nudges of its queues, and nothing else.

    In particular it reads neither the server's cache, which is unpickled, nor the server's own queue.
    """
    files = [place / name for name in ("redis_acl", "broker_url", "node_broker_url")]
    if all(file.exists() for file in files):
        return
    server, node = _random(), _random()
    keys = "~cpu* ~gpu* ~_kombu.binding* ~unacked*"
    scripts = "+eval +evalsha +script|load"  # Celery's lock on `unacked`; what a script does is checked as well
    rights = f"{keys} resetchannels &/0.celeryev* +@all -@admin -@dangerous +info -@scripting {scripts}"
    texts = (
        f"user default off\nuser server on >{server} ~* &* +@all\nuser node on >{node} {rights}\n",
        f"redis://server:{server}@redis:6379/0",
        f"redis://node:{node}@redis:6379/0",
    )
    for file, text in zip(files, texts, strict=True):
        file.unlink(missing_ok=True)
        _once(file, text)


def _once(file: Path, text: str) -> str:
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text(text)
        partial.chmod(0o444)
        os.chown(partial, USER, USER)
        partial.rename(file)
    return file.read_text()


def _random() -> str:
    return secrets.token_urlsafe(48)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
