"""The verdict of an attack's checks, taken from the details of a result."""

from __future__ import annotations

import pytest

from touchstone.evaluations.validity import blunted, name_of, validity_of

REPORT = {
    "verdict": "broken",
    "text": "Broken: …",
    "checks": [
        {"check": "randomised", "outcome": "passed", "text": "the same answer."},
        {"check": "few_classes", "outcome": "note", "text": "2 classes."},
        {"check": "black_box_control", "outcome": "broken", "text": "Square fools 6 of 50 items more: 12 %."},
        {"check": "zero_gradients", "outcome": "suspect", "text": ""},
    ],
}


def test_a_report_becomes_a_verdict_and_the_failed_checks_in_words() -> None:
    found = validity_of({"validity": REPORT})
    assert found.verdict == "broken"
    assert found.doubts == ("black box control: Square fools 6 of 50 items more: 12 %.", "zero gradients")
    assert [name_of(doubt) for doubt in found.doubts] == ["black box control", "zero gradients"]


def test_checks_that_were_switched_off_are_said_to_be() -> None:
    assert validity_of({"validity": {"verdict": None, "text": "off", "checks": []}}).verdict == "unchecked"


@pytest.mark.parametrize(
    "details",
    [{}, {"validity": None}, {"validity": "sound"}, {"validity": {}}, {"validity": {"verdict": "splendid"}},
     {"validity": {"verdict": ["sound"]}}],
)  # fmt: skip
def test_what_is_no_report_has_no_verdict(details) -> None:
    assert validity_of(details).verdict == ""
    assert blunted(details) == {}


@pytest.mark.parametrize("checks", [None, "many", [1, None], {"a": 1}])
def test_checks_of_a_strange_shape_are_left_out(checks) -> None:
    found = validity_of({"validity": {"verdict": "suspect", "checks": checks}})
    assert (found.verdict, found.doubts) == ("suspect", ())


def test_rounded_details_keep_the_verdict_and_no_figure() -> None:
    told = blunted({"validity": REPORT, "curve": [0.123]})
    assert validity_of(told).verdict == "broken"
    assert validity_of(told).doubts == ("black box control", "zero gradients")
    assert not any(character.isdigit() for character in repr(told))
    off = {"validity": {"verdict": None, "checks": []}}
    assert validity_of(blunted(off)).verdict == "unchecked"
