"""What everything of a competition is: file by file, each made as it is written, a few rows at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import orjson
from django.db.models import Count, Q

from touchstone.competitions.models import Announcement, Participation
from touchstone.competitions.writer import Entry, competition_entries, entries_once
from touchstone.core.clock import now
from touchstone.core.errors import NotFound
from touchstone.core.storage import CHUNK, blob_open
from touchstone.core.text import csv_safe
from touchstone.evaluations.models import Result
from touchstone.exports.archive import Item
from touchstone.exports.models import Export
from touchstone.exports.records import audit_rows
from touchstone.exports.tables import parquet_results
from touchstone.leaderboards.exports import csv_lines
from touchstone.leaderboards.selectors import leaderboard_export_rows, leaderboards_of
from touchstone.submissions.models import Submission

_CHUNK = 500
Row = dict[str, Any]

_README = """Everything of the competition {title} ({slug}), version {version}, as it was on {at} UTC.

README.txt            this file
MANIFEST.sha256       SHA-256 of every other file; check them with: sha256sum -c MANIFEST.sha256
bundle/               the competition itself, hidden data and labels included; it can be imported as it is
submissions.csv       what participants sent: when, by whom, how it ended, and the names and SHA-256 of its files
results.csv           every value of every submission's counting run, with interval, n, unit and direction
results.jsonl         the same with parameters and details, one JSON object a line
results.parquet       the same as results.csv
boards/               each leaderboard as CSV and as JSON lines, as organisers see it
participants.csv      who takes part, by the name on the boards
announcements.jsonl   what was announced
audit.jsonl           the record of acts, in order; `digest` and `previous` chain all entries of the installation
{artifacts}
Names are those on the boards. Names of accounts, but for those of organisers in the record, e-mail addresses and
logs are not in it. What is hidden from participants is: keep it where only organisers can read it.
Times are in UTC. A cell of a CSV that a spreadsheet would take for a formula begins with an apostrophe.
"""
_WITH = "artifacts/            what participants sent, by the id of the submission: strangers' files, never run them\n"
_WITHOUT = "The files that participants sent are not in it. Images of containers never are, but for archives.\n"


def contents(*, export: Export) -> Iterator[Item]:
    """The files of an export. An organiser has asked for it."""
    competition = export.competition
    told = _README.format(
        title=competition.title, slug=competition.slug, version=competition.version,
        at=f"{now():%Y-%m-%d %H:%M}", artifacts=_WITH if export.artifacts else _WITHOUT,
    )  # fmt: skip
    yield Item("README.txt", lambda: iter([told.encode()]))
    for entry in entries_once(competition_entries(competition=competition)):
        if entry.open is not None:
            yield Item(f"bundle/{entry.path}", _pieces(entry), packed=False)
    sent = Submission.objects.filter(phase__competition=competition).order_by("created_at", "pk")
    told_of = sent.select_related("participation", "phase", "run").defer("run__log", "run__sample_log")
    yield Item("submissions.csv", lambda: _csv(map(_submission, _read(told_of))))
    results = Result.objects.filter(run__current_of__in=sent.order_by().values("pk"))
    results = results.select_related("run__submission__participation", "run__submission__phase")
    results = results.defer("run__log", "run__sample_log").order_by("run__submission__created_at", "run_id", "position")
    yield Item("results.csv", lambda: _csv(map(result_row, _read(results))))
    yield Item("results.jsonl", lambda: _lines(result_row(each) | _more(each) for each in _read(results)))
    yield Item("results.parquet", lambda: _file(parquet_results(map(result_row, _read(results)))), packed=False)
    for board in leaderboards_of(competition=competition):
        name = f"boards/{board.phase.slug}-{board.slug}"
        rows = _board_rows(board, export)
        yield Item(f"{name}.csv", lambda rows=rows: (line.encode() for line in csv_lines(rows())))  # type: ignore[misc]
        yield Item(f"{name}.jsonl", lambda rows=rows: _lines(rows()))  # type: ignore[misc]
    people = Participation.objects.filter(competition=competition).order_by("joined_at", "pk")
    own = Q(submissions__original=None, submissions__is_check=False)
    counted = people.annotate(sent=Count("submissions", filter=own))
    yield Item("participants.csv", lambda: _csv(map(_participant, _read(counted))))
    news = Announcement.objects.filter(competition=competition).select_related("participation").order_by("pk")
    yield Item("announcements.jsonl", lambda: _lines(map(_announcement, _read(news))))
    yield Item("audit.jsonl", lambda: _lines(audit_rows(competition=competition)))
    if export.artifacts:
        yield from _artifacts(_read(sent.exclude(files=[]).only("files")))


def _read(rows: Any) -> Iterator[Any]:
    return iter(rows.iterator(chunk_size=_CHUNK))


def _pieces(entry: Entry) -> Callable[[], Iterator[bytes]]:
    return lambda: _file(entry.open()) if entry.open is not None else iter(())


def _file(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(CHUNK):
            yield piece


def _lines(rows: Iterable[Row]) -> Iterator[bytes]:
    for row in rows:
        yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE, default=str)


def _csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """The rows with a head; nothing where there are none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(row)
        writer.writerow([csv_safe(value) for value in row.values()])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()


