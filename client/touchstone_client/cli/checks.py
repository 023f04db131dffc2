"""validate: what the server would say, said here first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import Session, connect
from touchstone_client.cli.target import target_names, target_of
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.artifact import Artifact
    from touchstone_client.checking import Checked
    from touchstone_client.describing import Description

_FORM = "COMPETITION/PHASE"
_What = Annotated[str, typer.Argument(metavar="PATH|IMAGE", help="What you would submit.")]
_Competition = Annotated[
    str,
    typer.Option("--competition", "-c", metavar=_FORM, help="What it is for. Default: as the folder's settings say."),
]
_Kind = Annotated[str, typer.Option(help="predictions, model, code or container. Default: by what it is.")]
_Refresh = Annotated[bool, typer.Option("--refresh", help="Ask the server anew what the competition is like.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    app.command()(validate)


def validate(
    ctx: typer.Context,
    what: _What = ".",
    competition: _Competition = "",
    kind: _Kind = "",
    refresh: _Refresh = False,
    json: _Json = False,
) -> None:
    """Check a submission as the server would, and list every defect; exit code 7 where there is one.

    Needs no server once the competition was downloaded, shown or submitted to from here.

    \b
    touchstone validate predictions.csv -c garments/development
    touchstone validate my-model/          # a folder of `touchstone init` knows what it is for
    touchstone validate image.tar.gz -c garments --json
    """
    from touchstone_client.artifact import artifact_of
    from touchstone_client.checking import check_submission

    artifact = artifact_of(what, kind=kind)
    description, phase = described(ctx, artifact, competition, refresh=refresh)
    found = check_submission(artifact, description, phase=phase)
    if json:
        output.as_json({"ok": found.ok, "checked": found, "described_at": description.fetched_at})
    else:
        _print(found, description)
    if not found.ok:
        raise typer.Exit(ExitCode.INVALID)


def described(ctx: typer.Context, artifact: Artifact, target: str, *, refresh: bool) -> tuple[Description, str]:
    """The competition as it is kept here, else as the server says; and the phase asked for, or nothing."""
    from touchstone_client import config, describing

    folder = _own_folder(artifact)
    names = target_names(target_of(target, artifact), parts=2, form=_FORM)
    session: Session = ctx.obj
    try:
        url = config.resolve(url=session.url, token=session.token).url
    except ClientError as error:
        if error.code != "no_server":
            raise
        url = ""
    near = [
        Path.cwd() / names[0],
        Path.cwd(),
        *([folder / "data", folder, folder.parent] if folder is not None else []),
    ]
    found = None if refresh else describing.recall(names[0], url=url, near=near)
    if found is None:
        with connect(ctx, need_token=False, patience=5.0) as client:
            found = describing.fetch(client, names[0])
    return found, names[1] if len(names) > 1 else ""


def _own_folder(artifact: Artifact) -> Path | None:
    if artifact.path is None:
        return None
    path = artifact.path.resolve()
    return path if path.is_dir() else path.parent


def _print(found: Checked, description: Description) -> None:
    for defect in found.defects:
        output.data(output.defect_line(defect).removeprefix("  "))
    for note in found.notes:
        output.talk(f"Note: {note}")
    told = f"{description.competition.slug} version {description.competition.version}"
    seen = f"as of {output.cell(description.fetched_at)}; --refresh asks anew"
    if found.ok:
        output.talk(f"{found.name} is fit to be sent to {found.competition}/{found.phase} ({told} {seen}).")
        output.talk(f"Next: touchstone submit {found.competition}/{found.phase} …")
    else:
        count = len(found.defects)
        output.talk(f"{count} defect{'s' if count != 1 else ''} in {found.name}, checked against {told} ({seen}).")
