"""The command line `touchstone`. Data goes to stdout, talk to stderr; exit codes are in `touchstone_client.errors`.

Commands import what they need when they run: `touchstone --help` loads no HTTP client, no YAML and no numbers.
"""

from __future__ import annotations

from typing import Annotated

import typer

from touchstone_client.cli import auth, boards, bundle, competitions, images, runs, submit
from touchstone_client.cli.group import Session, TouchstoneGroup

app = typer.Typer(
    name="touchstone",
    cls=TouchstoneGroup,
    help="Take part in Touchstone competitions, and organise them.",
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


auth.add_to(app)
competitions.add_to(app)
bundle.add_to(app)
images.add_to(app)
submit.add_to(app)
runs.add_to(app)
boards.add_to(app)


def main() -> None:
    """Entry point of the script."""
    app()


__all__ = ["app", "main"]
