"""The smoke stage: a submission meets the public sample first; how fast it is there says how long the rest takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from runners.context import FloatArray, Inputs
from runners.contract import RunSpec, Verdict
from runners.errors import ParticipantFault, UserError
from runners.judge.asking import batch_items
from runners.models.base import Access
from runners.registry import metrics, parse_parameters

#: Of the run's time, the share that the sample may take once what must be measured is measured.
_SHARE = 0.05
#: Seconds that timing may take of a submission that is fast enough for it.
_TIMING_S = 0.5
#: Measurements of each of two sizes of question.
_REPEATS = 2
#: A machine may be so much faster later than in its best measurement here, before a run is ended for being too slow.
_HOPE = 1.5


class Asked(Protocol):
    """What the smoke stage needs of a model."""

    access: frozenset[Access]

    def predict(self, x: Inputs) -> FloatArray: ...


@dataclass(frozen=True)
class Pace:
    """Seconds an item takes in questions of the size that the split is asked with: as measured, and at the best."""

    usual: float
    best: float


def try_sample(
    model: Asked, sample: Inputs, split: Inputs, *, limit: float, clock: Callable[[], float] = time.monotonic
) -> Pace:
    """Ask the sample, then time questions of two sizes. `limit`: seconds of the whole run.

    The first question warms up and is not timed. A slow submission is timed with small questions, so that being
    tried costs it little; then time is split into what a question costs and what an item costs.

    Raises:
        ParticipantFault: from the model, where it dies, is late or answers nonsense.
    """
    started, budget = clock(), _SHARE * limit

    def ask(x: Inputs) -> float:
        begun = clock()
        model.predict(np.ascontiguousarray(x))
        return clock() - begun

    step = batch_items(sample)
    first = sample[:step]
    seconds = ask(first)
    for start in range(step, sample.shape[0], step):
        if clock() - started > budget:
            break
        ask(sample[start : start + step])
    size = min(batch_items(split), split.shape[0])
    large = max(2, min(size, _affordable(first.shape[0], seconds, min(budget, _TIMING_S))))
    small = max(1, large // 4)
    times: dict[int, list[float]] = {small: [], large: []}
    for _ in range(_REPEATS):
        for count in (large, small):
            times[count].append(ask(np.resize(sample, (count, *sample.shape[1:]))))
    middle = {count: float(np.median(values)) for count, values in times.items()}
    least = {count: min(values) for count, values in times.items()}
    return Pace(usual=_per_item(middle, max(1, size)), best=_per_item(least, max(1, size)) / _HOPE)


def _affordable(items: int, seconds: float, budget: float) -> int:
    """Items of a question so that all that is timed stays within the budget."""
    return int(items * budget / (3 * max(seconds, 1e-6)))


def _per_item(times: dict[int, float], size: int) -> float:
    """Seconds an item in questions of `size`: a line through the two points, neither of its parts below zero."""
    (small, low), (large, high) = sorted(times.items())
    each = max(0.0, (high - low) / (large - small))
    question = max(0.0, high - each * large)
    return question / size + each


@dataclass(frozen=True)
class Estimate:
    """Seconds of the whole run from its start: as expected, and as little as can be hoped for."""

    expected: float
    hoped: float


def estimate(spec: RunSpec, model: Asked, pace: Pace, *, items: int, elapsed: float) -> Estimate:
    """What the whole run takes: `elapsed` so far, the items of the split, and the questions that metrics declare."""
    least = typical = items
    known = metrics()
    for use in spec.metrics:
        info = known.get(use.use)
        if info is None or info.queries is None:
            continue
        try:
            cost = info.queries(parse_parameters(info, use.parameters), items)
        except UserError:
            continue  # wrong settings: the metric says so itself when its turn comes, and asks nothing
        if cost.access in model.access:
            least, typical = least + cost.least, typical + cost.typical
    return Estimate(expected=elapsed + typical * pace.usual, hoped=elapsed + least * pace.best)


def too_slow(found: Estimate, limit: float) -> ParticipantFault | None:
    """The fault of a submission that cannot end in time, even if it gets faster than it ever was."""
    if found.hoped <= limit:
        return None
    text = (
        f"The submission is too slow for this phase: at the speed it answered the public sample, the run would take "
        f"about {duration(found.expected)}, at the very best {duration(found.hoped)}; the limit is {duration(limit)}. "
        f"It was ended now instead of then."
    )
    hint = "Answer faster: use batches, a smaller model, or fewer threads. Time it at home on the public sample."
    return ParticipantFault(Verdict.TIMEOUT, text, hint=hint, code="too_slow")


def duration(seconds: float) -> str:
    """Seconds in words a person reads at a glance."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
