"""status, logs, results, cancel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output, render
from touchstone_client.cli.group import connect
from touchstone_client.cli.target import seconds
from touchstone_client.errors import ExitCode

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.types import Submission

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Id = Annotated[str, typer.Argument(metavar="ID", help="The submission's id, as `submit` printed it.")]
_Timeout = Annotated[str, typer.Option(help="Longest wait, such as 90s or 30m.")]


def add_to(app: typer.Typer) -> None:
    for command in (status, logs, results, cancel):
        app.command()(command)


def status(
    ctx: typer.Context,
    submission: _Id,
    watch: Annotated[bool, typer.Option("--watch", help="Wait until the run has ended.")] = False,
    timeout: _Timeout = "",
    json: _Json = False,
) -> None:
    """Show the state of a submission. With --watch: wait for the end; exit code 3 where it was not scored.

    \b
    touchstone status ID --watch --timeout 30m
    touchstone status ID --json
    """
    with connect(ctx) as client:
        if watch:
            ctx.obj.interrupted = "The run goes on; the same command watches it again."
            render.outcome(client, render.watch(client, submission, timeout=seconds(timeout)), json=json)
            return
        found = client.submission(submission)
    if json:
        output.as_json({"submission": found})
        return
    output.pairs(_lines(found))
    if found.final and found.status != "scored":
        render.explain(found)


def _lines(found: Submission) -> list[tuple[str, object]]:
    return [
        ("submission", found.id),
        ("to", f"{found.competition}/{found.phase}"),
        ("kind", found.kind),
        ("status", found.status),
        ("place in the queue", found.queue_position),
        ("estimated start", _soon(found.estimated_start)),
        ("estimated seconds", found.estimated_seconds),
        ("attempt", found.attempt or None),
        ("message", found.message),
        ("sent", found.created_at),
        ("started", found.started_at),
        ("finished", found.finished_at),
        ("verdict", found.verdict),
        ("page", found.url),
    ]


def _soon(moment: datetime | None) -> object:
    """A time to come. Printed to the minute, one within the next would look past."""
    return "any moment now" if moment is not None and moment <= datetime.now(UTC) + timedelta(minutes=1) else moment


def logs(
    ctx: typer.Context,
    submission: _Id,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on printing until the run has ended; its history goes to stderr.")
    ] = False,
    part: Annotated[
        str, typer.Option(help="all, sample (what it wrote about the public sample) or run (what it wrote then).")
    ] = "all",
    since: Annotated[
        str, typer.Option(help="Only what happened since then: 5m, 2h, or a time like 2026-01-31T12:00.")
    ] = "",
    timeout: _Timeout = "",
) -> None:
    """Print a submission's log, as far as the phase shows it. The log goes to stdout, all else to stderr.

    \b
    touchstone logs ID --follow
    touchstone logs ID --part sample
    touchstone logs ID --since 5m          # what happened in the last five minutes: history, and the log's end
    """
    if part not in ("all", "sample", "run"):
        raise typer.BadParameter(f"{part!r} is none of all, sample and run", param_hint="--part")
    began = _since(since)
    with connect(ctx) as client:
        if follow:
            ctx.obj.interrupted = "The run goes on; the same command follows it again."
            _follow(client, submission, part, seconds(timeout), began)
            return
        if began is not None:
            _recent(client, submission, part, began)
            return
        text = client.log(submission, part=part)
    if text.strip():
        output.data(text.rstrip("\n"))
    else:
        output.talk("There is no log to show.")


def _since(text: str) -> datetime | None:
    """A time, or how long ago. Raises usage errors for what is neither."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        ago = seconds(text, option="--since")
        return datetime.now(UTC) - timedelta(seconds=ago or 0)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _recent(client: Client, submission: str, part: str, began: datetime) -> None:
    """Events of the history since then, and the lines of the log that were written then."""
    after, lines = 0, list[str]()
    while True:
        page = client.events(submission, after=after)
        for event in page.items:
            if event.at < began:
                continue
            if event.kind != "log":
                output.talk(f"{event.at:%H:%M:%S}  {event.message}")
            elif part in ("all", "sample" if event.data.get("public") else "run"):
                lines += str(event.data.get("text") or event.message).rstrip("\n").splitlines()
        if not page.items:
            break
        after = page.next_after
    for line in lines:
        output.data(line)
    if not lines:
        output.talk(f"Nothing was logged since {output.cell(began)}.")


def _follow(client: Client, submission: str, part: str, timeout: float | None, began: datetime | None) -> None:
    """The log as it is written to stdout, line by line; the history, from `began` on, to stderr."""
    rest = ""
    for message in client.follow(submission, timeout=timeout, part=part):
        if message.event == "event":
            told = str(message.data.get("at", ""))
            if began is None or (told and datetime.fromisoformat(told) >= began):
                output.talk(f"{told[11:19]}  {message.data.get('message', '')}")
        elif message.event == "log":
            if message.data.get("anew") and rest:
                output.data(rest)
                rest = ""
            *lines, rest = (rest + str(message.data.get("text", ""))).split("\n")
            for line in lines:
                output.data(line)
    if rest:
        output.data(rest)


def results(ctx: typer.Context, submission: _Id, json: _Json = False) -> None:
    """Print the results of a submission, as far as the phase shows them.

    \b
    touchstone results ID
    touchstone results ID --json | jq '.results.items[] | {key, value}'
    """
    with connect(ctx) as client:
        found = client.results(submission)
    if json:
        output.as_json({"results": found})
    else:
        render.table(found)
    if not found.final:
        output.talk(f"The run has not ended: it is {found.status}. Wait for it: touchstone status {submission} --watch")
    elif found.status != "scored":
        output.talk(f"The submission was not scored: {found.status}. Why: touchstone status {submission}")
        raise typer.Exit(ExitCode.SUBMISSION_FAILED)


def cancel(ctx: typer.Context, submission: _Id, json: _Json = False) -> None:
    """Stop a submission that has not ended. One that was stopped before it ran uses no quota.

    \b
    touchstone cancel ID
    """
    with connect(ctx) as client:
        found = client.cancel(submission)
    if json:
        output.as_json({"submission": found})
    elif found.final:
        output.talk(f"{submission} is {found.status}.")
    else:
        output.talk(f"{submission} is being stopped (now {found.status}).")
