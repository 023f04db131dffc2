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
    """A participant's entry. `rank` is None where it is not ranked, and `unranked` says why."""

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
