"""Backup and restore of a deployment: the database, every stored file, the registry's images, and a manifest.

A backup is a folder:

    manifest.json           what is in it, with SHA-256s; written last, so a folder without one is no backup
    database-STAMP.dump     pg_dump's custom format
    blobs/ab/ab12…          stored files by their SHA-256; a second backup into the folder copies new ones only
    images-STAMP.tar        the registry's files

The database is dumped first: stored files never change, so those copied later hold all that the dump refers to.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from _deployment import NODES, DeployError, Deployment, piped
from _images import say
from _services import begin, renew, set_up

_FORMAT = 1
_PSQL = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "/run/postgresql", "-U", "touchstone")
_DUMP = ("pg_dump", "-h", "/run/postgresql", "-U", "touchstone", "--format=custom", "--no-owner", "touchstone")
_RESTORE = (
    "pg_restore", "-h", "/run/postgresql", "-U", "touchstone", "--dbname=touchstone", "--no-owner", "--exit-on-error",
    "--single-transaction",
)  # fmt: skip
_REGISTRY = "/var/lib/registry"
#: Status 1: a push changed something meanwhile. Its image is in the next backup; those before it are whole.
_IMAGES = f"tar -C {_REGISTRY} -c --exclude=_uploads . || test $? = 1"


def backup(deployment: Deployment, folder: Path) -> None:
    """Write a backup into `folder`, which is made, or holds an older one of the same deployment."""
    os.umask(0o077)  # labels and password hashes are in it, and the folder may be one that others can open
    folder.mkdir(parents=True, exist_ok=True)
    before = _manifest(folder) if (folder / "manifest.json").exists() else None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    say("the database")
    dump = _write(folder / f"database-{stamp}.dump", deployment.exec("postgres", *_DUMP))
    facts = _facts(deployment, "facts")
    say("stored files")
    files = _fetch_blobs(deployment, folder / "blobs")
    images = None
    if deployment.is_running("registry"):
        say("images of the registry")
        images = _write(folder / f"images-{stamp}.tar", deployment.exec("registry", "sh", "-c", _IMAGES))
    elif before is not None and before["images"]:
        images = before["images"]
        say(f"the registry does not run: the images are those of the last backup, {before['created']}")
    if facts["missing"]:
        say(f"{len(facts['missing'])} files that the database refers to are not stored; the manifest names them")
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


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a backup all of whose files are as it says. Raises `DeployError`."""
    manifest = _manifest(folder)
    for part in filter(None, (manifest["database"], manifest["images"])):
        _check(folder / part["name"], part["sha256"], part["bytes"])
    for sha256, size in manifest["blobs"].items():
        _check(_blob(folder / "blobs", sha256), sha256, size)
    return manifest


def restore(deployment: Deployment, folder: Path) -> None:
    """Make a deployment from a backup, or fill one that holds nothing yet. Raises `DeployError`."""
    say("checking the backup")
    manifest = verify(folder)
    begin(deployment)
    _refuse_content(deployment)
    deployment.compose("stop", "web", "scheduler", *NODES)
    say("the database")
    fresh = ("-c", "DROP DATABASE touchstone WITH (FORCE)", "-c", "CREATE DATABASE touchstone", "postgres")
    _run(deployment.exec("postgres", *_PSQL, *fresh), stdin=subprocess.DEVNULL)
    with (folder / manifest["database"]["name"]).open("rb") as dump:
        _run(deployment.exec("postgres", *_RESTORE), stdin=dump)
    say("stored files")
    _give(deployment.once("python3", "-m", "scripts.stored", "receive"), _tarred(folder / "blobs", manifest["blobs"]))
    set_up(deployment)
    found = _facts(deployment, "settle")
    new = sorted(set(found["missing"]) - set(manifest["missing"]))
    if new:
        raise DeployError(f"The database refers to {len(new)} files that are not in the storage, as {new[0]}.")
    if manifest["images"]:  # before the nodes: runs that wait may need one
        say("images of the registry")
        renew(deployment, ("registry",))
        with (folder / manifest["images"]["name"]).open("rb") as images:
            _run(deployment.exec("registry", "tar", "-C", _REGISTRY, "-x"), stdin=images)
    renew(deployment)
    say(f"restored the backup of {manifest['created']}: {found['rows']['evaluations_run']} runs")


