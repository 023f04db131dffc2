"""The command line `touchstone`. Data goes to stdout, talk to stderr; exit codes are in `touchstone_client.errors`.

Commands import what they need when they run: `touchstone --help` loads no HTTP client, no YAML and no numbers.
"""

from __future__ import annotations

from typing import Annotated

import typer

from touchstone_client.cli import (
    auth,
    boards,
    bundle,
    checks,
    compare,
    competitions,
    completion,
    credentials,
    doctor,
    images,
    lists,
    organising,
    runs,
    settings,
    starting,
    submit,
    trying,
)
from touchstone_client.cli.group import Session, TouchstoneGroup

app = typer.Typer(
    name="touchstone",
    cls=TouchstoneGroup,
    help="Take part in Touchstone competitions, and organise them.\n\n"
    "\b\nBegin with:\n  touchstone login --url https://touchstone.example.org\n  touchstone competitions\n"
    "  touchstone competitions join NAME\n  touchstone init NAME\n  touchstone submit NAME/PHASE PATH --wait\n\n"
    "Something does not work: touchstone doctor.",
    epilog="Exit codes: 0 ok, 1 unexpected, 2 usage, 3 submission failed, 4 not allowed, 5 quota or closed, "
    "6 timeout while waiting, 7 invalid input, 8 threshold missed, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from touchstone_client.version import __version__

        typer.echo(f"touchstone {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    url: Annotated[
        str, typer.Option(help="Address of the server. Else $TOUCHSTONE_URL, else the one of the last login.")
    ] = "",
    token: Annotated[str, typer.Option(help="API token. Better: $TOUCHSTONE_TOKEN or `touchstone login`.")] = "",
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    ctx.obj = Session(url=url, token=token)


for part in (
    auth, competitions, starting, checks, trying, images, credentials, submit, runs, lists, boards, compare, bundle,
    organising, settings, doctor, completion,
):  # fmt: skip
    part.add_to(app)


def main() -> None:
    """Entry point of the script."""
    app()


__all__ = ["app", "main"]
