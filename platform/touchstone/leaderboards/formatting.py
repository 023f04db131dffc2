"""Numbers as people read them. Done here and not in templates, which take five times as long."""

from __future__ import annotations

import math
from collections.abc import Iterable

MINUS = "\u2212"
NOTHING = "–"


def decimals_for(values: Iterable[float | None], *, span: tuple[float | None, float | None] = (None, None)) -> int:
    """How many decimals a column gets: three inside [-1, 1], else as many as four digits leave room for."""
    low, high = span
    if low is not None and high is not None and low >= -1 and high <= 1:
        return 3
    largest = max((abs(v) for v in values if v is not None and math.isfinite(v)), default=0.0)
    if largest < 1:
        return 4 if 0 < largest < 0.1 else 3
    return max(0, 3 - int(math.log10(largest)))


def number(value: float | None, decimals: int) -> str:
    """A number with a real minus sign; a dash for none. Minus zero is zero."""
    if value is None:
        return NOTHING
    text = f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = text[1:] if not any(c in "123456789" for c in text) else MINUS + text[1:]
    return text
