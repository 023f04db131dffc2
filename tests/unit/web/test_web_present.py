"""Numbers, times and geometry as pages show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from touchstone.web import board_query, boards, charts, present


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.8731, "0.873"), (-0.12, "−0.120"), (0.0, "0.000"), (-0.0, "0.000"), (None, "–"), (float("nan"), "–"),
        (123.456, "123.5"), (12480.4, "12\u202f480"), (3.1e-7, "3.1×10⁻⁷"), (2.5e9, "2.5×10⁹"), (-3e-5, "−3.0×10⁻⁵"),
    ],
)  # fmt: skip
def test_number(value: float | None, text: str) -> None:
    assert present.number(value) == text


def test_an_interval_needs_both_ends() -> None:
    assert present.interval_text(-0.1, 0.1) == "[−0.100, 0.100]"
    assert present.interval_text(None, 0.1) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.421, "0.42 s"),
        (38.2, "38 s"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
        (None, "–"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert present.duration(seconds) == text


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (2**31, "2 GiB"), (None, "–")],
)
def test_size(bytes_: int | None, text: str) -> None:
    assert present.size(bytes_) == text


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        (timedelta(seconds=-5), "just now"), (timedelta(minutes=-1), "1 minute ago"),
        (timedelta(hours=5), "in 5 hours"), (timedelta(days=-3), "3 days ago"),
        (timedelta(days=400), "in 13 months"), (timedelta(days=-1500), "4 years ago"),
    ],
)  # fmt: skip
def test_relative(delta: timedelta, text: str) -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    assert present.relative(at + delta, at=at) == text


def test_a_scale_holds_everything_and_clips_the_rest() -> None:
    scale = charts.scale_of([0.2, None, 0.6, float("nan")])
    assert scale is not None
    assert (scale.x(0.2), scale.x(0.4), scale.x(0.6)) == ("4.00%", "50.00%", "96.00%")
    assert scale.x(9.0) == "96.00%"
    assert charts.scale_of([None]) is None


def test_a_single_value_lies_in_the_middle() -> None:
    for value in (0.0, 0.5, -3.0):
        scale = charts.scale_of([value])
        assert scale is not None
        assert scale.x(value) == "50.00%"


def test_a_value_without_an_interval_has_a_dot_only() -> None:
    scale = charts.Scale(0, 1)
    mark = charts.interval(scale, 0.5, None, None)
    assert mark is not None
    assert not mark.has_bar
    assert charts.interval(scale, None, 0.1, 0.2) is None


@pytest.mark.parametrize(("low", "high"), [(0.4, 0.9), (-0.3, 0.3), (0, 1e-6), (100, 52_000)])
def test_ticks_are_round_inside_and_few(low: float, high: float) -> None:
    ticks = charts.ticks(charts.Scale(low, high))
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in ticks)


def test_tick_text_has_the_decimals_of_its_step() -> None:
    assert charts.tick_text(0.30000000000000004, 0.1) == "0.3"
    assert charts.tick_text(-0.25, 0.05) == "−0.25"
    assert charts.tick_text(-1e-17, 0.1) == "0.0"
    assert charts.tick_text(2000.0, 500.0) == "2000"


@pytest.mark.parametrize(
    ("key", "title", "detail"),
    [
        ("fairness.x[race]", "X", "race"), ("fairness.x[race]", "X (race)", ""),
        ("fairness.x[race=Black]", "X", "race: Black"),
        ("hsj.robust_accuracy", "Robust accuracy", "hsj"), ("hsj.robust_accuracy", "Robust accuracy (hsj)", ""),
        ("performance.accuracy", "Accuracy", ""),
    ],
)  # fmt: skip
def test_columns_with_one_title_are_told_apart(key: str, title: str, detail: str) -> None:
    assert boards.detail_of(key, title) == detail


def test_the_query_is_the_state_of_the_view() -> None:
    query = board_query.Query(sort="-a.b", q="x y", cols="a.b,c[d]", after="zzz")
    assert query.url() == "?sort=-a.b&q=x+y&cols=a.b,c[d]"
    assert query.url(sort="") == "?q=x+y&cols=a.b,c[d]"
    assert board_query.Query().url() == "?"


def test_whole_numbers_have_no_decimals_however_large() -> None:
    assert [present.number(value, decimals=0) for value in (7, 106, 1234)] == ["7", "106", "1\u202f234"]
    assert present.number(106.25) == "106.2"
