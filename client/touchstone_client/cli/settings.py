"""config: what need not be typed each time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import TouchstoneGroup
from touchstone_client.errors import ClientError, ExitCode

_Key = Annotated[str, typer.Argument(metavar="KEY", help="url, competition or phase.")]
_Repo = Annotated[
    bool,
    typer.Option("--repo", help="In .touchstone.toml of this folder, for all who work in it; not in your own file."),
]

group = typer.Typer(
    name="config",
    cls=TouchstoneGroup,
    help="Set the server, the competition and the phase once, for you or for a repository.",
    epilog="An option wins over the environment (TOUCHSTONE_URL, TOUCHSTONE_COMPETITION, TOUCHSTONE_PHASE), the "
    "environment over .touchstone.toml of the folder you are in or one above it, that over your own file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group)


@group.command("list")
def list_settings(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every setting, and where its value comes from.

    \b
    touchstone config list
    """
    from touchstone_client import settings

    found = [settings.look_up(key) for key in settings.KEYS if key != "kind"]
    if json:
        output.as_json({"settings": [{"key": s.key, "value": s.value, "source": s.source} for s in found]})
        return
    rows = [(s.key, s.value or "-", s.source or "not set", settings.KEYS[s.key]) for s in found]
    output.table(["key", "value", "from", "what it is"], rows)


@group.command("get")
def get(key: _Key) -> None:
    """Print the value of a setting; exit code 1 where it is not set.

    \b
    touchstone config get competition
    """
    from touchstone_client import settings

    settings.check_key(key)
    found = settings.look_up(key)
    if not found.value:
        raise ClientError(f"{key} is not set", hint=f"touchstone config set {key} VALUE", code="not_set")
    output.data(found.value)


@group.command("set")
def set_value(key: _Key, value: Annotated[str, typer.Argument(metavar="VALUE")], repo: _Repo = False) -> None:
    """Set a value for yourself, or with --repo for this folder and those below it.

    \b
    touchstone config set competition garments
    touchstone config set --repo phase development
    """
    from touchstone_client import config, settings

    settings.check_key(key)
    if not value.strip():
        raise ClientError("The value is empty", hint=f"touchstone config unset {key}", exit_code=ExitCode.USAGE)
    place = _place(repo)
    settings.write(place, key, config.normalise_url(value) if key == "url" else value.strip())
    output.talk(f"{key} is {value.strip()} now, in {place}.")
    _tell_hidden(key, place)


@group.command("unset")
def unset(key: _Key, repo: _Repo = False) -> None:
    """Take a value out of your own file, or with --repo out of this folder's.

    \b
    touchstone config unset phase
    """
    from touchstone_client import settings

    settings.check_key(key)
    place = _place(repo)
    if key not in settings.read(place):
        output.talk(f"{key} was not set in {place}.")
        return
    settings.write(place, key, "")
    output.talk(f"{key} is no longer set in {place}.")
    _tell_hidden(key, place)


@group.command("path")
def show_path() -> None:
    """Print the files that settings come from, the one that wins first.

    \b
    touchstone config path
    """
    from touchstone_client import settings

    project = settings.project_file()
    for place in (project, settings.user_file()):
        if place is not None:
            output.data(str(place))


def _place(repo: bool) -> Path:
    from touchstone_client import settings

    return Path.cwd() / settings.PROJECT_FILE if repo else settings.user_file()


def _tell_hidden(key: str, place: Path) -> None:
    """Says where another place decides in spite of what was done here."""
    from touchstone_client import settings

    found = settings.look_up(key)
    if found.source and found.source != str(place):
        output.talk(f"Note: {found.source} decides: {key} is {found.value}.")
