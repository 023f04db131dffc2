"""credential: what one's endpoints want to see of who asks them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import connect
from touchstone_client.errors import ClientError, ExitCode

_Name = Annotated[str, typer.Argument(metavar="NAME", help="What submissions call it by: --credential NAME.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="Credentials of your endpoints.", no_args_is_help=True, rich_markup_mode=None)
    group.command("add")(add)
    group.command("list")(list_credentials)
    group.command("remove")(remove)
    app.add_typer(group, name="credential")


def add(
    ctx: typer.Context,
    name: _Name,
    header: Annotated[str, typer.Option(help="The header that the endpoint looks at.")] = "Authorization",
    json: _Json = False,
) -> None:
    """Keep a credential on the server, encrypted. Its value is asked for, or read from stdin.

    It is sent to one host alone: that of the first submission that names it.

    \b
    touchstone credential add hf
    printf 'Bearer %s' "$HF_TOKEN" | touchstone credential add hf
    """
    secret = _asked() if sys.stdin.isatty() else sys.stdin.read().strip()
    if not secret:
        raise ClientError(
            "No value was given", hint="Type it, or pipe it in: printf 'Bearer …' | touchstone credential add NAME",
            code="usage", exit_code=ExitCode.USAGE,
        )  # fmt: skip
    with connect(ctx) as client:
        made = client.credential_add(name, header=header, secret=secret)
    output.talk(f"Kept {made.name} ({made.header}). Submit with: --credential {made.name}")
    if json:
        output.as_json({"credential": made})
    else:
        output.data(made.name)


def _asked() -> str:
    return str(typer.prompt("The header's whole value, such as Bearer and the token", hide_input=True, err=True))


def list_credentials(ctx: typer.Context, json: _Json = False) -> None:
    """Show your credentials by name; never their values.

    \b
    touchstone credential list
    """
    with connect(ctx) as client:
        found = client.credentials()
    if json:
        output.as_json({"items": found})
        return
    rows = [(item.name, item.header, item.host, item.last_used_at) for item in found]
    output.table(("name", "header", "sent to", "last use"), rows, dispensable=("header",))
    if not found:
        output.talk("None yet. An endpoint that asks for a key needs one: touchstone credential add NAME")


def remove(ctx: typer.Context, name: _Name) -> None:
    """Forget a credential. Runs that need it fail from now on, and take none of your quota.

    \b
    touchstone credential remove NAME
    """
    with connect(ctx) as client:
        client.credential_remove(name)
    output.talk(f"Removed {name}.")