def _refuse_content(deployment: Deployment) -> None:
    """People are the first that a deployment gets."""
    query = "SELECT CASE WHEN to_regclass('accounts_user') IS NULL THEN 0 ELSE 1 END"
    if _ask(deployment, query) == "0":
        return
    people = _ask(deployment, "SELECT count(*) FROM accounts_user")
    if people != "0":
        raise DeployError(
            f"This deployment is not empty: it has {people} accounts. A backup is restored into an empty one only; "
            "make one with another TOUCHSTONE_HOME and COMPOSE_PROJECT_NAME, or remove this one's data with "
            "`deploy.py down --data`."
        )


def _ask(deployment: Deployment, query: str) -> str:
    argv = deployment.exec("postgres", *_PSQL, "-c", query, "touchstone")
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def _facts(deployment: Deployment, command: str) -> dict[str, Any]:
    with piped(deployment.once("python3", "-m", "scripts.stored", command)) as out:
        found: dict[str, Any] = json.loads(out.read())
    return found


def _fetch_blobs(deployment: Deployment, folder: Path) -> dict[str, int]:
    """Copy what is not there yet; all stored files by SHA-256, with their sizes."""
    folder.mkdir(exist_ok=True, mode=0o700)
    there = {path.name: path.stat().st_size for path in folder.glob("??/*") if not path.name.startswith(".")}
    with tempfile.TemporaryFile() as known:
        known.write("".join(f"{name}\n" for name in there).encode())
        known.seek(0)
        with piped(deployment.exec("web", "python3", "-m", "scripts.stored", "send"), stdin=known) as out:
            with tarfile.open(fileobj=out, mode="r|") as archive:
                for member in archive:
                    there[member.name] = _take(archive.extractfile(member), _blob(folder, member.name), member.name)
            while out.read(1 << 16):  # the padding at the end
                continue
    return dict(sorted(there.items()))


def _take(source: IO[bytes] | None, target: Path, sha256: str) -> int:
    """Write a file that the archive names by its content; its size."""
    if source is None or len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise DeployError(f"The storage sent {sha256!r}, which is no stored file.")
    target.parent.mkdir(exist_ok=True, mode=0o700)
    partial = target.with_name(f".{target.name}")
    with partial.open("wb") as file:
        found = _copy(lambda: source.read(1 << 20), file)
    if found["sha256"] != sha256:
        raise DeployError(f"The stored file {sha256} is damaged: its SHA-256 is {found['sha256']}.")
    partial.replace(target)
    return int(found["bytes"])


def _write(path: Path, argv: list[str]) -> dict[str, Any]:
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


def _blob(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256


def _run(argv: list[str], **options: Any) -> None:
    if subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, **options).returncode != 0:
        raise DeployError(f"`{' '.join(argv[:6])} …` failed; see above.")


def _tarred(folder: Path, names: Iterable[str]) -> Callable[[IO[bytes]], None]:
    """Writes an archive of stored files into a pipe."""

    def write(pipe: IO[bytes]) -> None:
        with tarfile.open(fileobj=pipe, mode="w|") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                path = _blob(folder, name)
                info.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(info, file)

    return write


def _give(argv: list[str], write: Callable[[IO[bytes]], None]) -> None:
    """Run a command whose stdin `write` fills."""
    failure: list[BaseException] = []

    def fill(pipe: IO[bytes]) -> None:
        try:
            with pipe:
                write(pipe)
        except BaseException as error:  # told by whoever waits for the command
            failure.append(error)

    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        thread = threading.Thread(target=fill, args=(process.stdin,))
        thread.start()
        code = process.wait()
        thread.join()
    if code != 0:
        raise DeployError(f"`{' '.join(argv[-4:])}` ended with status {code}; see above.")
    if failure:
        raise failure[0]
