"""What every command shares: the server to talk to, and how errors end the program."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from touchstone_client.cli import bugs, output
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.sdk import Client


#: Where a CI service offers an identity token.
_VOUCHING = ("ACTIONS_ID_TOKEN_REQUEST_URL", "TOUCHSTONE_ID_TOKEN")

#: How the framework ends a command: what a bad option raises is a `ClickException`, which has had several homes.
_OF_THE_FRAMEWORK: tuple[type[BaseException], ...] = (typer.Exit, typer.Abort, typer.BadParameter.__mro__[2])


@dataclass
class Session:
    """The options before the command. `interrupted`: what to tell who ends it with Ctrl-C now."""

    url: str = ""
    token: str = ""
    interrupted: str = ""
    warned: bool = False


class TouchstoneGroup(TyperGroup):
    """Turns errors into messages and exit codes, in one place for all commands."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each command with its whole first sentence; the framework would cut it at the width of the terminal."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(200)) for name, command in named if command and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ClientError as error:
            output.error(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            session = ctx.find_object(Session)
            said = session.interrupted if session is not None else ""
            output.talk(f"Interrupted. {said or 'What the server already has goes on; see `touchstone submissions`.'}")
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            output.error(ClientError(f"{error.filename or 'A file'} cannot be used", why=error.strerror or str(error)))
            raise typer.Exit(ExitCode.UNEXPECTED) from error
        except _OF_THE_FRAMEWORK:
            raise
        except Exception as error:  # a bug: nobody but us can do anything with its traceback
            if os.environ.get(bugs.DEBUG_VARIABLE) == "1":
                raise
            output.talk(bugs.report(error))
            raise typer.Exit(ExitCode.UNEXPECTED) from error


def connect(ctx: typer.Context, *, need_token: bool = True, patience: float = 60.0, competition: str = "") -> Client:
    """A client for the chosen server. Raises `ClientError` (exit 4) where a token is needed and none is known.

    `competition`: what a token that a CI service vouches for is asked for, where there is no other.
    """
    from touchstone_client import config, settings
    from touchstone_client.sdk import Client

    session: Session = ctx.obj
    credentials = config.resolve(url=session.url, token=session.token)
    token = credentials.token
    wanted = competition or settings.look_up("competition").value
    if token or (wanted and _in_ci()):
        warn_cleartext(session, credentials.url)
    if not token and wanted and _in_ci():
        from touchstone_client.oidc import token_from_ci

        config.identity_check(credentials)
        token = token_from_ci(url=credentials.url, competition=wanted, environ=os.environ, say=output.talk)
    if need_token and not token:
        raise ClientError(
            f"Not logged in at {credentials.url}",
            hint=f"touchstone login --url {credentials.url}"
            if not _in_ci()
            else "Say which competition this job's token is for: TOUCHSTONE_COMPETITION=NAME",
            code="no_token",
            exit_code=ExitCode.AUTH,
        )
    return Client(credentials.url, token, patience=patience, on_retry=_told_once())


def warn_cleartext(session: Session, url: str) -> None:
    """Says once, before it is sent, that others can read a token on its way."""
    from touchstone_client import config

    if config.is_cleartext(url) and not session.warned:
        session.warned = True
        output.talk(f"Warning: {url} is not encrypted; others on the network can read your token.")


def _in_ci() -> bool:
    """Whether a CI service offers to vouch for this job."""
    return any(os.environ.get(name) for name in _VOUCHING)


def _told_once() -> Any:
    told: set[str] = set()

    def tell(reason: str, pause: float) -> None:
        if reason not in told or os.environ.get(bugs.DEBUG_VARIABLE):
            told.add(reason)
            output.talk(f"{reason}; trying again for a while …")

    return tell


def split_target(target: str, *, parts: int, form: str) -> list[str]:
    """`a/b/c` in up to `parts` names. Raises a usage error that shows the form."""
    names = target.strip("/").split("/")
    if not all(names) or len(names) > parts:
        raise typer.BadParameter(f"{target!r} is not of the form {form}")
    return names
