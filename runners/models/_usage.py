"""What was asked of an endpoint, what may be, and how it answered: the figures of a run's facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from pydantic import JsonValue

from runners.models.base import BudgetSpent

_MOST_LINES = 200


@dataclass
class Usage:
    """Counts of one attempt. `most`: items that may be asked, those asked again included; `kept`: of them, for the end.

    `stage` names what asks now. A question takes one request, or more where it is asked again. Seconds are of whole
    exchanges that were answered at once on a connection that stood.
    """

    most: int
    kept: int = 0
    stage: Callable[[], str] = lambda: ""
    items: int = 0
    questions: int = 0
    requests: int = 0
    at_once: int = 0
    repeats: Counter[str] = field(default_factory=Counter)
    waited: float = 0.0
    by_stage: Counter[str] = field(default_factory=Counter)
    answers: list[float] = field(default_factory=list)
    pings: list[float] = field(default_factory=list)
    connects: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Items that may still be asked."""
        return self.most - self.kept - self.items

    def charge(self, items: int) -> None:
        """So many items are about to be sent. Raises `BudgetSpent`; then they must not be."""
        if items > self.left:
            raise BudgetSpent(
                f"an endpoint may be asked {self.most:,} items in a run of this phase, those asked again included; "
                f"{max(0, self.left):,} were left, and {items:,} would have been asked"
            )
        self.items += items
        self.by_stage[self.stage() or "start"] += items

    def repeat(self, why: str, seconds: float) -> None:
        """A request failed and is sent again after so long."""
        self.repeats[why] += 1
        self.waited += seconds
        if len(self.lines) < _MOST_LINES:
            self.lines.append(f"[platform] {self.stage() or 'start'}: {why}; asked again after {seconds:.2f} s")

    def facts(self) -> dict[str, JsonValue]:
        """All of it for the run's page; seconds are rounded to a tenth of a millisecond."""
        infer, network = _spread(self.answers), _spread(self.pings)
        found: dict[str, JsonValue] = {
            "items_asked": self.items, "items_allowed": self.most, "items_by_stage": dict(self.by_stage),
            "questions": self.questions, "requests": self.requests, "answered_at_once": self.at_once,
            "availability": round(self.at_once / self.questions, 4) if self.questions else None,
            "repeats": dict(self.repeats), "waited_seconds": round(self.waited, 3),
            "latency": infer, "network": network, "connect": _spread(self.connects),
        }  # fmt: skip
        if infer is not None and network is not None:
            middle = float(np.median(self.answers)) - float(np.median(self.pings))
            found["beyond_network_median"] = round(max(0.0, middle), 4)
        return found


def _spread(seconds: list[float]) -> dict[str, JsonValue] | None:
    if not seconds:
        return None
    middle, high = np.quantile(seconds, [0.5, 0.95])
    return {"median": round(float(middle), 4), "p95": round(float(high), 4), "n": len(seconds)}
