"""What a chart is: a picture's options, and the same in words and as a table for who does not see the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """The numbers of a chart, formatted. The first cell of a row heads it; `numeric` columns are set to the right."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()

    @property
    def heads(self) -> list[tuple[str, bool]]:
        """Each header, and whether its column holds numbers."""
        return [(text, index in self.numeric) for index, text in enumerate(self.headers)]

    @property
    def lines(self) -> list[tuple[str, list[tuple[str, bool]]]]:
        """Each row as its head, and its other cells with whether they are numbers."""
        return [
            (row[0], [(text, index in self.numeric) for index, text in enumerate(row[1:], start=1)])
            for row in self.rows
            if row
        ]


@dataclass(frozen=True)
class Chart:
    """One chart. `id` is unique on its page, `summary` says in words what the picture shows.

    `options` are those of ECharts, without colours and fonts: the page's script adds the theme. Texts in them are
    formatted already.
    """

    id: str
    title: str
    summary: str
    options: dict[str, Any]
    table: Table
    tall: bool = False
    #: Said below the picture: what to mind when reading it.
    notes: Sequence[str] = field(default_factory=tuple)
