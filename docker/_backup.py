"""Backup of a deployment: the database, every stored file, the registry's images, and a manifest.

A backup is a folder:

    manifest.json                   what is in it, with SHA-256s; written last, so a folder without one is no backup
    database-PROJECT-STAMP.dump     pg_dump's custom format
    blobs/ab/ab12…                  stored files by their SHA-256; a second backup into the folder copies new ones only
    images-PROJECT-STAMP.tar        the registry's files

The database is dumped first: stored files never change, so those copied later hold all that the dump refers to.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from _deployment import DeployError, Deployment, piped
from _images import say

_FORMAT = 1
_DUMP = ("pg_dump", "-h", "/run/postgresql", "-U", "touchstone", "--format=custom", "--no-owner", "touchstone")
REGISTRY = "/var/lib/registry"
#: Status 1: a push changed something meanwhile. Its image is in the next backup; those before it are whole.
_IMAGES = f"tar -C {REGISTRY} -c --exclude=_uploads . || test $? = 1"


def backup(deployment: Deployment, folder: Path) -> None:
    """Write a backup into `folder`, which is made, or holds an older one of the same project. Raises `DeployError`.

    Files that are damaged in the storage are left out and named; the rest is written before that is an error.
    """
    os.umask(0o077)  # labels and password hashes are in it, and the folder may be one that others can open
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        _backup(deployment, folder)


def _backup(deployment: Deployment, folder: Path) -> None:
    before = _manifest(folder) if (folder / "manifest.json").exists() else None
    if before is not None and before["project"] != deployment.project:
        raise DeployError(
            f"{folder} holds a backup of the project {before['project']!r}, and this is {deployment.project!r}: give "
            "it a folder of its own."
        )
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    say("the database")
    dump = _write(folder / f"database-{deployment.project}-{stamp}.dump", deployment.exec("postgres", *_DUMP))
    facts = facts_of(deployment, "facts")
    say("stored files")
    files, damaged = _fetch_blobs(deployment, folder / "blobs")
    images = None
    if deployment.is_running("registry"):
        say("images of the registry")
        images = _write(
            folder / f"images-{deployment.project}-{stamp}.tar", deployment.exec("registry", "sh", "-c", _IMAGES)
        )
    elif before is not None and before["images"]:
        images = before["images"]
        say(f"the registry does not run: the images are those of the last backup, {before['created']}")
    # Those that a damaged copy in the storage leaves out are told at the end.
    facts["missing"] = sorted({*facts["missing"], *damaged})
    if lost := [name for name in facts["missing"] if name not in damaged]:
        say(f"{len(lost)} files that the database refers to are not stored; the manifest names them: {some(lost)}")
    manifest = {
        "touchstone_backup": _FORMAT, "created": stamp, "project": deployment.project, "database": dump,
        "images": images, "blobs": files, **facts,
    }  # fmt: skip
    _replace(folder / "manifest.json", json.dumps(manifest, indent=1).encode())
    for old in (before or {}).get("database"), (before or {}).get("images"):
        if old and old["name"] not in (dump["name"], (images or {}).get("name")):
            (folder / old["name"]).unlink(missing_ok=True)
    total = dump["bytes"] + sum(files.values())
    say(f"{folder} holds a backup: {len(files)} files, {total / 1e6:.1f} MB. The secrets are not in it; see the guide.")
    if damaged:
        raise DeployError(
            f"Not in it, for they are damaged in the storage: {some(damaged)}. An older backup may have them: put each "
            "back by `python -m scripts.stored receive`, or have it uploaded again."
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else writes a backup into the folder meanwhile."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeployError(f"Another backup is being written into {folder}; wait for its end.") from None
        yield


def some(names: Collection[str]) -> str:
    """The first of many, for a message."""
    return ", ".join(sorted(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a backup all of whose files are as it says. Raises `DeployError`."""
    manifest = _manifest(folder)
    for part in filter(None, (manifest["database"], manifest["images"])):
        _check(folder / part["name"], part["sha256"], part["bytes"])
    for sha256, size in manifest["blobs"].items():
        _check(blob(folder / "blobs", sha256), sha256, size)
    return manifest


