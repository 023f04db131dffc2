"""The server's side of a backup: files of the storage as a stream, and what the database says about them.

    python -m scripts.stored send       stdin: SHA-256s that are there already; stdout: a tar of the other files
    python -m scripts.stored receive    stdin: such a tar
    python -m scripts.stored facts      JSON: {rows, migrations, missing}
    python -m scripts.stored settle     after a restore: forgets what no backup holds, then as `facts`

Runs where the settings are the server's. Stored files never change and are named by their content, so a copy made after
that of the database holds all that it refers to.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from typing import IO, Any

import django

_ROOT = "blobs"


class StoredError(Exception):
    """Shown without a traceback: what is wrong with which file."""


def send(known: set[str], out: IO[bytes]) -> int:
    """Write all files but those in `known`; how many."""
    from touchstone.core.storage import blob_open

    count = 0
    with tarfile.open(fileobj=out, mode="w|") as archive:
        for sha256 in sorted(_stored() - known):
            with blob_open(sha256=sha256) as file:
                info = tarfile.TarInfo(sha256)
                info.size = file.seek(0, 2)
                file.seek(0)
                archive.addfile(info, file)
            count += 1
    return count


def receive(source: IO[bytes]) -> int:
    """Store the files of an archive; how many. Raises `StoredError` for one whose content is not that of its name."""
    from touchstone.core.storage import blob_put

    count = 0
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                raise StoredError(f"{member.name!r} is not a file")
            found = blob_put(file=file).sha256
            if found != member.name:
                raise StoredError(f"the file {member.name} is damaged: its SHA-256 is {found}")
            count += 1
    return count


def facts() -> dict[str, Any]:
    """Rows by table, applied migrations, and files that are referred to and not stored."""
    from django.apps import apps
    from django.db import connection
    from django.db.migrations.recorder import MigrationRecorder

    rows = {model._meta.db_table: model._base_manager.count() for model in apps.get_models()}
    applied = MigrationRecorder(connection).applied_migrations()
    return {
        "rows": dict(sorted(rows.items())),
        "migrations": sorted(f"{app}.{name}" for app, name in applied),
        "missing": sorted(set(_referenced()) - _stored()),
    }


def settle() -> dict[str, Any]:
    """Forget unfinished uploads, whose parts no backup holds, and sign everybody out."""
    from django.contrib.sessions.models import Session

    from touchstone.submissions.models import Upload

    Upload.objects.filter(completed_at=None).delete()
    Session.objects.all().delete()
    return facts()


def _stored() -> set[str]:
    from django.core.files.storage import default_storage

    files: set[str] = set()
    waiting = [_ROOT]
    while waiting:
        folder = waiting.pop()
        try:
            folders, names = default_storage.listdir(folder)
        except FileNotFoundError:  # nothing was ever stored
            continue
        waiting += [f"{folder}/{name}" for name in folders]
        files |= {name for name in names if not name.startswith(".")}  # those with a dot are being written
    return files


def _referenced() -> Iterator[str]:
    from touchstone.competitions.models import Competition, DataSplit
    from touchstone.submissions.models import Submission, Upload

    yield from Competition.objects.exclude(starting_kit="").values_list("starting_kit", flat=True)
    yield from Upload.objects.exclude(completed_at=None).values_list("sha256", flat=True)
    for files, ids in DataSplit.objects.values_list("files", "ids").iterator():
        yield from (file["sha256"] for file in files)
        yield ids
    for files in Submission.objects.values_list("files", flat=True).iterator():
        yield from (file["sha256"] for file in files)


def digest(file: IO[bytes]) -> str:
    """SHA-256 of what is left to read."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def main(command: str) -> int:
    django.setup()
    try:
        if command == "send":
            known = {line.strip() for line in sys.stdin}
            print(f"{send(known, sys.stdout.buffer)} files sent", file=sys.stderr)
        elif command == "receive":
            print(f"{receive(sys.stdin.buffer)} files stored", file=sys.stderr)
        elif command in ("facts", "settle"):
            print(json.dumps(facts() if command == "facts" else settle()))
        else:
            print(f"unknown command {command!r}: send, receive, facts or settle", file=sys.stderr)
            return 2
    except StoredError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
