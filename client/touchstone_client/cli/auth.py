"""login, logout, whoami."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import Session, connect
from touchstone_client.errors import ClientError, ExitCode

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    app.command()(login)
    app.command()(logout)
    app.command()(whoami)


def login(
    ctx: typer.Context,
    token: Annotated[str, typer.Option(help="The API token, ts_…; make one on your account page.")] = "",
    with_token: Annotated[bool, typer.Option("--with-token", help="Read the token from standard input.")] = False,
    url: Annotated[str, typer.Option(help="Address of the server.")] = "",
) -> None:
    """Check a token with the server and keep it for later commands."""
    from touchstone_client import config
    from touchstone_client.sdk import Client

    session: Session = ctx.obj
    given = sys.stdin.readline().strip() if with_token else token or session.token
    credentials = config.resolve(url=url or session.url, token=given)
    if not credentials.token:
        raise ClientError(
            "No token is given",
            hint=f"touchstone login --token ts_…, or pipe it to --with-token; make one on {credentials.url}/account/",
            code="no_token",
            exit_code=ExitCode.USAGE,
        )
    with Client(credentials.url, credentials.token, patience=10.0) as client:
        me = client.me()
    if config.is_cleartext(credentials.url):
        output.talk(f"Warning: {credentials.url} is not encrypted; others on the network can read your token.")
    place = config.store(url=credentials.url, token=credentials.token)
    output.talk(f"Logged in at {credentials.url} as {me.username} (may: {', '.join(me.scopes)}). Kept in {place}.")


def logout(ctx: typer.Context) -> None:
    """Forget the stored token of the server. The token stays valid until it is revoked on the account page."""
    from touchstone_client import config

    session: Session = ctx.obj
    url = config.resolve(url=session.url, token=session.token).url
    if config.forget(url=url):
        output.talk(f"The token of {url} is forgotten here. To end it everywhere, revoke it on {url}/account/.")
    else:
        output.talk(f"There was no stored token of {url}.")


def whoami(ctx: typer.Context, json: _Json = False) -> None:
    """Show who the token belongs to and what it may do."""
    with connect(ctx) as client:
        me = client.me()
        if json:
            output.as_json({"url": client.url, "me": me})
            return
        output.pairs(
            [
                ("user", me.username),
                ("server", client.url),
                ("may", ", ".join(me.scopes)),
                ("token", me.token),
                ("expires", me.token_expires_at),
            ]
        )
