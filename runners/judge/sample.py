"""The smoke stage: a submission meets the public sample first; how fast it is there says how long the rest takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from runners.context import FloatArray, Inputs
from runners.contract import Verdict
from runners.errors import ParticipantFault
from runners.forecast import GRADIENT_TIMES
from runners.judge.asking import batch_items
from runners.models.base import Model

#: Of the run's time, the share that the sample may take after its first question, where that is enough to measure.
_SHARE = 0.05
#: Seconds that timing may take of a submission that is fast enough for it, or that surely ends in time.
_TIMING_S = 0.5
#: Measurements of each size of question.
_REPEATS = 2
#: Measurements of a size whose last answer was still faster than those before: it is not warm yet.
_MOST_REPEATS = 5
#: An answer that takes this share of the fastest before shows that it was not warm then.
_FASTER = 0.8
#: The next size of question is so many times the last; nor is more than this concluded from a size for a verdict.
_STEP = 4
#: A machine may be so much faster later than in its best measurement here, before a run is ended for being too slow.
_HOPE = 1.5
#: Below this share of the run's time, at a pace that larger questions can only better, nothing is in doubt.
_SURELY = 0.5
#: No question has more items than this, whoever asks; nor more than twice the bytes of those that ask the split.
_MOST_ITEMS = 256


class Asked(Protocol):
    """What the smoke stage needs of a model."""

    def predict(self, x: Inputs) -> FloatArray: ...


@dataclass(frozen=True)
class Pace:
    """Seconds an item takes in questions of the size that the split is asked with: as expected, and at the best.

    `best` is what was shown to be needed, 0 where nothing was: whoever is ended for it could not have ended in time.
    `densest`: the same in the largest questions that a metric may ask, where an item takes less. `gradient`: seconds
    of an item asked for its gradient, None where that was not timed.
    """

    usual: float
    best: float
    densest: float = 0.0
    gradient: float | None = None


def try_sample(
    model: Asked,
    sample: Inputs,
    split: Inputs,
    *,
    limit: float,
    asked: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Pace:
    """Ask the sample, and time questions of several sizes. `limit`: seconds of the whole run.

    The first question warms up and is not timed: many load or compile only then. Then a small question is timed, and
    larger ones step by step, by what the last size took: a slow submission is timed with small questions, so that
    being tried costs it little. From sizes and times comes what a question costs and what an item costs.
    `asked`: items that the whole run asks, default those of the split; where they surely fit, timing is short.

    Raises:
        ParticipantFault: from the model, where it dies, is late or answers nonsense.
    """
    size = max(1, min(batch_items(split), split.shape[0]))
    enough = _SURELY * limit / max(1, asked or len(split))
    timed = _Timed(model, sample, clock, size=size, budget=_SHARE * limit, enough=enough)
    timed.sizes()
    timed.rest()
    most = max(size, min(_MOST_ITEMS, 2 * batch_items(split)))
    return Pace(usual=timed.usual(size) / size, best=timed.least(size) / size, densest=timed.least(most) / most)


class _Timed:
    """Times questions, up to `size` items. `budget`: seconds from the end of the first one. `enough`: seconds an item
    may take for nothing to be in doubt.
    """

    def __init__(
        self, model: Asked, sample: Inputs, clock: Callable[[], float], *, size: int, budget: float, enough: float
    ) -> None:
        self._model, self._sample, self._clock, self._size, self._enough = model, sample, clock, size, enough
        self._times: dict[int, list[float]] = {}
        self._step = batch_items(sample)
        self._first = min(self._step, sample.shape[0])
        self._cold = self._ask(sample[: self._step])
        self._begun, self._budget = clock(), budget

    def sizes(self) -> None:
        """Time questions of growing size as long as there is time; of two sizes if there is any."""
        # The first question took no less than a warm one would, so as many items as this are asked in a moment.
        share = min(self._budget, _TIMING_S) / 3
        count = max(1, min(self._size, int(self._first * share / max(self._cold, 1e-6))))
        self._measure(count)
        while count < self._size:
            larger = min(self._size, _STEP * count)
            if not self._room(_REPEATS * min(self._times[count]) * larger / count, count):
                break
            self._measure(count := larger)
        if len(self._times) == 1 and count > 1:
            self._measure(max(1, count // _STEP))

    def rest(self) -> None:
        """Ask what is left of the sample, as far as time allows."""
        for start in range(self._step, self._sample.shape[0], self._step):
            part = self._sample[start : start + self._step]
            if self._spent() + self.usual(len(part)) > self._budget:
                break
            self._times.setdefault(len(part), []).append(self._ask(part))

    def usual(self, count: int) -> float:
        """Seconds of a question of `count` items: on the line through two points, neither of its parts below zero."""
        middle = {items: float(np.median(times)) for items, times in self._times.items()}
        if len(middle) == 1:  # the budget is gone; the first question took no less than a warm one of its size
            middle.setdefault(self._first, self._cold)
        sizes = sorted(middle)
        large = max((items for items in sizes if items <= count), default=sizes[-1])
        small = max((items for items in sizes if items * 2 <= large), default=sizes[0])
        if small == large:
            return middle[large] * max(1.0, count / large)
        each = max(0.0, (middle[large] - middle[small]) / (large - small))
        return max(0.0, middle[large] - each * large) + each * count

    def least(self, count: int) -> float:
        """Seconds that a question of `count` items takes at least; 0 where nothing shows it.

        A larger question takes no less than a smaller one. What one more item takes is counted no further than some
        times the largest size that was timed, and only as far as the difference of two sizes cannot be an accident:
        the larger at its best, the smaller as it was.
        """
        known = {items: min(times) for items, times in self._times.items() if _is_warm(times) and items <= count}
        if not known:
            return 0.0
        large = max(known)
        hoped = known[large] / _HOPE
        shown = [(hoped - seconds) / (large - items) for items, seconds in known.items() if items < large]
        return hoped + max(0.0, *shown, 0.0) * (min(count, _STEP * large) - large)

    def _measure(self, count: int) -> None:
        times = self._times.setdefault(count, [])
        question = np.resize(self._sample, (count, *self._sample.shape[1:]))
        while len(times) < _REPEATS or (self._in_doubt(count) and not _is_warm(times) and len(times) < _MOST_REPEATS):
            late = times and self._spent() + min(times) > self._budget
            if late and not (len(times) == 1 and self._looks_hopeless(times[0])):
                break
            times.append(self._ask(question))

    def _room(self, seconds: float, count: int) -> bool:
        """Whether so many seconds more may be spent: few where two sizes were timed and nothing is in doubt."""
        short = len(self._times) > 1 and not self._in_doubt(count)
        return self._spent() + seconds <= (min(self._budget, _TIMING_S) if short else self._budget)

    def _in_doubt(self, count: int) -> bool:
        """Whether the run would take long if larger questions did not make it faster than this size."""
        return min(self._times[count]) > self._enough * count

    def _looks_hopeless(self, seconds: float) -> bool:
        """Whether a question that takes so long would end the run, were it only asked a second time to be sure."""
        return seconds / _HOPE > self._enough / _SURELY * self._size

    def _spent(self) -> float:
        return self._clock() - self._begun

    def _ask(self, x: Inputs) -> float:
        begun = self._clock()
        self._model.predict(np.ascontiguousarray(x))
        return self._clock() - begun


def _is_warm(times: list[float]) -> bool:
    """Whether the last of several answers was not much faster than all before."""
    return len(times) >= _REPEATS and times[-1] >= _FASTER * min(times[:-1])


@dataclass(frozen=True)
class Estimate:
    """Seconds of the whole run from its start: as expected, and as little as can be hoped for."""

    expected: float
    hoped: float


def gradient_pace(
    model: Model, sample: Inputs, pace: Pace, *, limit: float, clock: Callable[[], float] = time.monotonic
) -> float | None:
    """Seconds of an item asked for its gradient, forward pass included; None where that would take too long to time.

    Two questions of the same size, as many items as a moment allows: the first warms up, the second is timed.

    Raises:
        ParticipantFault: from the model, where it dies, is late or answers nonsense.
    """
    moment = min(_SHARE * limit, _TIMING_S) / 2
    count = min(batch_items(sample), int(moment / (GRADIENT_TIMES * max(pace.usual, 1e-9))))
    if count < 1:
        return None
    question = np.resize(sample, (count, *sample.shape[1:]))
    classes = np.zeros(count, dtype=np.int64)
    model.gradient(question, classes)
    begun = clock()
    model.gradient(question, classes)
    return (clock() - begun) / count


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
