"""The data card: apart and together again, and how much of it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from touchstone.drafts.datacard import CARD, card_filled, card_markdown, card_parse

_COMPETITIONS = Path(__file__).parents[3] / "competitions"


@pytest.mark.parametrize("name", ["recidivism", "garments"])
def test_cards_that_are_there_come_back_the_same(name: str) -> None:
    text = (_COMPETITIONS / name / "data_card.md").read_text(encoding="utf-8")
    card = card_parse(text)
    assert card_markdown(card) == text
    assert "## Known limits" in card["maintenance"]  # a heading that is none of the seven stays where it stood
    assert card["before"].startswith("# Data card")
    assert len(card_filled(card)) == len(CARD)


def test_other_headings_of_the_seven_are_known() -> None:
    card = card_parse(
        "## Data collection process\n\nBy hand.\n\n## 4) Cleaning and labelling\nTwice.\n## Used tools\nx"
    )
    assert card["collection"] == "By hand."
    assert card["preprocessing"] == "Twice.\n## Used tools\nx"


def test_a_heading_in_code_is_text_and_one_that_stands_twice_loses_nothing() -> None:
    text = "## 5. Uses\n\n~~~\n## Maintenance\n~~~\n\n## 1. Motivation\n\nWhy.\n\n## Uses\n\nMore."
    card = card_parse(text)
    assert card["uses"].startswith("~~~\n## Maintenance\n~~~")
    assert card["uses"].endswith("## Uses\n\nMore.")
    assert (card["motivation"], card["maintenance"]) == ("Why.", "")


def test_nothing_written_is_no_card() -> None:
    assert card_markdown({"motivation": " \n ", "strange": "x"}) == ""
    assert card_filled({"motivation": "Because."}) == []
    assert card_parse("") == dict.fromkeys(("before", *CARD), "")
