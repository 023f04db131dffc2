"""Everything of a competition in one file: what is in it, what is not, who gets it, and how long it is there."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.test import Client

from tests.factories.server import (
    bundle_folder,
    competition_make,
    participation_make,
    run_make,
    submission_make,
    user_make,
)
from touchstone.audit.services import audit_append
from touchstone.competitions.announcing import announce
from touchstone.competitions.imports import competition_import
from touchstone.competitions.models import Competition
from touchstone.core import tasks
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound
from touchstone.evaluations.models import Result, RunStatus
from touchstone.exports import services
from touchstone.exports.models import Export
from touchstone.exports.selectors import export_file, export_latest, export_path, exports_visible
from touchstone.exports.services import export_ask, export_run, exports_sweep
from touchstone.leaderboards.services import entries_update
from touchstone.submissions.models import Submission

pytestmark = pytest.mark.django_db


@pytest.fixture
def competition() -> Competition:
    return _filled(competition_make(user_make("olga"), slug="tiny"))


def _filled(made: Competition) -> Competition:
    """With a participant, a scored submission and an announcement."""
    owner = made.owner
    person = participation_make(made, user_make("secret-account"), display_name="=Anna")
    sent = submission_make(person, name="first", message="with commas, and\nlines")
    files = [sent.files[0] | {"name": "../../evil.csv"}]
    Submission.objects.filter(pk=sent.pk).update(files=files)
    run = run_make(sent, status=RunStatus.SCORED, finished_at=now(), log="the log")
    Result.objects.create(
        run=run, position=0, key="performance.accuracy", metric="performance.accuracy", pillar="performance",
        title="Accuracy", value=0.75, low=0.5, high=0.9, n=8, direction="maximise", state="ok",
        details={"matrix": [[3, 1], [1, 3]]},
    )  # fmt: skip
    with transaction.atomic():
        entries_update(run=run)
    announce(competition=made, by=owner, title="Welcome", markdown="Hello **all**")
    return made


def _made(competition: Competition, *, artifacts: bool = False) -> Export:
    asked = export_ask(competition=competition, user=competition.owner, artifacts=artifacts)
    export_run(export_id=asked.pk)
    asked.refresh_from_db()
    return asked


def _zip(export: Export) -> zipfile.ZipFile:
    with default_storage.open(export_path(export=export)) as stored:
        return zipfile.ZipFile(io.BytesIO(stored.read()))


def test_all_of_it_is_there_and_the_manifest_fits(competition: Competition) -> None:
    export = _made(competition, artifacts=True)
    archive = _zip(export)

    assert (export.state, export.done) == ("done", export.total)
    assert export.size == default_storage.size(export_path(export=export))
    read = {name: archive.read(name) for name in archive.namelist()}
    manifest = dict(reversed(line.split("  ")) for line in read.pop("MANIFEST.sha256").decode().splitlines())
    assert manifest == {name: hashlib.sha256(content).hexdigest() for name, content in read.items()}
    sent = Submission.objects.get()
    assert f"artifacts/{sent.pk}/evil.csv" in read
    assert {"README.txt", "boards/main-main.csv", "boards/main-main.jsonl", "bundle/competition.yml"} <= set(read)
    for name in (line.split()[0] for line in read["README.txt"].decode().splitlines() if "  " in line):
        assert name.startswith("MANIFEST") or any(key.startswith(name) for key in read), name
    (row,) = csv.DictReader(io.StringIO(read["results.csv"].decode()))
    assert (row["participant"], row["value"], row["low"], row["high"], row["n"]) == (
        "'=Anna",
        "0.75",
        "0.5",
        "0.9",
        "8",
    )
    told = json.loads(read["results.jsonl"])
    assert (told["participant"], told["details"]) == ("=Anna", {"matrix": [[3, 1], [1, 3]]})
    (found,) = pq.read_table(io.BytesIO(read["results.parquet"])).to_pylist()
    assert (found["submission"], found["value"]) == (str(sent.pk), 0.75)
    (listed,) = csv.DictReader(io.StringIO(read["submissions.csv"].decode()))
    assert (listed["message"], listed["status"]) == (sent.message, "scored")
    assert b"=Anna" in read["boards/main-main.csv"]
    assert json.loads(read["announcements.jsonl"])["markdown"] == "Hello **all**"


def test_it_can_be_imported_as_it_is(tmp_path) -> None:
    folder = bundle_folder(tmp_path, rows=8)
    competition = _filled(competition_import(user=user_make("olga"), archive=folder).competition)

    _zip(_made(competition)).extractall(tmp_path / "out")

    assert not competition_import(user=competition.owner, archive=tmp_path / "out/bundle").changed


def test_no_account_no_address_and_no_log_is_in_it(competition: Competition) -> None:
    # What the factories did is not in the record; a real act of the participant is.
    sent = Submission.objects.get()
    with transaction.atomic():
        audit_append(actor=sent.participation.user, act="submission.name", subject=f"submission:{sent.pk}", data={})
        audit_append(actor=user_make("stranger"), act="token.create", subject="token:abc", data={})
    archive = _zip(_made(competition))
    read = {name: archive.read(name).decode("utf-8", "replace") for name in archive.namelist()}

    for name, content in read.items():
        for secret in ("secret-account", sent.participation.user.email, competition.owner.email, "the log", "stranger"):
            assert secret not in content, (name, secret)
    record = [json.loads(line) for line in read["audit.jsonl"].splitlines()]
    acts = {row["act"]: row["actor"] for row in record}
    assert acts["submission.name"] == "=Anna"
    assert acts["announcement.create"] == acts["competition.export_everything"] == "olga"
    assert "token.create" not in acts
    assert not any(name.startswith("artifacts/") for name in read)


def test_one_at_a_time_for_organisers_alone(competition: Competition) -> None:
    stranger = user_make()
    with pytest.raises(NotFound):
        export_ask(competition=competition, user=stranger, artifacts=False)
    asked = export_ask(competition=competition, user=competition.owner, artifacts=False)
    with pytest.raises(Conflict):
        export_ask(competition=competition, user=competition.owner, artifacts=True)
    with pytest.raises(NotFound):  # it is not there yet
        export_file(user=competition.owner, competition=competition, id=asked.pk)

    export_run(export_id=asked.pk)
    export_run(export_id=asked.pk)  # a doubled message

    assert export_file(user=competition.owner, competition=competition, id=asked.pk).attempts == 1
    assert not exports_visible(user=stranger, competition=competition).exists()
    with pytest.raises(NotFound):
        export_file(user=stranger, competition=competition, id=asked.pk)


def test_who_does_not_organise_any_more_gets_nothing(competition: Competition) -> None:
    helper = user_make()
    competition.organisers.add(helper)
    asked = export_ask(competition=competition, user=helper, artifacts=False)
    competition.organisers.remove(helper)

    export_run(export_id=asked.pk)

    asked.refresh_from_db()
    assert (asked.state, asked.sha256) == ("failed", "")


def test_it_goes_when_it_has_expired(competition: Competition) -> None:
    export = _made(competition)
    assert exports_sweep() == 0
    assert default_storage.exists(export_path(export=export))
    Export.objects.update(expires_at=now() - timedelta(seconds=1))

    assert export_latest(user=competition.owner, competition=competition) is None
    with pytest.raises(NotFound):
        export_file(user=competition.owner, competition=competition, id=export.pk)
    exports_sweep()

    assert not Export.objects.exists()
    assert not default_storage.exists(export_path(export=export))


def test_files_without_an_export_go(competition: Competition) -> None:
    kept, gone, failed = (_made(competition) for _ in range(3))
    Export.objects.filter(pk=failed.pk).update(state="failed", finished_at=now())
    Export.objects.filter(pk=gone.pk).delete()  # as with its competition
    default_storage.save("exports/.new-1", ContentFile(b"on its way"))

    exports_sweep()

    assert sorted(default_storage.listdir("exports")[1]) == [".new-1", f"{kept.pk}.zip"]


def test_what_breaks_off_is_told_and_what_is_lost_is_sent_again(
    competition: Competition, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    def full(**_fields: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(services, "storage_save", full)
    broken = _made(competition)
    assert (broken.state, broken.hint) == ("failed", "Try again, without the artifacts.")
    sent: list[tuple[str, ...]] = []
    monkeypatch.setattr(tasks, "_send", lambda name, args, **_options: sent.append((name, *args)))
    asked = export_ask(competition=competition, user=competition.owner, artifacts=False)
    Export.objects.filter(pk=asked.pk).update(state="running", attempts=1, lease_until=now() - timedelta(seconds=1))
    with django_capture_on_commit_callbacks(execute=True):
        assert exports_sweep() == 1
    assert sent[-1] == ("touchstone.export_run", str(asked.pk))


def test_who_lost_the_lease_writes_nothing(competition: Competition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_SAY_SECONDS", 0.0)
    asked = export_ask(competition=competition, user=competition.owner, artifacts=False)
    real = services.job_renew

    def taken_over(rows: Any, **fields: Any) -> Any:
        rows.update(lease_until=now() + timedelta(hours=1))
        return real(rows, **fields)

    monkeypatch.setattr(services, "job_renew", taken_over)
    export_run(export_id=asked.pk)

    asked.refresh_from_db()
    assert (asked.state, asked.sha256) == ("running", "")
    assert not default_storage.exists(export_path(export=asked))


def test_the_lease_lasts_for_the_storing_and_who_lost_it_stores_nothing(
    competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases: list[timedelta] = []
    save, write = services.storage_save, services.archive_write

    def stored(**fields: Any) -> None:
        leases.append(Export.objects.get().lease_until - now())
        save(**fields)

    monkeypatch.setattr(services, "storage_save", stored)
    monkeypatch.setattr(services, "_STORED_BYTES_PER_SECOND", 0.1)
    made = _made(competition)
    assert made.state == "done"
    assert leases[0] > timedelta(seconds=made.size * 9)

    def robbed(**fields: Any) -> None:
        write(**fields)
        Export.objects.filter(state="running").update(lease_until=now() + timedelta(hours=1))

    monkeypatch.setattr(services, "archive_write", robbed)
    lost = _made(competition)
    assert lost.state == "running"
    assert not default_storage.exists(export_path(export=lost))


def test_the_page_asks_follows_and_gives_the_file(competition: Competition) -> None:
    page, client = "/c/tiny/manage/export/", Client()
    client.force_login(competition.owner)

    first = client.get(page).content.decode()
    asked = client.post(f"{page}everything/", {"artifacts": "yes"})
    twice = client.post(f"{page}everything/")
    waiting = client.get(page).content.decode()
    export = Export.objects.get()
    export_run(export_id=export.pk)
    there = client.get(page).content.decode()
    file = client.get(f"{page}{export.pk}/everything.zip")

    assert "Make the file" in first
    assert (asked.status_code, twice.status_code, export.artifacts) == (302, 409, True)
    assert 'hx-trigger="every 3s"' in waiting
    assert "every 3s" not in there
    assert "With the files that participants sent." in there
    assert hashlib.sha256(b"".join(file.streaming_content)).hexdigest() == Export.objects.get().sha256
    assert "attachment" in file["Content-Disposition"]
    assert "no-store" in file["Cache-Control"]
    client.force_login(Submission.objects.get().participation.user)
    assert client.get(f"{page}{export.pk}/everything.zip").status_code == 404
    assert client.post(f"{page}everything/").status_code == 404
