"""Leaderboards as text: aligned columns, long titles over several lines, the interval beside each number."""

from __future__ import annotations

import textwrap

from touchstone_client.types import Board, BoardRow


def board_text(board: Board) -> str:
    """A leaderboard as a table. Entries without a rank come with the reason below it."""
    titles = ["rank", "participant", *(column.title for column in board.columns)]
    rows = [_cells(row, board) for row in board.rows]
    widths = [max(*(len(row[place]) for row in rows), 4 if place == 0 else 11) for place in range(len(titles))]
    heads = [textwrap.wrap(title, max(width, 12)) for title, width in zip(titles, widths, strict=True)]
    widths = [max(width, *(len(line) for line in head)) for width, head in zip(widths, heads, strict=True)]
    height = max(len(head) for head in heads)
    heads = [[""] * (height - len(head)) + head for head in heads]
    lines = [f"{board.title} ({board.competition}/{board.phase}/{board.slug})", ""]
    lines += [_line([head[place] for head in heads], widths) for place in range(height)]
    lines.append("  ".join("-" * width for width in widths))
    lines += [_line(row, widths) for row in rows]
    lines += [f"  {row.participant}: {row.unranked}" for row in board.rows if row.unranked]
    return "\n".join(lines)


def _cells(row: BoardRow, board: Board) -> list[str]:
    return [
        str(row.rank or "-"),
        row.participant,
        *(_cell(row, column.key, column.decimals) for column in board.columns),
    ]


def _cell(row: BoardRow, key: str, decimals: int) -> str:
    score = row.scores.get(key)
    if score is None or not score.text:
        return "-"
    if score.low is None or score.high is None:
        return score.text
    interval = f"[{score.low:.{decimals}f}, {score.high:.{decimals}f}]"
    return f"{score.text} {interval.replace('-', '−')}"


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
