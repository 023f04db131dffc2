"""Numbers, ranges and intervals as people write them."""

from __future__ import annotations

_DIRECTIONS = {
    "maximise": "larger is better", "minimise": "smaller is better", "zero": "best at 0", "one": "best at 1",
    "none": "neither end is better",
}  # fmt: skip


def number(value: float) -> str:
    """Three decimals below ten (two digits where that is little), else three digits or all before the point."""
    size = abs(value)
    if size != 0 and size < 0.01:
        text = f"{value:.2g}"
    elif size < 10:
        text = f"{value:.3f}"
    elif size < 1000:
        text = f"{value:.3g}"
    else:
        text = f"{value:,.0f}"
    return text.replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """` (0.669 to 0.710)`, or nothing where an end is missing."""
    return "" if low is None or high is None else f" ({number(low)} to {number(high)})"


def spaced(value: str, low: float | None, high: float | None) -> str:
    """A value and its interval in a line of a picture."""
    return f"{value}{interval(low, high)}"


def direction(word: str) -> str:
    """`maximise` as a reader says it."""
    return _DIRECTIONS[word]


def range_text(bounds: tuple[float | None, float | None]) -> str:
    """`0 to 1`, `0 and up`, `any number`."""
    low, high = bounds
    if low is None and high is None:
        return "any number"
    if high is None:
        return f"{low:g} and up".replace("-", "−")
    if low is None:
        return f"{high:g} and below".replace("-", "−")
    return f"{low:g} to {high:g}".replace("-", "−")


def joined(parts: list[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1] if parts else ""
