"""How many items one call to a submission has: found by asking, within its memory and its pace.

Starts small and doubles while that pays: while more items a second come back, the next size should fit the
memory limit by how the peak grew so far, and one call stays short. A submission that refuses memory for a
batch gets smaller ones; that ends a run only where one item alone is refused.
"""

from __future__ import annotations

from collections.abc import Callable

_FIRST = 16
#: Items a second have to grow by this factor, or the double batch was not worth it.
_GAIN = 1.05
#: Measured so often before a size counts as not worth it: one slow call may be somebody else's doing.
_TRIES = 2
#: The predicted peak may take so much of the memory limit.
_SHARE = 0.8
#: The next size's call may take so long: a cancelled run or a lapsed deadline is noticed between calls.
_SECONDS = 1.0


class BatchSize:
    """Finds the size of batches. `items` is the present one; it settles, and from then on only a refusal changes it.

    `most`: a bound that is never passed. `memory`: bytes the sandbox may take. `peak`: tells its peak so far, or
    None. `item_bytes`: of one item's input, which the sandbox holds at least three times.
    """

    def __init__(self, *, most: int, memory: int, item_bytes: int, peak: Callable[[], int | None]) -> None:
        self.items = max(1, min(_FIRST, most))
        self.settled = self.items >= most
        self._most = most
        self._memory = memory
        self._item_bytes = item_bytes
        self._peak = peak
        self._before: int | None = None
        self._best = 0.0
        self._best_items = self.items
        self._calls = 0
        self._rate = 0.0
        self._warm = False

    def started(self) -> None:
        """Nothing was asked yet: the peak up to here is what the submission takes by itself."""
        self._before = self._peak()

    def answered(self, items: int, seconds: float) -> None:
        """A call of so many items took so long. Smaller calls than a whole batch tell nothing."""
        if self.settled or items != self.items:
            return
        if not self._warm:
            self._warm = True
            if 2 * seconds > _SECONDS:  # many load or compile only when they are first asked
                return
        self._calls += 1
        self._rate = max(self._rate, items / max(seconds, 1e-9))
        if self._rate < self._best * _GAIN:
            if self._calls >= _TRIES:
                self._settle(self._best_items)
            return
        self._best, self._best_items = self._rate, items
        self._grow(seconds)

    def refused(self, items: int) -> bool:
        """The submission had no memory for a call of so many items; whether a smaller one is left to try."""
        if items <= 1:
            return False
        self._settle(max(1, min(self.items, items) // 2))
        return True

    def _settle(self, items: int) -> None:
        self.items, self.settled = items, True

    def _grow(self, seconds: float) -> None:
        double = min(2 * self.items, self._most)
        if double == self.items or 2 * seconds > _SECONDS or not self._fits(double):
            self._settle(self.items)
            return
        self.items, self._calls, self._rate = double, 0, 0.0

    def _fits(self, double: int) -> bool:
        """Whether the peak, which grows in step with the items, should stay within the limit at the double size."""
        peak = self._peak()
        if peak is None:
            return True
        # From half this size to this one it grew by half of what one batch takes, from the start by all of it (or more:
        # what the first call sets up for good counts as if it would double, which errs to the safe side).
        grown = peak - self._before if self._before is not None else peak
        more = max(grown, 3 * self._item_bytes * (double - self.items))
        return peak + more <= _SHARE * self._memory
