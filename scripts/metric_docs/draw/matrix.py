"""Tables of numbers as shaded cells: a confusion matrix, corruptions by kind and severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.metric_docs.draw.canvas import LETTER, Canvas


@dataclass(frozen=True)
class Table:
    """`cells` (rows, columns) with the text of each; `shade` 0 to 1 says how dark it is."""

    title: str
    series: int
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[str]]
    shade: Sequence[Sequence[float]]
    x: str = ""
    y: str = ""


def draw(canvas: Canvas, tables: Sequence[Table]) -> None:
    """One table, or several with the same rows beside each other."""
    left = 24 + LETTER * max(len(row) for row in tables[0].rows)
    room = (704.0 - left) / len(tables)
    height = 22.0
    top = canvas.y + (62 if tables[0].x else 44)
    for place, table in enumerate(tables):
        start = left + place * room
        width = min((room - 16) / len(table.columns), 64)
        canvas.text(start, top - (38 if table.x else 24), table.title, "ink bold")
        if table.x:
            canvas.text(start, top - 22, table.x, "muted small")
        for j, name in enumerate(table.columns):
            canvas.text(start + (j + 0.5) * width, top - 6, name, "muted small", anchor="middle")
        for i, row in enumerate(table.cells):
            if place == 0:
                canvas.text(left - 8, top + i * height + 15, table.rows[i], "ink small", anchor="end")
            for j, text in enumerate(row):
                x, y = start + j * width, top + i * height
                canvas.rect(x, y, width - 2, height - 2, f"f{table.series}", opacity=0.06 + 0.5 * table.shade[i][j])
                canvas.text(x + width / 2 - 1, y + 14, text, "ink small", anchor="middle")
    canvas.y = top + height * len(tables[0].cells) + (22 if tables[0].y else 4)
    if tables[0].y:
        canvas.text(left, canvas.y - 6, tables[0].y, "muted small")
