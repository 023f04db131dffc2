"""leaderboard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import connect
from touchstone_client.cli.render import validity
from touchstone_client.cli.target import target_names
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.types import Board, BoardColumn, BoardRow

_FORM = "COMPETITION[/PHASE[/BOARD]]"


def add_to(app: typer.Typer) -> None:
    app.command()(leaderboard)


def leaderboard(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(metavar=_FORM, help="Default: as your settings say.")] = "",
    csv: Annotated[bool, typer.Option("--csv", help="The whole leaderboard as CSV.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    sort: Annotated[
        str, typer.Option(help="rank, participant, submitted, submissions or a column's key; -KEY turns the order.")
    ] = "",
    q: Annotated[str, typer.Option(help="Only participants with this in their name; several with commas.")] = "",
    columns: Annotated[str, typer.Option(metavar="KEY,KEY", help="Only these columns.")] = "",
    kind: Annotated[str, typer.Option(help="Only predictions, model, code, container or endpoint.")] = "",
    who: Annotated[str, typer.Option(help="Only entries of participants, baselines or organisers.")] = "",
    only: Annotated[
        str, typer.Option(help="Only those that are ranked; or sound: no check speaks against their robustness.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Rows.")] = 50,
    after: Annotated[str, typer.Option(help="Go on after a page: `next` of its JSON.")] = "",
) -> None:
    """Print a leaderboard. Without a phase or board: the first of the open phase.

    \b
    touchstone leaderboard garments
    touchstone leaderboard garments/development/robust --sort -performance.accuracy --kind model
    touchstone leaderboard garments --csv > board.csv
    """
    if csv and json:
        raise typer.BadParameter("give --csv or --json, not both")
    filters = {"sort": sort, "q": q, "cols": columns, "kind": kind, "who": who, "only": only, "after": after}
    if csv and any(filters.values()):
        raise typer.BadParameter("--csv is always the whole leaderboard: leave the filters out, or use --json")
    names = target_names(target, parts=3, form=_FORM, fill=False)
    with connect(ctx, need_token=False) as client:
        phase, slug = _board(client, names)
        if csv:
            for line in client.leaderboard_csv(names[0], phase, slug):
                sys.stdout.write(line + "\n")
            return
        board = client.leaderboard(names[0], phase, slug, limit=limit, **filters)
    if json:
        output.as_json({"leaderboard": board})
        return
    _draw(board)


def _board(client: Client, names: list[str]) -> tuple[str, str]:
    if len(names) == 3:
        return names[1], names[2]
    found = client.competition(names[0])
    wanted = names[1] if len(names) > 1 else found.current_phase
    boards = [item for item in found.leaderboards if item.phase == wanted]
    if not boards and len(names) == 1:
        boards = list(found.leaderboards)
    if boards:
        return boards[0].phase, boards[0].slug
    listed = ", ".join(f"{found.slug}/{item.phase}/{item.slug}" for item in found.leaderboards)
    raise ClientError(
        f"{'/'.join(names)} has no leaderboard",
        why=f"there are: {listed or 'none'}",
        hint=f"touchstone competitions show {found.slug}",
        code="no_leaderboard",
        exit_code=ExitCode.USAGE,
    )


def _draw(board: Board) -> None:
    if board.hidden:
        output.talk(board.hidden)
        return
    columns = ["rank", "participant", *[_heading(column) for column in board.columns], "submissions", "note"]
    title = f"{board.title} ({board.competition}/{board.phase})"
    output.table(columns, [_row(row, board) for row in board.rows], title=title)
    if board.next:
        output.talk(f"{len(board.rows)} of {board.total} shown; --limit shows more, --csv all.")


def _heading(column: BoardColumn) -> str:
    return f"{column.title} ({column.unit})" if column.unit else column.title


def _row(row: BoardRow, board: Board) -> list[object]:
    rank = "-" if row.rank is None else f"={row.rank}" if row.tied else str(row.rank)
    name = f"{row.participant} (you)" if row.is_you else row.participant
    note = row.unranked or ("baseline" if row.is_baseline else "")
    return [rank, name, *[_score(row, column) for column in board.columns], row.n_submissions, note]


def _score(row: BoardRow, column: BoardColumn) -> str:
    score = row.scores.get(column.key)
    if score is None:
        return "-"
    text = score.text
    if score.low is not None and score.high is not None:
        text += f" [{score.low:.{column.decimals}f}, {score.high:.{column.decimals}f}]"
    return f"{text} {validity(score.verdict, score.doubts)}".rstrip()
