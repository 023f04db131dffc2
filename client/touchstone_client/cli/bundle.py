"""competition check and push: an organiser's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import TouchstoneGroup, connect
from touchstone_client.errors import ClientError, Detail, ExitCode

if TYPE_CHECKING:
    from runners.spec import Defect

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder with competition.yml.")]

#: What reading data files needs.
_READERS = ("numpy", "pyarrow", "PIL")

group = typer.Typer(
    name="competition",
    cls=TouchstoneGroup,
    help="Check and publish a competition of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group)


@group.command()
def check(folder: _Folder, json: _Json = False) -> None:
    """List every defect of a competition folder, without a server. Exit code 7 where there is one.

    \b
    touchstone competition check my-competition/
    """
    slug, details, looked = _checked(folder)
    if json:
        output.as_json({"ok": not details, "competition": slug, "data_checked": looked, "defects": details})
        raise typer.Exit(ExitCode.INVALID if details else ExitCode.OK)
    for detail in details:
        output.data(output.defect_line(detail).removeprefix("  "))
    if details:
        output.talk(f"{len(details)} defect{'s' if len(details) != 1 else ''} in {folder}.")
        raise typer.Exit(ExitCode.INVALID)
    output.talk(f"{folder} is a valid competition ({slug}). Publish it: touchstone competition push {folder}")


@group.command()
def push(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with competition.yml, or a zip of one.")],
    check_first: Annotated[bool, typer.Option("--check/--no-check", help="Check here before anything is sent.")] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop phases and data that the folder no longer has, if nobody used them.")
    ] = False,
    json: _Json = False,
) -> None:
    """Publish a competition folder, or bring the published one to its state. Needs a token that may organise.

    \b
    touchstone competition push my-competition/
    """
    from touchstone_client.cli.progress import bar

    if check_first and folder.is_dir():
        _refuse_defects(folder)
    with connect(ctx) as client, _archive(folder) as archive, bar(folder.name or "bundle") as progress:
        outcome = client.push(archive, replace=replace, progress=progress)
    if json:
        output.as_json({"outcome": outcome})
        return
    what = (
        "created"
        if outcome.created
        else "updated"
        if outcome.changed
        else "unchanged: the server has this bundle already"
    )
    output.talk(f"{outcome.competition}: {what} (version {outcome.version})")
    output.data(outcome.url or outcome.competition)


def _checked(folder: Path) -> tuple[str, list[Detail], bool]:
    """Slug, defects, and whether the data files were looked into: that needs packages which are not always there."""
    if not folder.is_dir():
        raise ClientError(
            f"{folder} is not a folder",
            hint="Give the folder that holds competition.yml.",
            code="no_folder",
            exit_code=ExitCode.USAGE,
        )
    from runners.spec import check_folder

    missing = [name for name in _READERS if find_spec(name) is None]
    report = check_folder(folder, data=not missing)
    if missing:
        output.talk(
            f"Note: the contents of the data files are not checked here, for lack of {', '.join(missing)}: "
            "pip install 'touchstone-client[data]'. The server checks them in any case."
        )
    return (report.spec.slug if report.spec else ""), [_detail(defect) for defect in report.defects], not missing


def _detail(defect: Defect) -> Detail:
    return Detail(
        message=defect.message,
        where=defect.where,
        file=str(defect.file or ""),
        line=defect.line,
        hint=defect.hint,
        code=defect.code,
    )


def _refuse_defects(folder: Path) -> None:
    _, details, _ = _checked(folder)
    if details:
        raise ClientError(
            f"{folder} was not sent",
            why=f"it has {len(details)} defect{'s' if len(details) != 1 else ''}",
            hint=f"Mend them, then look again: touchstone competition check {folder}",
            code="invalid_bundle",
            details=details,
            exit_code=ExitCode.INVALID,
        )


@contextmanager
def _archive(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    from touchstone_client.packing import packed

    if not folder.is_dir():
        raise ClientError(f"{folder} does not exist", code="no_folder", exit_code=ExitCode.USAGE)
    with packed(folder) as archive:
        yield archive
