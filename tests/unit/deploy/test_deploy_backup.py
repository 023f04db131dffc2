"""Backup and restore against a stand-in for the containers: what is written, refused, and left when something fails."""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
from functools import partial
from pathlib import Path

import _backup
import _restore
import pytest
from _deployment import DeployError, Deployment

_CONTENTS = [b"one", b"two", b"three"]
_SHA = [hashlib.sha256(content).hexdigest() for content in _CONTENTS]
#: What the containers would do. Answers are files of the folder it runs in; every order is noted.
_CONTAINERS = """
import io, json, pathlib, sys, tarfile
here, (service, *argv) = pathlib.Path(sys.argv[1]), sys.argv[2:]
with (here / "orders").open("a") as log:
    log.write(json.dumps([service, *argv]) + "\\n")
if argv[0] == "pg_dump":
    print("dump")
elif argv[0] == "pg_restore":
    sys.exit(1 if (here / "no-restore").exists() else 0)
elif argv[0] == "psql":
    if any("shobj_description" in part for part in argv):
        print((here / "comment").read_text() if (here / "comment").exists() else "")
    elif any("count(*)" in part or "regclass" in part for part in argv):
        print(0 if any("accounts_user" in part for part in argv) else 1)
    for part in argv:
        if part.startswith("COMMENT ON DATABASE"):
            text = "" if part.endswith("NULL") else part.split("'")[1]
            (here / "comment").write_text(text)
elif argv[-1] == "send":
    known = set(sys.stdin.read().split())
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for path in sorted((here / "storage").iterdir()):
            if path.name not in known:
                archive.add(path, path.name)
elif argv[-1] == "receive":
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        archive.extractall(here / "storage", filter="data")
else:
    print(json.dumps({"rows": {"evaluations_run": 3}, "migrations": [], "missing": []}))
"""


class Stand(Deployment):
    """A deployment whose containers are a script."""

    def __init__(self, home: Path, project: str = "mine") -> None:
        super().__init__(home)
        home.mkdir(exist_ok=True)
        self.settings_file.write_text(f"COMPOSE_PROJECT_NAME={project}\n")
        (home / "containers.py").write_text(_CONTAINERS)
        (home / "storage").mkdir(exist_ok=True)

    def exec(self, service: str, *argv: str) -> list[str]:
        return [sys.executable, str(self.home / "containers.py"), str(self.home), service, *argv]

    def once(self, *argv: str) -> list[str]:
        return self.exec("once", *argv)

    def is_running(self, service: str) -> bool:
        return service != "registry"

    def compose(self, *arguments: str, **_: object) -> None:  # type: ignore[override]
        self.order("compose", *arguments)

    def order(self, *words: str) -> None:
        with (self.home / "orders").open("a") as log:
            log.write(json.dumps(words) + "\n")

    def orders(self) -> list[str]:
        """What was asked of the containers since the last look."""
        file = self.home / "orders"
        found = [" ".join(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
        file.unlink(missing_ok=True)
        return found


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    """With three stored files."""
    found = Stand(tmp_path / "home")
    for sha256, content in zip(_SHA, _CONTENTS, strict=True):
        (found.home / "storage" / sha256).write_bytes(content)
    return found


def _note(name: str, deployment: Stand, *given: object) -> None:
    deployment.order(name, *map(str, given))


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """An empty deployment to restore into."""
    found = Stand(tmp_path / "target", "other")
    for name in ("begin", "set_up", "renew"):
        monkeypatch.setattr(_restore, name, partial(_note, name))
    return found


@pytest.fixture(autouse=True)
def _umask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backup.os, "umask", lambda _: 0)


def _blobs(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "blobs").glob("??/*"))


def test_a_backup_holds_every_file_and_is_whole(stand: Stand, tmp_path: Path) -> None:
    _backup.backup(stand, tmp_path / "b")

    assert _blobs(tmp_path / "b") == sorted(_SHA)
    manifest = _backup.verify(tmp_path / "b")
    assert manifest["project"] == "mine"
    assert manifest["database"]["name"].startswith("database-mine-")


def test_another_projects_backup_is_not_written_over(stand: Stand, tmp_path: Path) -> None:
    _backup.backup(stand, tmp_path / "b")
    before = {path: path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()}

    with pytest.raises(DeployError, match="a backup of the project 'mine', and this is 'theirs'"):
        _backup.backup(Stand(tmp_path / "theirs", "theirs"), tmp_path / "b")

    assert {path: path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()} == before


def test_two_backups_at_once_into_one_folder_are_refused(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with (tmp_path / "b" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DeployError, match="Another backup is being written"):
            _backup.backup(stand, tmp_path / "b")


def test_a_file_that_is_damaged_in_the_storage_is_named_and_the_rest_is_kept(stand: Stand, tmp_path: Path) -> None:
    (stand.home / "storage" / _SHA[1]).write_bytes(b"tow")

    with pytest.raises(DeployError, match=f"damaged in the storage: {_SHA[1]}"):
        _backup.backup(stand, tmp_path / "b")

    manifest = _backup.verify(tmp_path / "b")
    assert sorted(manifest["blobs"]) == _blobs(tmp_path / "b") == sorted({*_SHA} - {_SHA[1]})
    assert manifest["missing"] == [_SHA[1]]


def test_a_file_that_went_bad_in_the_folder_is_copied_again(stand: Stand, tmp_path: Path) -> None:
    _backup.backup(stand, tmp_path / "b")
    bad = tmp_path / "b" / "blobs" / _SHA[2][:2] / _SHA[2]
    bad.write_bytes(b"thr33")

    _backup.backup(stand, tmp_path / "b")

    assert bad.read_bytes() == b"three"
    _backup.verify(tmp_path / "b")


def test_a_restore_that_fails_leaves_the_database_and_may_be_repeated(
    stand: Stand, target: Stand, tmp_path: Path
) -> None:
    _backup.backup(stand, tmp_path / "b")
    (target.home / "no-restore").touch()
    with pytest.raises(DeployError, match="pg_restore"):
        _restore.restore(target, tmp_path / "b")
    failed = target.orders()
    assert not any("DROP DATABASE IF EXISTS touchstone " in order for order in failed)
    assert "renew" not in failed
    (target.home / "no-restore").unlink()

    _restore.restore(target, tmp_path / "b")

    done = target.orders()
    steps = ("pg_restore", "receive", "RENAME TO touchstone", "set_up", "stored settle", "touchstone IS NULL", "renew")
    assert [step for order in done for step in steps if step in order] == list(steps)
    assert sorted(path.name for path in (target.home / "storage").iterdir()) == sorted(_SHA)


def test_a_restore_cut_off_after_the_swap_may_be_repeated_and_nothing_else_starts(
    stand: Stand, target: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _backup.backup(stand, tmp_path / "b")

    def fail(_: Deployment) -> None:
        raise DeployError("no migrations today")

    with monkeypatch.context() as cut:
        cut.setattr(_restore, "set_up", fail)
        with pytest.raises(DeployError, match="today"):
            _restore.restore(target, tmp_path / "b")
    with pytest.raises(DeployError, match="cut off here"):
        _restore.refuse_unsettled(target)

    _restore.restore(target, tmp_path / "b")
    _restore.refuse_unsettled(target)
