from __future__ import annotations

import math

import pytest
import typer

from touchstone_client.cli.threshold import Threshold, missed, parse
from touchstone_client.types import MetricValue, Results


def _results(value: float | None, direction: str, state: str = "ok") -> Results:
    item = MetricValue("k", "K", "k", "performance", value, direction, state, reason="too few people")
    return Results("id", "scored", True, "full", (item,))


@pytest.mark.parametrize(
    ("direction", "value", "threshold", "passes"),
    [
        ("maximise", 0.8, 0.8, True),
        ("maximise", 0.79, 0.8, False),
        ("minimise", 0.2, 0.2, True),
        ("minimise", 0.21, 0.2, False),
        ("zero", -0.1, 0.1, True),
        ("zero", -0.11, 0.1, False),
        ("one", 0.85, 0.2, True),
        ("one", 1.25, 0.2, False),
        ("none", 3.0, 2.0, True),
        ("maximise", math.nan, 0.5, False),
        ("minimise", math.nan, 0.5, False),
    ],
)
def test_the_direction_of_the_metric_decides(direction: str, value: float, threshold: float, passes: bool) -> None:
    assert (missed([Threshold("k", threshold)], _results(value, direction)) == []) is passes


def test_what_is_missing_or_undefined_never_passes() -> None:
    assert missed([Threshold("k", 0.0)], _results(None, "maximise", "too_few")) == ["k: too_few (too few people)"]
    assert missed([Threshold("other", 0.0)], _results(1.0, "maximise")) == ["other: no such result; there are k"]


def test_keys_may_hold_an_equals_sign() -> None:
    assert parse(["f[race=Black]=0.5"], waiting=True) == [Threshold("f[race=Black]", 0.5)]


@pytest.mark.parametrize("text", ["k", "k=", "=1", "k=nan", "k=inf", "k=x"])
def test_other_forms_are_usage_errors(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse([text], waiting=True)


def test_without_waiting_there_is_nothing_to_compare() -> None:
    with pytest.raises(typer.BadParameter, match="--wait"):
        parse(["k=1"], waiting=False)