def facts_of(deployment: Deployment, command: str) -> dict[str, Any]:
    argv = deployment.once("python3", "-m", "scripts.stored", command)
    with piped(argv, env=deployment.environment()) as out:
        found: dict[str, Any] = json.loads(out.read())
    return found


def _fetch_blobs(deployment: Deployment, folder: Path) -> tuple[dict[str, int], set[str]]:
    """Copy what is not there yet: all stored files by SHA-256, with their sizes; and those damaged in the storage."""
    folder.mkdir(exist_ok=True, mode=0o700)
    there = _sound(folder)
    damaged: set[str] = set()
    with tempfile.TemporaryFile() as known:
        known.write("".join(f"{name}\n" for name in there).encode())
        known.seek(0)
        with piped(deployment.exec("web", "python3", "-m", "scripts.stored", "send"), stdin=known) as out:
            with tarfile.open(fileobj=out, mode="r|") as archive:
                for member in archive:
                    size = _take(archive.extractfile(member), folder, member.name)
                    if size is None:
                        damaged.add(member.name)
                    else:
                        there[member.name] = size
            while out.read(1 << 16):  # the padding at the end
                continue
    return dict(sorted(there.items())), damaged


def _sound(folder: Path) -> dict[str, int]:
    """Files of an earlier backup that are still what their names say, with sizes. Others go, and are copied again."""
    found: dict[str, int] = {}
    for path in sorted(folder.glob("??/*")):
        if path.name.startswith("."):
            continue
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 == path.name:
            found[path.name] = path.stat().st_size
        else:
            say(f"{path} is damaged; it is copied again")
            path.unlink()
    return found


def _take(source: IO[bytes] | None, folder: Path, sha256: str) -> int | None:
    """Write a file that the archive names by its content; its size, None where it has another content."""
    if source is None or len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise DeployError(f"The storage sent {sha256!r}, which is no stored file.")
    target = blob(folder, sha256)
    target.parent.mkdir(exist_ok=True, mode=0o700)
    partial = target.with_name(f".{target.name}")
    with partial.open("wb") as file:
        found = _copy(lambda: source.read(1 << 20), file)
    if found["sha256"] != sha256:
        partial.unlink()
        return None
    partial.replace(target)
    return int(found["bytes"])


def _write(path: Path, argv: list[str]) -> dict[str, Any]:
    if path.exists():
        raise DeployError(f"{path} is there already, and is not written over; do the same again.")
    partial = path.with_name(f".{path.name}")
    with piped(argv) as out, partial.open("wb") as file:
        found = _copy(lambda: out.read(1 << 20), file)
    partial.replace(path)
    return {"name": path.name, **found}


def _copy(read: Callable[[], bytes], file: IO[bytes]) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    while chunk := read():
        digest.update(chunk)
        size += len(chunk)
        file.write(chunk)
    file.flush()
    os.fsync(file.fileno())
    return {"sha256": digest.hexdigest(), "bytes": size}


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        _copy(iter([content, b""]).__next__, file)
    partial.replace(path)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        raise DeployError(f"{folder} holds no backup: it has no manifest.json.") from None
    except ValueError as error:
        raise DeployError(f"{folder}/manifest.json cannot be read: {error}.") from error
    if manifest.get("touchstone_backup") != _FORMAT:
        raise DeployError(f"{folder} is a backup of another format; restore it with the version that wrote it.")
    return manifest


def _check(path: Path, sha256: str, size: int) -> None:
    if not path.is_file():
        raise DeployError(f"The backup is not whole: {path} is missing.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256 or path.stat().st_size != size:
        raise DeployError(f"The backup is damaged: {path} has SHA-256 {found}, its manifest says {sha256}.")


def blob(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256
