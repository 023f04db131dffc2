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


#: How the framework ends a command: what a bad option raises is a `ClickException`, which has had several homes.
_OF_THE_FRAMEWORK: tuple[type[BaseException], ...] = (typer.Exit, typer.Abort, typer.BadParameter.__mro__[2])


@dataclass
class Session:
    """The options before the command."""

    url: str = ""
    token: str = ""


class TouchstoneGroup(TyperGroup):
    """Turns errors into messages and exit codes, in one place for all commands."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ClientError as error:
            output.error(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            output.talk("Interrupted. What the server already has goes on; see `touchstone submissions`.")
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


def connect(ctx: typer.Context, *, need_token: bool = True, patience: float = 60.0) -> Client:
    """A client for the chosen server. Raises `ClientError` (exit 4) where a token is needed and none is known."""
    from touchstone_client import config
    from touchstone_client.sdk import Client

    session: Session = ctx.obj
    credentials = config.resolve(url=session.url, token=session.token)
    if need_token and not credentials.token:
        raise ClientError(
            f"Not logged in at {credentials.url}",
            hint=f"Make a token on {credentials.url}/account/; touchstone login --url {credentials.url} --token ts_…",
            code="no_token",
            exit_code=ExitCode.AUTH,
        )
    return Client(credentials.url, credentials.token, patience=patience, on_retry=_told_once())


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
