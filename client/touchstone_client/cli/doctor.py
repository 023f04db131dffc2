"""doctor: is everything there that submitting needs?"""

from __future__ import annotations

from typing import Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import Session
from touchstone_client.errors import ExitCode


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look at client, settings, server, clock, token, disk, Docker and the local judge; say what to do next.

    Exit code 1 where something fails; a warning alone is none.

    \b
    touchstone doctor
    touchstone --url https://touchstone.example.org doctor --json
    """
    from touchstone_client.doctoring import examine

    session: Session = ctx.obj
    found = examine(url=session.url, token=session.token)
    failed = any(item.state == "fail" for item in found)
    if json:
        output.as_json({"ok": not failed, "findings": found})
    else:
        output.table(["", "what", "found", "next"], [(item.state, item.what, item.text, item.next) for item in found])
    if failed:
        raise typer.Exit(ExitCode.UNEXPECTED)
