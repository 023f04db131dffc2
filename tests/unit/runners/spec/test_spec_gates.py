from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.spec import Gate, parse_gate


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("abs(a.b[c]) <= 0.1", Gate("a.b[c]", True, "<=", 0.1)),
        ("KEY>=0.5", Gate("KEY", False, ">=", 0.5)),
        ("  x[race=African-American] < -1e-3 ", Gate("x[race=African-American]", False, "<", -0.001)),
        ("x[age=Greater than 45] > .5", Gate("x[age=Greater than 45]", False, ">", 0.5)),
        ("x[age=<25] <= 0.5", Gate("x[age=<25]", False, "<=", 0.5)),
    ],
)
def test_gates_are_read(text: str, gate: Gate) -> None:
    assert parse_gate(text) == gate
    assert parse_gate(str(gate)) == gate


@pytest.mark.parametrize(
    "text", ["", "x", "x <=", "<= 1", "x == 1", "x = 1", "x <> 1", "x <= y", "x <= nan", "x <= 1e999", "x =< 1"]
)
def test_what_is_no_gate_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"write `KEY >= 0\.5`|too large"):
        parse_gate(text)


@pytest.mark.parametrize("op", ["<=", ">=", "<", ">"])
def test_a_missing_value_never_passes(op: str) -> None:
    gate = parse_gate(f"x {op} 0")
    assert not gate.holds(None)
    assert not gate.holds(math.nan)


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_gates_compare_as_numbers_do(value: float, bound: float) -> None:
    assert Gate("x", False, "<=", bound).holds(value) == (value <= bound)
    assert Gate("x", False, ">", bound).holds(value) == (value > bound)
    assert Gate("x", True, "<", bound).holds(value) == (-bound < value < bound)
