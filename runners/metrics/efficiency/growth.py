"""How time grows with size: t = a + b·n^c, and the class that describes it best."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Growth classes by name. Each is fitted as a + b·f(n) with a, b >= 0.
CLASSES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "1": lambda n: np.zeros_like(n),
    "log n": lambda n: np.log2(n),
    "n": lambda n: n,
    "n log n": lambda n: n * np.log2(np.maximum(n, 1.0)),
    "n^2": lambda n: n**2,
    "n^3": lambda n: n**3,
}
#: Exponents that the power law is tried with.
_EXPONENTS = np.round(np.arange(0.02, 4.0001, 0.005), 4)
#: Classes within this many units of AICc of the best one cannot be told from it.
_PLAUSIBLE = 4.0
#: No timer is better than this, relative: a perfect fit must not claim a perfect interval.
_NOISE_FLOOR = 0.002


@dataclass(frozen=True)
class PowerLaw:
    """a + b·n^c with a 95 % interval of c; `low` or `high` is None where the data set no bound."""

    a: float
    b: float
    c: float
    low: float | None
    high: float | None
    r2: float
    noise: float


@dataclass(frozen=True)
class ClassFit:
    """One candidate: `aicc` relative to the best, `plausible` where it cannot be told from the best."""

    name: str
    a: float
    b: float
    aicc: float
    plausible: bool


def _fit(f: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """a, b >= 0 with the least relative squared error, and that error: noise of a timing grows with the timing.

    Args:
        f: shapes of growth, (k, m), each between 0 and 1. t: seconds, (m,). Each of what is returned is (k,).
    """
    w = 1.0 / t
    fw = f * w
    ones, cross, squares = w @ w, fw @ w, (fw * fw).sum(axis=1)
    first, second = w.sum(), fw.sum(axis=1)
    none = np.zeros(len(f))
    with np.errstate(divide="ignore", invalid="ignore"):  # no growth at all divides by zero, and is no option then
        spread = ones * squares - cross**2
        options = [
            (none + first / ones, none), (none, second / squares),
            ((first * squares - second * cross) / spread, (ones * second - cross * first) / spread),
        ]  # fmt: skip
    a, b = (np.stack(column) for column in zip(*options, strict=True))
    usable = np.isfinite(a) & np.isfinite(b) & (a >= 0) & (b >= 0)
    a, b = np.where(usable, a, 0.0), np.where(usable, b, 0.0)
    errors = (((a[..., None] + b[..., None] * f) * w - 1) ** 2).sum(axis=2)
    best, rows = np.where(usable, errors, np.inf).argmin(axis=0), np.arange(len(f))
    return a[best, rows], b[best, rows], errors[best, rows]


def power_law(n: FloatArray, t: FloatArray) -> PowerLaw:
    """Fit a + b·n^c; the interval of c is the profile of the fit (F test at 95 %).

    Args:
        n: sizes, (m,), m >= 5. t: seconds, (m,), all above 0.
    """
    from scipy.stats import f as f_distribution

    scale = n / n.max()
    constants, factors, errors = _fit(scale ** _EXPONENTS[:, None], t)
    best = int(errors.argmin())
    freedom = max(1, n.size - 3)
    variance = max(float(errors[best]) / freedom, _NOISE_FLOOR**2)
    inside = np.flatnonzero(errors <= errors[best] + variance * float(f_distribution.ppf(0.95, 1, freedom)))
    a, b = float(constants[best]), float(factors[best])
    c = float(_EXPONENTS[best])
    fitted = a + b * scale**c
    total = float(((np.log(t) - np.log(t).mean()) ** 2).sum())
    r2 = 1 - float(((np.log(t) - np.log(fitted)) ** 2).sum()) / total if total > 0 else 0.0
    return PowerLaw(
        a=a, b=b / float(n.max()) ** c, c=c,
        low=float(_EXPONENTS[inside[0]]) if inside[0] > 0 else None,
        high=float(_EXPONENTS[inside[-1]]) if inside[-1] < _EXPONENTS.size - 1 else None,
        r2=r2, noise=math.sqrt(variance),
    )  # fmt: skip


def classes(n: FloatArray, t: FloatArray) -> list[ClassFit]:
    """Every candidate class, best first, by AICc (Hurvich and Tsai 1989)."""
    m = n.size
    raw: list[tuple[float, str, float, float]] = []
    for name, shape in CLASSES.items():
        f = shape(n)
        (a,), (b,), (error,) = (found.tolist() for found in _fit(f[None] / max(float(f.max()), 1.0), t))
        parameters = 2 if name == "1" else 3
        spread = max(error / m, _NOISE_FLOOR**2)
        correction = 2 * parameters * (parameters + 1) / max(m - parameters - 1, 1)
        raw.append((m * math.log(spread) + 2 * parameters + correction, name, a, b / max(float(f.max()), 1.0)))
    best = min(raw)[0]
    return [ClassFit(name, a, b, score - best, score - best <= _PLAUSIBLE) for score, name, a, b in sorted(raw)]


def told(candidates: list[ClassFit]) -> str | None:
    """The class that can be told, or None. A logarithm's factor is smaller than what caches do to times: the two are
    told together, as "n..n log n", whatever fits better.
    """
    plausible = {c.name for c in candidates if c.plausible}
    if plausible <= {"n", "n log n"}:
        return "n..n log n"
    return plausible.pop() if len(plausible) == 1 else None
