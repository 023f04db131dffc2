"""How numbers are written for people: those of one table with the same decimals."""

from __future__ import annotations


def number(value: float, *, sign: bool = False) -> str:
    """Four decimals below 10, four figures from there on and for what would come out as 0; `sign` writes a plus too."""
    form = ".4f" if value == 0 or 5e-5 <= abs(value) < 10 else ".4g"
    return format(value, f"+{form}" if sign else form)
