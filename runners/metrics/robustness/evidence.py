"""The vocabulary of attack-validity checks: what a check looks at, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue

from runners.attacks.geometry import Bools, Floats, Inputs, Ints, Norm, ValueRange
from runners.metrics.robustness.recheck import TOLERANCE, recheck
from runners.metrics.robustness.target import Plan
from runners.metrics.robustness.target import plan as plan_attack
from runners.models.base import Model
from runners.statistics.intervals import wilson

#: `note`: worth knowing, says nothing against the number. `skipped`: could not be looked at, and why.
Outcome = Literal["passed", "note", "skipped", "suspect", "broken"]
Verdict = Literal["sound", "suspect", "broken"]

#: Share of items on which a second attack does better, as sure as 95 %, before the first is suspect, and before it is
#: broken. Of 50 items that is 3 and 6: attacks draw at random, and one item alone says little.
_SUSPECT_SHARE = 0.015
_BROKEN_SHARE = 0.05


@dataclass(frozen=True)
class Finding:
    """What one check found: an outcome, a sentence, and the numbers behind it."""

    name: str
    outcome: Outcome
    text: str
    numbers: dict[str, JsonValue] = field(default_factory=dict)

    def json(self) -> dict[str, JsonValue]:
        return {"check": self.name, "outcome": self.outcome, "text": self.text, **self.numbers}


@dataclass(frozen=True)
class Case:
    """A robust accuracy to be doubted. All items were right before the attack; `survived`: and are after it.

    `rejected` and `claimed` are the judge's counts over all attacked items, `reach` the distances of what held.
    `rng(purpose)` draws. `queries`: the most questions an item that one check may cost.
    """

    model: Model
    x: Inputs
    y: Ints
    survived: Bools
    plans: tuple[Plan, ...]
    norm: Norm
    eps: float
    value_range: ValueRange
    claimed: int
    rejected: int
    reach: Floats
    classes: int
    queries: int
    rng: Callable[[str], np.random.Generator]

    @property
    def n(self) -> int:
        return int(self.y.size)

    @property
    def white_box(self) -> bool:
        return "gradients" in self.model.access

    @cached_property
    def other_loss(self) -> Bools:
        """Which of all items PGD along another loss than the attack's fools, of those that survived: (n,).

        All false where the model gives no gradients.
        """
        out = np.zeros(self.n, dtype=bool)
        if self.white_box:
            left = np.flatnonzero(self.survived)
            out[left] = self.fooled(second_white_box(self.plans, self.norm, self.eps), left, "other_loss")
        return out

    def fooled(self, plan: Plan, index: Ints, purpose: str) -> Bools:
        """Which of the items `index` this plan fools within its own budget, checked like any result."""
        x, y = self.x[index], self.y[index]
        if index.size == 0:
            return np.zeros(0, dtype=bool)
        found = plan.info.function(
            self.model, x, y, norm=plan.norm, eps=plan.eps, value_range=self.value_range, rng=self.rng(purpose),
            **plan.typed,
        )  # fmt: skip
        held = recheck(self.model, x, found, y, norm=plan.norm, value_range=self.value_range)
        return held.reach <= plan.eps + TOLERANCE


Check = Callable[[Case], Finding]


def second_white_box(plans: Sequence[Plan], norm: Norm, eps: float) -> Plan:
    """PGD along the margin, or along the cross-entropy where an attack of the case took the margin already."""
    taken = any(item.typed.get("loss") == "margin" for item in plans)
    return plan_attack("pgd", norm, eps, {"loss": "cross_entropy" if taken else "margin", "bisections": 0})


def changed(plan: Plan, *, eps: float | None = None, **typed: Any) -> Plan:
    """The plan with another budget, and other values for those of the named parameters that it has."""
    own = {key: value for key, value in typed.items() if key in plan.typed}
    return replace(plan, eps=plan.eps if eps is None else eps, typed={**plan.typed, **own})


def only_queries(plans: Sequence[Plan]) -> bool:
    """Whether no attack of the case sees gradients."""
    return all(item.info.requires == "queries" for item in plans)


def judged(case: Case, name: str, newly: int, what: str) -> Finding:
    """How much it says that a second attack fooled `newly` items of a case which the first had left standing.

    A black-box attack that is beaten is weak; only of a white-box one does it mean that the model hides something.
    """
    n = case.n
    numbers: dict[str, JsonValue] = {"newly_fooled": newly, "of": n}
    if newly == 0:
        return Finding(name, "passed", f"{what} fools no item that the attack left standing.", numbers)
    outcome: Outcome = "note"
    surely, _ = wilson(newly, n)
    if surely > _SUSPECT_SHARE:
        outcome = "broken" if surely > _BROKEN_SHARE and not only_queries(case.plans) else "suspect"
    return Finding(name, outcome, f"{what} fools {newly} of {n} items more than the attack did.", numbers)
