"""Printing. stdout carries data only, so it can be piped; everything said to a person goes to stderr.

On a terminal tables are drawn; elsewhere they are tab-separated lines with a header. `NO_COLOR` is honoured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from touchstone_client.decode import encode
from touchstone_client.errors import ClientError, Detail
from touchstone_client.types import SCHEMA_VERSION

if TYPE_CHECKING:
    from rich.console import Console


def _line(text: str, *, to: TextIO | None = None) -> None:
    stream = to or sys.stdout
    stream.write(text + "\n")
    stream.flush()


def talk(text: str) -> None:
    """A line for a person."""
    _line(printable(text), to=sys.stderr)


def data(text: str) -> None:
    """A line of data."""
    _line(printable(text))


def as_json(payload: dict[str, Any]) -> None:
    """One JSON document, with `schema_version` first."""
    _line(json.dumps({"schema_version": SCHEMA_VERSION, **encode(payload)}, indent=2, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """A console that draws only where a person looks."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Says on stderr what is waited for; on a terminal something moves meanwhile."""
    if not sys.stderr.isatty():
        talk(text)
        yield
        return
    with console(stderr=True).status(printable(text)):
        yield


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", dispensable: Sequence[str] = ()
) -> None:
    """Rows for stdout. On a terminal, where room is short, empty and `dispensable` columns are left out."""
    cells = [[printable(cell(value)) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [list(columns), *cells]:
            _line("\t".join(text.replace("\t", " ").replace("\n", " ") for text in line))
        return
    shown = [
        index
        for index, name in enumerate(columns)
        if index == 0 or (name not in dispensable and any(line[index] not in ("", "-") for line in cells))
    ]
    _draw([columns[index] for index in shown], [[line[index] for index in shown] for line in cells], title)


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]], title: str) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(title) if title else None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        drawn.add_column(column, overflow="fold", no_wrap=index == 0)
    for line in cells:
        drawn.add_row(*(Text(text) for text in line))
    console().print(drawn)


def pairs(items: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line; empty values are left out."""
    shown = [(name, printable(cell(value))) for name, value in items if value not in (None, "", ())]
    if not sys.stdout.isatty():
        for name, value in shown:
            _line(f"{name}\t{value}")
        return
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        _line(f"{name:<{width}}  {value}")


def cell(value: object) -> str:
    """A value as people read it: times in UTC, `-` for nothing, yes and no."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def printable(text: str) -> str:
    """Text of a server or of a participant without control characters: it cannot steer the terminal."""
    return "".join(char if char in "\n\t" or char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def error(problem: ClientError) -> None:
    """What happened, why, the next step, and the request id."""
    talk(f"Error: {problem.message}" + (f"\n  why: {problem.why}" if problem.why else ""))
    for detail in problem.details:
        talk(defect_line(detail))
    if problem.hint:
        talk(f"  next: {problem.hint}")
    if problem.request_id:
        talk(f"  request id: {problem.request_id}")


def defect_line(detail: Detail) -> str:
    """`file:line:column  key.path  message` and the hint on a line of its own."""
    place = ":".join(str(part) for part in (detail.file, detail.line, detail.column) if part)
    head = "  ".join(text for text in (place, detail.where, detail.message) if text)
    return f"  {head}" + (f"\n      {detail.hint}" if detail.hint else "")
