"""init: a folder to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import connect, split_target


def add_to(app: typer.Typer) -> None:
    app.command()(init)


def init(
    ctx: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="COMPETITION[/PHASE]", help="Without a phase: the one that is open.")
    ],
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Default: ./COMPETITION-KIND")] = None,
    kind: Annotated[
        str, typer.Option(help="predictions, model, code, container or endpoint. Default: code, where it is taken.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a folder that can be submitted as it is: a linear classifier, fitted on the public data.

    It knows the competition, its phase, the shape of the items, the classes and the limits. Change it from there.

    \b
    touchstone init garments
    touchstone init garments/development my-model --kind container
    cd my-model && touchstone validate && touchstone submit . --wait
    """
    from touchstone_client.cli.progress import bar
    from touchstone_client.initialising import initialise

    names = split_target(target, parts=2, form="COMPETITION[/PHASE]")
    with connect(ctx, need_token=False) as client, bar("public data") as progress:
        made = initialise(
            client, names[0], phase=names[1] if len(names) > 1 else "", kind=kind, folder=folder, force=force,
            progress=progress,
        )  # fmt: skip
    if json:
        output.as_json({"begun": {**vars(made), "folder": str(made.folder)}})
        return
    for name in made.files:
        output.talk(f"  {made.folder / name}")
    for note in made.notes:
        output.talk(note)
    output.talk(f"Next: cd {made.folder}; touchstone validate; touchstone test; touchstone submit . --wait")
    output.data(str(made.folder))
