"""Shadow models: what models that were, and were not, trained on an item say of it (Carlini et al. 2022, LiRA)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runners.context import FloatArray, IntArray
from runners.metrics.privacy.groups import Bools
from runners.metrics.privacy.network import log_odds, train


@dataclass(frozen=True)
class Said:
    """Log odds of the true class of each item by each shadow, (shadows, n), and whether it was trained on the item."""

    odds: FloatArray
    inside: Bools

    def compared(self, own: FloatArray) -> FloatArray:
        """The log likelihood ratio of member against non-member, (n,), of a submission's log odds on the same scale.

        Each item has two normal distributions; with few shadows their variances are those of all items together.
        """
        within, without = self._means(self.inside), self._means(~self.inside)
        wide, other = self._variance(self.inside, within), self._variance(~self.inside, without)
        return np.asarray(
            (own - without) ** 2 / (2 * other) - (own - within) ** 2 / (2 * wide) + 0.5 * np.log(other / wide)
        )

    def surprising(self, own: FloatArray) -> FloatArray:
        """Offline: standard deviations from what models without the item say of it, (n,)."""
        without = self._means(~self.inside)
        return np.asarray((own - without) / np.sqrt(self._variance(~self.inside, without)))

    def mixture(self, share: float) -> tuple[float, float]:
        """Mean and standard deviation of the log odds where this share of the items is among the trained."""
        parts = [(share, self.odds[self.inside]), (1 - share, self.odds[~self.inside])]
        known = [(weight, odds) for weight, odds in parts if weight > 0]
        mean = sum(weight * float(odds.mean()) for weight, odds in known)
        return mean, float(np.sqrt(sum(weight * float(((odds - mean) ** 2).mean()) for weight, odds in known)))

    def confident(self, *, inside: bool) -> float:
        """How often the true class is more likely than all others together, among items inside or outside."""
        return float((self.odds[self.inside == inside] > 0).mean())

    def _means(self, chosen: Bools) -> FloatArray:
        return np.asarray((self.odds * chosen).sum(axis=0) / chosen.sum(axis=0))

    def _variance(self, chosen: Bools, means: FloatArray) -> float:
        """Pooled over items; each has lost one degree of freedom to its mean."""
        free = int(chosen.sum() - np.count_nonzero(chosen.any(axis=0)))
        return max(float((((self.odds - means) ** 2) * chosen).sum()) / free, 1e-12)


def halves_of(n: int, shadows: int, codes: IntArray | None, rng: np.random.Generator) -> Bools:
    """What each shadow is trained on, (shadows, n): random halves and, in turn, what the half before left out.

    So every item is in half of an even number of shadows. Items that share a cluster stay together.
    """
    units = np.arange(n) if codes is None else codes
    count = int(units.max()) + 1
    out = np.empty((shadows, n), dtype=bool)
    for number in range(0, shadows, 2):
        first = (rng.permutation(count) < count // 2)[units]
        out[number], out[number + 1] = first, ~first
    return out


def ask_shadows(
    pool: tuple[FloatArray, IntArray],
    trained: Bools,
    asked: tuple[FloatArray, IntArray],
    classes: int,
    rng: np.random.Generator,
    progress: Callable[[float], None],
) -> FloatArray:
    """Log odds (shadows, m) that shadows trained on rows `trained` (shadows, n) of the pool give what is asked.

    `pool` and `asked`: columns and labels.
    """
    x, labels = pool
    out = np.empty((trained.shape[0], asked[1].size))
    for number, rows in enumerate(trained):
        shadow = train(x[rows], labels[rows], classes, rng)
        out[number] = log_odds(shadow.logits(asked[0]), asked[1])
        progress((number + 1) / trained.shape[0])
    return out


def on_the_scale(own: FloatArray, of: FloatArray, like: tuple[float, float]) -> FloatArray:
    """A submission's log odds moved and stretched so that those in `of` have this mean and deviation.

    It is another model than the shadows, sure to another degree; who is a member is not looked at.
    """
    spread = float(of.std())
    return np.asarray((own - of.mean()) * (like[1] / spread if spread > 0 else 0.0) + like[0])
