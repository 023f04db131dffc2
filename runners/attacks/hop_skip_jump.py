"""HopSkipJump: a decision-based attack, all items in step with each other.

Every round asks about all items at once, so the number of round trips depends on the budget of an
item and not on how many items there are.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from runners.attacks.decision import Search
from runners.attacks.geometry import Inputs, Ints, Norm, ValueRange
from runners.models.base import Model
from runners.registry import attack


@attack(
    "hop_skip_jump",
    title="HopSkipJump",
    requires="queries",
    norms=("l2", "linf"),
    reference="Chen, Jordan and Wainwright, IEEE S&P 2020",
    limits="It sees classes only, and its distances shrink with the budget: on a linear model 2000 questions come "
    "within about 1 % (20 inputs), 3 % (64) and 12 % (256) of the minimum in l2. A model that answers at random "
    "misleads it. `eps` does not steer it.",
    queries=lambda parameters: int(parameters["queries"]),
)
def hop_skip_jump(
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    queries: Annotated[int, Field(ge=50, le=1_000_000)] = 2000,
    initial: Annotated[int, Field(ge=1, le=10_000)] = 100,
    largest: Annotated[int, Field(ge=1, le=100_000)] = 10_000,
    starts: Annotated[int, Field(ge=1, le=1000)] = 25,
    engine: Literal["native", "art"] = "native",
) -> Inputs:
    """Walk along the decision boundary towards each item, seeing predicted classes only.

    Args:
        queries: budget of each item, everything counted.
        initial: probes of the first direction estimate; the t-th takes sqrt(t) times as many.
        largest: most probes of one estimate.
        starts: random points tried for a start where no other item gives one.

    Returns the inputs, changed where an example was found, at whatever distance: `eps` only tells
    success, it does not steer. Items that are wrong to begin with stay as they are, and so do
    items for which no start was found. `engine: art` is ART's, which asks item by item and about as often;
    its starts are found as ours.
    """
    search = Search(model, x, y, norm=norm, value_range=value_range, rng=rng, budget=queries)
    search.start(starts)
    if engine == "art":
        from runners.adapters.art import generate

        rounds = _rounds(queries - int(search.used.max(initial=0)), initial, largest)
        options = {"max_iter": rounds, "init_eval": initial, "max_eval": largest, "start": search.best}
        return generate(
            "hop_skip_jump", model, x, y, norm=norm, eps=eps, value_range=value_range, rng=rng, options=options
        )
    round_number = 0
    while search.active().size:
        round_number += 1
        search.step(min(largest, math.ceil(initial * math.sqrt(round_number))), round_number)
    return search.best


def _rounds(queries: int, initial: int, largest: int) -> int:
    """Rounds of growing estimates, each with about 25 questions for its step and its search, within the budget."""
    rounds = 0
    while queries > 0:
        rounds += 1
        queries -= min(largest, math.ceil(initial * math.sqrt(rounds))) + 25
    return max(1, rounds - 1)
