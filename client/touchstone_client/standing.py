"""How one stands on a leaderboard: one's own row, and who is tied with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from touchstone_client.board_types import Board, BoardRow, Score, Standing

if TYPE_CHECKING:
    from touchstone_client.sdk import Client

_PAGE = 200
#: Pages that are looked through for one's own row: names that hold one's own are few.
_PAGES = 5
_LONGEST_NAME = 100


def standing_of(client: Client, slug: str, phase: str, board: str, *, participant: str) -> Standing | None:
    """None where the leaderboard has no row of one's own, or the phase hides it. Two requests, rarely more."""
    row = _own(client, slug, phase, board, participant)
    if row is None:
        return None
    whole = client.leaderboard(slug, phase, board, limit=_PAGE)
    return Standing(
        f"{whole.competition}/{whole.phase}/{whole.slug}", whole.url, whole.total, whole.columns, row,
        total_is_least=whole.total_is_least, tied=_tied(whole, row) if row.tied_with else (),
    )  # fmt: skip


def _own(client: Client, slug: str, phase: str, board: str, participant: str) -> BoardRow | None:
    after = ""
    for _ in range(_PAGES):
        page = client.leaderboard(slug, phase, board, q=participant[:_LONGEST_NAME], after=after, limit=_PAGE)
        row = next((row for row in page.rows if row.is_you), None)
        after = page.next
        if row is not None or not after:
            return row
    return None


def _tied(board: Board, own: BoardRow) -> tuple[str, ...]:
    """Those whose interval of the ranking result overlaps with one's own, as far as the first page shows them."""
    key = next((column.key for column in board.columns if column.is_ranking), "")
    mine = own.scores.get(key)
    if mine is None:
        return ()
    others = (row for row in board.rows if not row.is_you and row.rank is not None)
    return tuple(row.participant for row in others if _overlap(mine, row.scores.get(key)))


def _overlap(one: Score, two: Score | None) -> bool:
    if two is None or one.low is None or one.high is None or two.low is None or two.high is None:
        return False
    return one.low <= two.high and two.low <= one.high
