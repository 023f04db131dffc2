"""How numbers are written for people."""

from __future__ import annotations

import pytest

from touchstone_client.figures import number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.2500"), (-0.134, "-0.1340"), (1.0, "1.0000"), (0, "0.0000"), (0.0009423, "0.0009"), (12.3, "12.3"),
     (1164, "1164"), (3e-7, "3e-07")],
)  # fmt: skip
def test_a_table_has_the_same_decimals(value: float, text: str) -> None:
    assert number(value) == text


def test_a_difference_has_its_sign() -> None:
    assert (number(0.0512, sign=True), number(-12.5, sign=True)) == ("+0.0512", "-12.5")
