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


def _fit(f: FloatArray, t: FloatArray) -> tuple[float, float, float]:
    """a, b >= 0 with the least relative squared error, and that error: noise of a timing grows with the timing."""
    w = 1.0 / t
    design, target = np.column_stack([w, f * w]), np.ones_like(t)
    options: list[tuple[float, float]] = [(float((w @ target) / (w @ w)), 0.0)]
    if f.any():
        fw = f * w
        options.append((0.0, float((fw @ target) / (fw @ fw))))
        free, *_ = np.linalg.lstsq(design / _norms(design), target)
        a, b = free / _norms(design)
        options.append((float(a), float(b)))
    scored = [(float(((a + b * f - t) * w) @ ((a + b * f - t) * w)), a, b) for a, b in options if a >= 0 and b >= 0]
    error, a, b = min(scored)
    return a, b, error


def _norms(design: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt((design * design).sum(axis=0)), dtype=np.float64)


def power_law(n: FloatArray, t: FloatArray) -> PowerLaw:
    """Fit a + b·n^c; the interval of c is the profile of the fit (F test at 95 %).

    Args:
        n: sizes, (m,), m >= 5. t: seconds, (m,), all above 0.
    """
    from scipy.stats import f as f_distribution

    scale = n / n.max()
    fits = [_fit(scale**c, t) for c in _EXPONENTS]
    errors = np.array([fit[2] for fit in fits])
    best = int(errors.argmin())
    freedom = max(1, n.size - 3)
    variance = max(float(errors[best]) / freedom, _NOISE_FLOOR**2)
    inside = np.flatnonzero(errors <= errors[best] + variance * float(f_distribution.ppf(0.95, 1, freedom)))
    a, b, _ = fits[best]
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
        a, b, error = _fit(f / max(float(f.max()), 1.0), t)
        parameters = 2 if name == "1" else 3
        spread = max(error / m, _NOISE_FLOOR**2)
        correction = 2 * parameters * (parameters + 1) / max(m - parameters - 1, 1)
        raw.append((m * math.log(spread) + 2 * parameters + correction, name, a, b / max(float(f.max()), 1.0)))
    best = min(raw)[0]
    return [ClassFit(name, a, b, score - best, score - best <= _PLAUSIBLE) for score, name, a, b in sorted(raw)]
