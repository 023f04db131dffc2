"""What leaderboards look like, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class BoardColumn:
    key: str
    title: str
    unit: str = ""
    direction: str = "none"
    decimals: int = 3
    is_ranking: bool = False


@dataclass(frozen=True)
class Score:
    """A cell. `text` is the value as pages show it; `low` and `high` bound a 95 % interval, `n` is what it rests on.

    `verdict`: whether a number under attack may be believed (sound, suspect, broken, unchecked); else empty. `doubts`:
    the checks that speak against it.
    """

    text: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    state: str = "ok"
    reason: str = ""
    verdict: str = ""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoardRow:
    """A participant's entry. `rank` is None where it is not ranked, and `unranked` says why.

    `rank_best` to `rank_worst` are the ranks that it may have, `tied_with` how many others it is tied with: their 95 %
    intervals overlap with its own. None where that is not known. `entry` is what its public page is found by.
    """

    rank: int | None
    tied: bool
    participant: str
    scores: dict[str, Score]
    is_baseline: bool = False
    is_you: bool = False
    submission: str = ""
    submitted_at: datetime | None = None
    n_submissions: int = 0
    unranked: str = ""
    rank_best: int | None = None
    rank_worst: int | None = None
    tied_with: int | None = None
    entry: str = ""
    kind: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Board:
    """A page of a leaderboard; `next` is the cursor of the next page.

    `hidden` says why the phase shows nothing; `blunt`: values are rounded and have no intervals.
    """

    competition: str
    phase: str
    slug: str
    title: str
    version: int
    total: int
    columns: tuple[BoardColumn, ...]
    rows: tuple[BoardRow, ...]
    next: str = ""
    hidden: str = ""
    blunt: bool = False
    url: str = ""
    total_is_least: bool = False


@dataclass(frozen=True)
class Standing:
    """One's own row of a leaderboard, and who is tied with it. `row` is one's best, whatever was sent last."""

    leaderboard: str
    url: str
    total: int
    columns: tuple[BoardColumn, ...]
    row: BoardRow
    total_is_least: bool = False
    tied: tuple[str, ...] = ()

    @property
    def ranking(self) -> BoardColumn | None:
        """The column that ranks."""
        return next((column for column in self.columns if column.is_ranking), None)
