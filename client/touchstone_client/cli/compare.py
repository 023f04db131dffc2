"""compare: submissions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import connect
from touchstone_client.figures import number

if TYPE_CHECKING:
    from touchstone_client.organising_types import ComparedValue

_MOST = 4


def add_to(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    ctx: typer.Context,
    first: Annotated[str, typer.Argument(metavar="ID", help="What the others are compared with.")],
    others: Annotated[
        list[str],
        typer.Argument(metavar="ID…", help="One to three more: submissions of yours, or leaderboard entries."),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show two to four submissions side by side, with how far each is from the first.

    An id is what `touchstone submissions` lists, or the `entry` of a row of `touchstone leaderboard … --json`.

    \b
    touchstone compare ID ID
    """
    ids = [first, *others]
    if len(ids) > _MOST:
        raise typer.BadParameter(f"{len(ids)} are named; at most {_MOST} can be compared")
    with connect(ctx) as client:
        found = client.compare(ids)
    if json:
        output.as_json({"comparison": found})
        return
    letters = "ABCD"
    for letter, item in zip(letters, found.items, strict=False):
        note = f", {item.message}" if item.message else ""
        output.talk(f"{letter}  {item.id}  {item.participant} ({item.phase}, {item.kind}, {item.status}{note})")
    columns = ["result", "A"]
    for letter in letters[1 : len(found.items)]:
        columns += [letter, f"{letter} less A"]
    output.table(columns, [[row.title or row.key, *_cells(row.cells)] for row in found.rows])
    if any(cell.overlap for row in found.rows for cell in row.cells):
        output.talk("Where the 95 % intervals overlap, chance may be all there is to a difference.")


def _cells(cells: tuple[ComparedValue, ...]) -> list[str]:
    shown = [_value(cells[0])]
    for cell in cells[1:]:
        shown += [_value(cell), _difference(cell)]
    return shown


def _value(cell: ComparedValue) -> str:
    if cell.value is None:
        return f"- ({cell.reason or cell.state})"
    between = "" if cell.low is None or cell.high is None else f" [{number(cell.low)}, {number(cell.high)}]"
    return f"{number(cell.value)}{between}"


def _difference(cell: ComparedValue) -> str:
    if cell.difference is None:
        return "-"
    told = [number(cell.difference, sign=True)]
    if cell.relation in ("better", "worse", "same"):
        told.append(cell.relation)
    if cell.overlap is not None and cell.difference:
        told.append("intervals overlap" if cell.overlap else "intervals apart")
    return ", ".join(told)
