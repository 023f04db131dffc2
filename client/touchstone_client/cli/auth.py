"""login, logout, whoami."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import Session, connect, warn_cleartext
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.sdk import Client

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
#: What somebody who takes part needs.
_SCOPES = ("read", "submit")


def add_to(app: typer.Typer) -> None:
    app.command()(login)
    app.command()(logout)
    app.command()(whoami)


def login(
    ctx: typer.Context,
    token: Annotated[str, typer.Option(help="An API token, ts_…, made on your account page.")] = "",
    with_token: Annotated[bool, typer.Option("--with-token", help="Read the token from standard input.")] = False,
    oidc: Annotated[
        bool, typer.Option("--oidc", help="In CI: exchange the job's identity for a token; needs --competition.")
    ] = False,
    competition: Annotated[str, typer.Option("--competition", "-c", help="With --oidc: what the token is for.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What it may do: read, submit, organise, admin, submit:COMPETITION. Repeatable. Default: read, submit."
        ),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser where there is one.")] = True,
    url: Annotated[str, typer.Option(help="Address of the server.")] = "",
) -> None:
    """Sign in: confirm a code in your browser, on this machine or any other.

    The token that is made is kept in a file that only you can read. In CI use $TOUCHSTONE_URL and $TOUCHSTONE_TOKEN,
    or register the repository for trusted publishing: then no secret is needed.

    \b
    touchstone login --url https://touchstone.example.org
    echo "$TOKEN" | touchstone login --with-token
    touchstone login --scope read --scope organise
    """
    from touchstone_client import config
    from touchstone_client.sdk import Client

    session: Session = ctx.obj
    given = sys.stdin.readline().strip() if with_token else token or session.token
    credentials = config.resolve(url=url or session.url, token=given)
    session.interrupted = "Nobody is logged in by this."
    warn_cleartext(session, credentials.url)
    secret, by_login = credentials.token, False
    if oidc:
        config.identity_check(credentials)
        secret = _by_oidc(credentials.url, competition)
    elif not given and not os.environ.get(config.TOKEN_VARIABLE):
        if with_token:
            raise ClientError(
                "Standard input held no token", hint="Pipe it in.", code="no_token", exit_code=ExitCode.USAGE
            )
        _refuse_in_ci()
        with Client(credentials.url, patience=10.0) as client:
            secret, by_login = _by_device(client, scope or list(_SCOPES), browser=browser), True
    with Client(credentials.url, secret, patience=10.0) as client:
        me = client.me()
    place = config.store(url=credentials.url, token=secret, by_login=by_login)
    output.talk(f"Logged in at {credentials.url} as {me.username} (may: {', '.join(me.scopes)}). Kept in {place}.")


def _refuse_in_ci() -> None:
    if os.environ.get("CI") and not sys.stdin.isatty():
        raise ClientError(
            "Nobody can confirm a login here",
            why="this is a CI job, and it has no token",
            hint="Set TOUCHSTONE_TOKEN, or register the repository and use `touchstone login --oidc`.",
            code="no_token",
            exit_code=ExitCode.USAGE,
        )


def _by_oidc(url: str, competition: str) -> str:
    from touchstone_client import settings
    from touchstone_client.oidc import token_from_ci

    wanted = competition or settings.look_up("competition").value
    if not wanted:
        raise typer.BadParameter("needs --competition: the token is good for one", param_hint="--oidc")
    return token_from_ci(url=url, competition=wanted, environ=os.environ, say=output.talk)


def _by_device(client: Client, scopes: list[str], *, browser: bool) -> str:
    """A token that a person grants in a browser, here or elsewhere. Its address and code go to stderr."""
    code = client.login_begin(client_name=f"touchstone on {platform.node() or 'a computer'}", scopes=scopes)
    output.talk(f"Open {code.verification_uri} and enter the code {code.user_code}")
    output.talk(f"or open {code.verification_uri_complete}")
    if browser and _has_display():
        import webbrowser

        webbrowser.open(code.verification_uri_complete)
    minutes = max(1, code.expires_in // 60)
    with output.spinner(f"Waiting until you confirm it (up to {minutes} minutes; Ctrl-C stops) …"):
        return client.login_wait(code).token


def _has_display() -> bool:
    """Whether a person sits before this machine and sees what it opens."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))


def logout(
    ctx: typer.Context,
    local: Annotated[bool, typer.Option("--local", help="Only forget it here; the server is not asked.")] = False,
) -> None:
    """Forget the stored token of the server. One that `login` made is revoked as well, so it is worth nothing.

    \b
    touchstone logout
    touchstone --url https://touchstone.example.org logout
    """
    from touchstone_client import config

    session: Session = ctx.obj
    url = config.resolve(url=session.url, token=session.token).url
    own = config.made_by_login(url=url)
    if own and not local:
        warn_cleartext(session, url)
        _revoke(url, own)
    if not config.forget(url=url):
        output.talk(f"There was no stored token of {url}.")
    elif own and not local:
        output.talk(f"Logged out of {url}: the token that `touchstone login` made is revoked and forgotten.")
    else:
        output.talk(f"The token of {url} is forgotten here. To end it everywhere, revoke it on {url}/account/.")


def _revoke(url: str, token: str) -> None:
    """End the token on the server. One that the server no longer knows has ended already."""
    from touchstone_client.sdk import Client

    try:
        with Client(url, token, patience=5.0) as client:
            client.token_revoke(token.split("_")[1] if token.count("_") > 1 else token)
    except ClientError as error:
        if error.status not in (401, 404):
            error.hint = "Try again later, or forget it here only: touchstone logout --local"
            raise


def whoami(ctx: typer.Context, json: _Json = False) -> None:
    """Show who the token belongs to and what it may do.

    \b
    touchstone whoami --json
    """
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
