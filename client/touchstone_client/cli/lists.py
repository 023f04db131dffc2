"""submissions, quota, queues, nodes: what there is of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output, render
from touchstone_client.cli.group import connect, split_target
from touchstone_client.cli.target import target_names

if TYPE_CHECKING:
    from touchstone_client.types import Submission

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    for command in (submissions, quota, queues, nodes):
        app.command()(command)


def submissions(
    ctx: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="[COMPETITION[/PHASE]]", help="Only those to it. Default: all of yours.")
    ] = "",
    status: Annotated[
        str, typer.Option(help="Only those that are: received, checking, queued, running, scored, failed, …, or open.")
    ] = "",
    kind: Annotated[str, typer.Option(help="Only predictions, model, code, container or endpoint.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    json: _Json = False,
) -> None:
    """List your submissions, newest first.

    \b
    touchstone submissions garments/development --status scored
    touchstone submissions --status open --json
    """
    names = split_target(target, parts=2, form="COMPETITION[/PHASE]") if target else [""]
    found: list[Submission] = []
    with connect(ctx) as client:
        for item in client.submissions(names[0]):
            if _wanted(item, phase=names[1] if len(names) > 1 else "", status=status, kind=kind):
                found.append(item)
            if len(found) == limit:
                break
    if json:
        output.as_json({"submissions": found})
        return
    rows = [
        (item.id, f"{item.competition}/{item.phase}", item.kind, item.status, item.created_at, item.name, item.message)
        for item in found
    ]
    output.table(["id", "to", "kind", "status", "sent", "name", "message"], rows)
    if not found:
        output.talk("None yet. Send one: touchstone submit COMPETITION/PHASE PATH")


def _wanted(item: Submission, *, phase: str, status: str, kind: str) -> bool:
    right = not status or item.status == status or (status == "open" and not item.final)
    return right and phase in ("", item.phase) and kind in ("", item.kind)


def quota(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(metavar="[COMPETITION[/PHASE]]", help="Without a phase: the open one. Default: your settings."),
    ] = "",
    json: _Json = False,
) -> None:
    """Show how many submissions are left.

    \b
    touchstone quota garments/development
    """
    names = target_names(target, parts=2, form="COMPETITION[/PHASE]")
    with connect(ctx, competition=names[0]) as client:
        found = client.quota(names[0], names[1] if len(names) > 1 else "")
    if json:
        output.as_json({"quota": found})
        return
    output.data(f"{found.competition}/{found.phase}: {render.quota_line(found) or 'no limit'}")


def queues(ctx: typer.Context, json: _Json = False) -> None:
    """Show what waits in each queue, and who is there to take it.

    \b
    touchstone queues
    """
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
    """List the nodes that evaluate submissions; for the platform's staff, with a token that may `admin`.

    \b
    touchstone nodes --json
    """
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
