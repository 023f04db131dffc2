"""Gates: conditions a run must meet before it is ranked.

Grammar: `KEY OP NUMBER` or `abs(KEY) OP NUMBER` with OP one of <=, >=, <, >. KEY is a result key.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Operator = Literal["<=", ">=", "<", ">"]
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_GATE = re.compile(rf"\s*(?P<left>\S(?:.*\S)?)\s*(?<![<>=])(?P<op><=|>=|<|>)\s*(?P<bound>{_NUMBER})\s*")
_ABS = re.compile(r"abs\(\s*(?P<key>.*\S)\s*\)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """`holds` compares a result, or its absolute value, with the bound."""

    key: str
    absolute: bool
    op: Operator
    bound: float

    def holds(self, value: float | None) -> bool:
        """Whether the gate is met. A missing value or NaN never meets it."""
        if value is None or math.isnan(value):
            return False
        return _COMPARE[self.op](abs(value) if self.absolute else value, self.bound)

    def __str__(self) -> str:
        left = f"abs({self.key})" if self.absolute else self.key
        return f"{left} {self.op} {self.bound:g}"


def parse_gate(text: str) -> Gate:
    """Read a gate. Raises `ValueError` that shows the grammar."""
    match = _GATE.fullmatch(text)
    if match is None or match["op"] not in _COMPARE:
        raise ValueError(f"{text!r} is not a condition; write `KEY >= 0.5` or `abs(KEY) <= 0.1`")
    inner = _ABS.fullmatch(match["left"])
    key = inner["key"] if inner else match["left"]
    if not math.isfinite(float(match["bound"])):
        raise ValueError(f"{match['bound']} is too large a number")
    op: Operator = match["op"]  # type: ignore[assignment]
    return Gate(key, inner is not None, op, float(match["bound"]))
