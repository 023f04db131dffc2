"""What the server tells organisers, and how submissions compare, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class CheckValue:
    """One value of a made-up submission against what it must be. `verdict`: passed, failed, or told (not judged)."""

    key: str
    value: float | None
    expected: str
    verdict: str
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class MadeUp:
    """A made-up submission and what came of it. `verdict` is empty while it is under way."""

    phase: str
    sent: str
    status: str
    verdict: str
    expected: str
    message: str = ""
    values: tuple[CheckValue, ...] = ()


@dataclass(frozen=True)
class PublishCheck:
    """How the check of a competition's present version stands: none, running, passed or failed.

    `message` and `hint` say why no submissions could be made up. `opened_at` None: only organisers see it.
    """

    version: int
    state: str
    submissions: tuple[MadeUp, ...]
    unchecked: tuple[str, ...] = ()
    opened_at: datetime | None = None
    message: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Rerun:
    """Submissions that are evaluated again, and how far that is."""

    id: str
    competition: str
    reason: str
    created_at: datetime
    total: int
    waiting: int
    open: int
    scored: int
    failed: int
    skipped: int
    over: bool


@dataclass(frozen=True)
class Compared:
    """A submission that is compared; of other people's, what the leaderboard shows."""

    id: str
    participant: str
    phase: str
    kind: str
    status: str
    message: str = ""
    url: str = ""


@dataclass(frozen=True)
class ComparedValue:
    """A value, and how far it is from the first submission's.

    `relation`: better, worse, same, or none where the metric has no direction. `overlap`: whether the 95 % intervals
    overlap. None where there is nothing to compare.
    """

    value: float | None
    state: str
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: str = ""
    difference: float | None = None
    relation: str | None = None
    overlap: bool | None = None


@dataclass(frozen=True)
class ComparedRow:
    """A result of each of them, in the order in which they were named."""

    key: str
    title: str
    direction: str
    cells: tuple[ComparedValue, ...]
    metric: str = ""
    pillar: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two to four submissions in every result that any of them has."""

    competition: str
    items: tuple[Compared, ...]
    rows: tuple[ComparedRow, ...]
