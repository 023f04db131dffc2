"""What (epsilon, delta) a training by the Poisson-subsampled Gaussian mechanism has (DP-SGD), computed in two ways.

Data sets are neighbours where one has an item more. Each of `steps` releases a sum of vectors of norm 1 at most, over
a random share `rate` of the items, with normal noise of deviation `noise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import gammaln, gammasgn, log_ndtr, logsumexp, ndtr

FloatArray = npt.NDArray[np.float64]

#: Orders of Rényi divergence that are tried.
ORDERS = (*(1 + k / 10 for k in range(1, 100)), *range(11, 65), 80, 96, 128, 192, 256, 384, 512, 1024)
#: Terms of the series of a fractional order; they fall at least with the square of their number, and alternate.
_TERMS = 4_000
#: Most points of the grid on which losses are added up, and the largest loss on it.
_POINTS, _EDGE = 2**21, 500.0
#: Points of an integral over the noise, and how many deviations it goes out.
_NODES, _REACH = 20_001, 40.0
#: Beyond these, or nearer than that to a rate of 1, rounding decides what comes out.
_LEAST_NOISE, _LEAST_RATE, _LEAST_REST, _LEAST_DELTA = 1e-3, 1e-12, 1e-9, 1e-100


@dataclass(frozen=True)
class Mechanism:
    """`noise` > 0, relative to the clipping norm; `rate` in (0, 1], expected batch over items; `steps` >= 1."""

    noise: float
    rate: float
    steps: int

    def computable(self, delta: float) -> bool:
        """Whether it is one that double precision can be trusted with: others have no known epsilon, never a small one.

        Squares of a smaller noise vanish, and 1 - rate and what is spared of delta are lost in rounding.
        """
        rate = _LEAST_RATE <= self.rate <= 1 - _LEAST_REST or self.rate == 1
        return _LEAST_NOISE <= self.noise < math.inf and rate and self.steps >= 1 and _LEAST_DELTA <= delta < 1


@dataclass(frozen=True)
class Epsilon:
    """The epsilon of a mechanism at some delta: it lies between `low` and `high`, and near `value`."""

    value: float
    low: float
    high: float


@lru_cache(maxsize=4096)
def log_moment(noise: float, rate: float, order: float) -> float:
    """ln E[(Q/P)^order] of a step under P, where P is the noise alone and Q the mixture with the item (order > 1).

    A sum for whole orders, two series for others: Mironov, Talwar and Zhang 2019, sections 3.2 and 3.3.
    """
    q, s2 = rate, noise**2
    if q == 1:
        return float(order * (order - 1) / (2 * s2))
    k = np.arange(int(order) + 1 if float(order).is_integer() else _TERMS, dtype=np.float64)
    rest = order - k
    binomial = gammaln(order + 1) - gammaln(k + 1) - gammaln(rest + 1)
    below = binomial + rest * math.log1p(-q) + k * math.log(q) + (k * k - k) / (2 * s2)
    if float(order).is_integer():
        return float(logsumexp(below))
    edge = 0.5 + s2 * math.log(1 / q - 1)  # where both parts of the mixture weigh the same
    above = binomial + k * math.log1p(-q) + rest * math.log(q) + (rest * rest - rest) / (2 * s2)
    below += log_ndtr((edge - k) / noise)
    above += log_ndtr((rest - edge) / noise)
    # Beside a whole order rounding meets a pole of gamma: such a term is zero.
    sign = np.where(np.isfinite(binomial), gammasgn(rest + 1), 0.0)
    return float(logsumexp(np.concatenate([below, above]), b=np.concatenate([sign, sign])))


def renyi_epsilon(mechanism: Mechanism, delta: float) -> float:
    """An upper bound of epsilon by Rényi differential privacy: the smallest over `ORDERS`.

    From (order, rho) to (epsilon, delta) by Canonne, Kamath and Steinke 2020, proposition 12. Infinite where the
    mechanism is none that can be computed with.
    """
    if not mechanism.computable(delta):
        return math.inf
    found: list[float] = []
    for order in ORDERS:
        rho = mechanism.steps * log_moment(mechanism.noise, mechanism.rate, order) / (order - 1)
        found.append(rho + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1))
    return max(0.0, float(min(found)))


def numeric_epsilon(mechanism: Mechanism, delta: float, *, error: float = 0.01) -> Epsilon | None:
    """Epsilon by adding up the privacy loss itself on a grid; None where that takes more than 2 million points, or
    the mechanism is none that can be computed with.

    The value is within `error` of the truth, and `low` and `high` hold it, up to rounding: Gopi, Lee and Wutschitz
    2021, theorem 5.1. The larger of the two neighbours' epsilons, with an item more and with one less.
    """
    if not mechanism.computable(delta):
        return None
    slack = delta / 1000
    step = error / math.sqrt(mechanism.steps / 2 * math.log(12 / slack))
    once = Mechanism(mechanism.noise, mechanism.rate, 1)
    # Beyond an epsilon less 2 a loss is as unlikely as 4/3 of its delta: the theorem's room for the tails.
    edge = 2 + error + max(renyi_epsilon(mechanism, slack / 4), renyi_epsilon(once, slack / (8 * mechanism.steps)))
    half = math.ceil(edge / step)
    if 2 * half + 1 > _POINTS or edge > _EDGE:
        return None
    found = [_composed(mechanism, below, mean, half, step, delta, slack) for below, mean in _losses(mechanism)]
    value, low, high = (max(ends) for ends in zip(*found, strict=True))
    return Epsilon(value, max(0.0, low - error), high + error)


def _losses(mechanism: Mechanism) -> list[tuple[Callable[[FloatArray], FloatArray], float]]:
    """Distribution function and mean of the privacy loss of one step: of the mixture against the noise, and back."""
    q, s = mechanism.rate, mechanism.noise

    def place(loss: FloatArray) -> FloatArray:
        """The noise at which the mixture is e^loss times as likely; -inf where it never is so unlikely."""
        inside = (np.expm1(loss) + q) / q
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(inside > 0, s * s * np.log(np.maximum(inside, 0.0)) + 0.5, -np.inf))

    def forth(loss: FloatArray) -> FloatArray:
        z = place(loss)
        return np.asarray((1 - q) * ndtr(z / s) + q * ndtr((z - 1) / s))

    def back(loss: FloatArray) -> FloatArray:
        return np.asarray(ndtr(-place(-loss) / s))

    z = np.linspace(-_REACH * s, 1 + _REACH * s, _NODES)
    noise, moved = (np.exp(-(((z - at) / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi)) for at in (0.0, 1.0))
    loss = np.logaddexp(math.log1p(-q) if q < 1 else -math.inf, math.log(q) + (z - 0.5) / s**2)
    width = float(z[1] - z[0])
    mixture = (1 - q) * noise + q * moved
    return [(forth, float((mixture * loss).sum()) * width), (back, -float((noise * loss).sum()) * width)]


def _composed(
    mechanism: Mechanism, below: Callable[[FloatArray], FloatArray], mean: float, half: int, step: float,
    delta: float, slack: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Epsilon at delta, at a delta larger by the slack, and at one smaller by it."""
    places = np.arange(-half, half + 1)
    share = np.diff(below(((np.arange(-half, half + 2) - 0.5) * step).astype(np.float64)))
    share /= share.sum()
    shift = mean - float((share * places).sum()) * step  # the grid moves no mean
    # Losses lie on a circle with no loss at its first point, so that adding losses adds places.
    circle = np.zeros(next_fast_len(places.size, real=True))
    circle[places] = share
    total = irfft(rfft(circle) ** mechanism.steps, n=circle.size)
    losses = np.asarray(places * step + mechanism.steps * shift, dtype=np.float64)
    found = _Losses.of(losses, np.maximum(total[places], 0.0))
    return found.epsilon(delta), found.epsilon(delta + slack), found.epsilon(delta - slack)


@dataclass(frozen=True)
class _Losses:
    """Losses above 0, increasing; how likely each or a larger one is, and the same weighted by e^-loss."""

    losses: FloatArray
    above: FloatArray
    weighted: FloatArray

    @classmethod
    def of(cls, losses: FloatArray, shares: FloatArray) -> _Losses:
        over = losses > 0
        losses, shares = losses[over], shares[over]
        sums = [np.append(np.cumsum(part[::-1])[::-1], 0.0) for part in (shares, shares * np.exp(-losses))]
        return cls(losses, sums[0], sums[1])

    def epsilon(self, delta: float) -> float:
        """The smallest epsilon, at least 0, with E[max(0, 1 - e^(epsilon - loss))] <= delta."""
        low, high = 0.0, float(self.losses[-1]) if self.losses.size else 0.0
        if self._missed(low) <= delta:
            return 0.0
        while high - low > 1e-6:
            middle = (low + high) / 2
            low, high = (middle, high) if self._missed(middle) > delta else (low, middle)
        return high

    def _missed(self, eps: float) -> float:
        first = int(np.searchsorted(self.losses, eps, side="right"))
        return float(self.above[first] - math.exp(eps) * self.weighted[first])
