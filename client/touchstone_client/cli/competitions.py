"""competitions: list, show, join, download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import TouchstoneGroup, connect
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.types import Competition, Phase, Split

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Slug = Annotated[str, typer.Argument(metavar="COMPETITION", help="Short name of the competition.")]

group = typer.Typer(
    name="competitions",
    cls=TouchstoneGroup,
    help="List competitions; show, join and download one.",
    rich_markup_mode=None,
)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group)
    app.command(hidden=True)(join)  # short for `competitions join`


@group.callback(invoke_without_command=True)
def competitions(
    ctx: typer.Context, json: _Json = False, q: Annotated[str, typer.Option(help="Words to look for.")] = ""
) -> None:
    """List the competitions you may see; or show, join or download one.

    \b
    touchstone competitions
    touchstone competitions --q fairness
    """
    if ctx.invoked_subcommand is not None:
        return
    with connect(ctx, need_token=False) as client:
        found = list(client.competitions(q=q))
    if json:
        output.as_json({"competitions": found})
        return
    rows = [(item.slug, item.title, item.current_phase, _closing(item.phases), item.joined) for item in found]
    output.table(["competition", "title", "open phase", "closes", "joined"], rows)


def _closing(phases: tuple[Phase, ...]) -> object:
    return next((phase.closes or "never" for phase in phases if phase.state == "open"), None)


@group.command()
def show(ctx: typer.Context, slug: _Slug, json: _Json = False) -> None:
    """Show phases, limits, data, metrics and leaderboards of a competition.

    \b
    touchstone competitions show garments
    """
    from touchstone_client.describing import fetch

    with connect(ctx, need_token=False) as client:
        found = fetch(client, slug).competition
    if json:
        output.as_json({"competition": found})
        return
    output.pairs(
        [
            ("competition", found.slug),
            ("title", found.title),
            ("summary", found.summary),
            ("page", found.url),
            ("joined", found.joined),
            ("kinds", ", ".join(found.kinds)),
            ("metrics", ", ".join(str(metric.get("as") or metric.get("use")) for metric in found.metrics)),
            *[(f"phase {phase.slug}", _phase_line(phase)) for phase in found.phases],
            *[(f"data {split.name}", _split_line(split)) for split in found.splits],
            *[("leaderboard", f"{found.slug}/{board.phase}/{board.slug}") for board in found.leaderboards],
        ]
    )
    if not found.joined:
        output.talk(f"Take part: touchstone competitions join {found.slug} --accept-terms")


def _phase_line(phase: Phase) -> str:
    until = output.cell(phase.closes) if phase.closes else "no end"
    limits = ", ".join(
        text
        for text in (f"{phase.per_day} a day" if phase.per_day else "", f"{phase.total} in all" if phase.total else "")
        if text
    )
    return f"{phase.state}, {output.cell(phase.opens)} to {until}, {limits or 'no limit'}, feedback {phase.feedback}"


def _split_line(split: Split) -> str:
    files = f"{len(split.files)} files to download" if split.files else "nothing to download"
    return f"{split.visibility}, {split.n_items} items, {files}"


@group.command()
def join(
    ctx: typer.Context,
    slug: _Slug,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="You have read the terms and accept them.")
    ] = False,
    display_name: Annotated[str, typer.Option(help="Name on the leaderboard. Default: your user name.")] = "",
    json: _Json = False,
) -> None:
    """Take part in a competition. Without --accept-terms the terms are printed and nothing happens.

    \b
    touchstone competitions join garments
    touchstone competitions join garments --accept-terms --display-name "Team Loom"
    """
    with connect(ctx) as client:
        if not accept_terms:
            found = client.competition(slug)
            output.data(found.terms or "This competition has no terms of its own.")
            raise ClientError(
                f"{slug} was not joined",
                why="its terms, printed above, are not accepted yet",
                hint=f"touchstone competitions join {slug} --accept-terms",
                code="terms_not_accepted",
                exit_code=ExitCode.USAGE,
            )
        joined = client.join(slug, accept_terms=True, display_name=display_name)
    if json:
        output.as_json({"participation": joined})
        return
    if joined.status == "pending":
        output.talk(f"You asked to take part in {joined.competition} as {joined.display_name}: its organisers decide.")
        return
    output.talk(f"You take part in {joined.competition} as {joined.display_name}.")
    output.talk(f"Next: touchstone init {slug}; or touchstone competitions download {slug}")


@group.command()
def download(
    ctx: typer.Context,
    slug: _Slug,
    split: Annotated[str, typer.Option(help="Only this data split.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder to write to. Default: ./COMPETITION")] = None,
    starting_kit: Annotated[bool, typer.Option(help="The starting kit too.")] = True,
) -> None:
    """Download the data that the competition gives out. Files that are already there and right are not sent again.

    `touchstone validate` and `touchstone test` then need no server.

    \b
    touchstone competitions download garments
    touchstone competitions download garments --split train --out data
    """
    from touchstone_client.describing import fetch

    folder = out or Path(slug)
    with connect(ctx, need_token=False) as client:
        found = client.competition(slug)
        for chosen in _chosen(found, split):
            _download_split(client, found.slug, chosen, folder)
        if starting_kit and found.starting_kit and not split:
            target = folder / "starting-kit.zip"
            client.download_starting_kit(found.slug, target)
            output.data(str(target))
        fetch(client, slug, folder=folder)


def _chosen(found: Competition, wanted: str) -> list[Split]:
    splits = [item for item in found.splits if item.files and wanted in ("", item.name)]
    if splits or not wanted:
        return splits
    offered = ", ".join(item.name for item in found.splits if item.files) or "none"
    raise ClientError(
        f"{found.slug} gives out no data split {wanted!r}",
        why=f"splits to download: {offered}",
        hint=f"touchstone competitions show {found.slug}",
        code="no_such_split",
        exit_code=ExitCode.USAGE,
    )


def _download_split(client: Client, slug: str, split: Split, folder: Path) -> None:
    from touchstone_client.cli.progress import bar
    from touchstone_client.describing import safe_name

    for file in split.files:
        target = folder / safe_name(split.name) / safe_name(file.name)
        with bar(f"{split.name}/{file.name}") as progress:
            client.download(slug, split.name, file, target, progress=progress)
        output.data(str(target))
