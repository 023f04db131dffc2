"""status, logs, results, cancel, submissions, quota, queues, nodes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output, render
from touchstone_client.cli.group import connect, split_target
from touchstone_client.errors import ExitCode

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.types import Submission

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Id = Annotated[str, typer.Argument(metavar="ID", help="The submission's id, as `submit` printed it.")]
_Timeout = Annotated[float | None, typer.Option(min=1, help="Longest wait in seconds.")]


def add_to(app: typer.Typer) -> None:
    for command in (status, logs, results, cancel, submissions, quota, queues, nodes):
        app.command()(command)


def status(
    ctx: typer.Context,
    submission: _Id,
    watch: Annotated[bool, typer.Option("--watch", help="Wait until the run has ended.")] = False,
    timeout: _Timeout = None,
    json: _Json = False,
) -> None:
    """Show the state of a submission. With --watch: wait for the end; exit code 3 where it was not scored."""
    with connect(ctx) as client:
        if watch:
            render.outcome(client, render.watch(client, submission, timeout=timeout), json=json)
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
    timeout: _Timeout = None,
) -> None:
    """Print a submission's log, as far as the phase shows it."""
    if part not in ("all", "sample", "run"):
        raise typer.BadParameter(f"{part!r} is none of all, sample and run", param_hint="--part")
    with connect(ctx) as client:
        if follow:
            _follow(client, submission, part, timeout)
            return
        text = client.log(submission, part=part)
    if text.strip():
        output.data(text.rstrip("\n"))
    else:
        output.talk("There is no log to show.")


def _follow(client: Client, submission: str, part: str, timeout: float | None) -> None:
    """The log as it is written to stdout, line by line; the history to stderr."""
    rest = ""
    for message in client.follow(submission, timeout=timeout, part=part):
        if message.event == "event":
            output.talk(f"{str(message.data.get('at', ''))[11:19]}  {message.data.get('message', '')}")
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
    """Print the results of a submission, as far as the phase shows them."""
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
    """Stop a submission that has not ended."""
    with connect(ctx) as client:
        found = client.cancel(submission)
    if json:
        output.as_json({"submission": found})
    elif found.final:
        output.talk(f"{submission} is {found.status}.")
    else:
        output.talk(f"{submission} is being stopped (now {found.status}).")


def submissions(
    ctx: typer.Context,
    competition: Annotated[str, typer.Argument(help="Only those to this competition.")] = "",
    json: _Json = False,
) -> None:
    """List your submissions, newest first."""
    with connect(ctx) as client:
        found = list(client.submissions(competition))
    if json:
        output.as_json({"submissions": found})
        return
    rows = [
        (item.id, f"{item.competition}/{item.phase}", item.kind, item.status, item.created_at, item.message)
        for item in found
    ]
    output.table(["id", "to", "kind", "status", "sent", "message"], rows)


def quota(
    ctx: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="COMPETITION[/PHASE]", help="Without a phase: the one that is open.")
    ],
    json: _Json = False,
) -> None:
    """Show how many submissions are left."""
    names = split_target(target, parts=2, form="COMPETITION[/PHASE]")
    with connect(ctx) as client:
        found = client.quota(names[0], names[1] if len(names) > 1 else "")
    if json:
        output.as_json({"quota": found})
        return
    output.data(f"{found.competition}/{found.phase}: {render.quota_line(found) or 'no limit'}")


def queues(ctx: typer.Context, json: _Json = False) -> None:
    """Show what waits in each queue, and who is there to take it."""
    with connect(ctx) as client:
        found = client.queues()
    if json:
        output.as_json({"queues": found})
        return
    rows = [(q.name, q.nodes_online, f"{q.busy}/{q.slots}", q.waiting, q.oldest, _seconds(q.usual_wait)) for q in found]
    output.table(["queue", "nodes online", "slots in use", "waiting", "oldest since", "usual wait"], rows)


def _seconds(value: float | None) -> object:
    return None if value is None else f"{value:.3g} s"


def nodes(ctx: typer.Context, json: _Json = False) -> None:
    """List the nodes that evaluate submissions; for the platform's staff."""
    with connect(ctx) as client:
        found = client.nodes()
    if json:
        output.as_json({"nodes": found})
        return
    rows = [
        (
            node.name, node.state, ",".join(node.queues), node.cpus, _gib(node.memory), len(node.gpus),
            f"{len(node.runs)}/{node.slots}", node.seen_at, node.quarantine_reason,
        )
        for node in found
    ]  # fmt: skip
    output.table(["name", "state", "queues", "cpus", "memory", "gpus", "runs", "seen", "why"], rows)


def _gib(size: int | None) -> object:
    return None if size is None else f"{size / 2**30:.1f} GiB"