def _submission(each: Submission) -> Row:
    run = each.run
    return {
        "id": str(each.pk), "submitted_at": each.created_at.isoformat(), "participant": each.participation.display_name,
        "phase": each.phase.slug, "kind": each.kind, "name": each.name, "message": each.message,
        "status": run.status if run else "", "verdict": run.verdict if run else "", "code": run.code if run else "",
        "finished_at": run.finished_at.isoformat() if run and run.finished_at else "",
        "finalist_since": each.chosen_at.isoformat() if each.chosen_at else "",
        "withdrawn_at": each.withdrawn_at.isoformat() if each.withdrawn_at else "",
        "withdrawn_reason": each.withdrawn_reason, "image": each.image,
        "files": "; ".join(f"{file['name']} sha256:{file['sha256']} {file['size']}" for file in each.files),
    }  # fmt: skip


def result_row(each: Result) -> Row:
    """One value of one submission."""
    sent = each.run.submission
    return {
        "submission": str(sent.pk), "participant": sent.participation.display_name, "phase": sent.phase.slug,
        "run": str(each.run_id), "key": each.key, "metric": each.metric, "pillar": each.pillar, "title": each.title,
        "value": each.value, "low": each.low, "high": each.high, "n": each.n, "unit": each.unit,
        "direction": each.direction, "state": each.state, "reason": each.reason,
    }  # fmt: skip


def _more(each: Result) -> Row:
    return {"parameters": each.parameters, "details": each.details}


def _board_rows(board: Any, export: Export) -> Callable[[], Iterator[Row]]:
    return lambda: leaderboard_export_rows(leaderboard=board, user=export.asked_by)


def _participant(each: Participation) -> Row:
    return {
        "participant": each.display_name, "baseline": each.is_baseline, "status": each.status,
        "joined_at": each.joined_at.isoformat(), "submissions": each.sent,  # type: ignore[attr-defined]
    }  # fmt: skip


def _announcement(each: Announcement) -> Row:
    return {
        "at": each.created_at.isoformat(), "title": each.title, "markdown": each.markdown, "audience": each.audience,
        "to": each.participation.display_name if each.participation else None,
    }  # fmt: skip


def _artifacts(rows: Iterable[Submission]) -> Iterator[Item]:
    """The files of each submission, under names that lead nowhere else. One that is gone is left out and said."""
    for each in rows:
        for number, file in enumerate(each.files):
            name = str(file["name"]).replace("\\", "/").rpartition("/")[2].lstrip(".") or f"file{number}"
            path = f"artifacts/{each.pk}/{name}"
            try:
                opened = blob_open(sha256=file["sha256"])
            except NotFound:
                yield Item(f"{path}.missing.txt", lambda: iter([b"This file is not in the storage any more.\n"]))
                continue
            yield Item(path, lambda opened=opened: _file(opened), packed=False)  # type: ignore[misc]
