"""The data card as a form: what each section asks, and how much of it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from touchstone.drafts.datacard import CARD, card_filled

Text = str | Promise

#: Key → title and what to answer, after Gebru et al. 2021.
QUESTIONS: dict[str, tuple[Text, Text]] = {
    "motivation": (
        _("Motivation"),
        _("Why were these data made, and for which question? Who made them, and who paid for it?"),
    ),
    "composition": (
        _("Composition"),
        _(
            "What is one item: a person, a picture, a frame of a video? Of whom or what are there many, of whom few or "
            "none? Is anything missing, wrong, confidential or hurtful? Can people be recognised? How are the splits "
            "made?"
        ),
    ),
    "collection": (
        _("Collection"),
        _(
            "How, when and by whom were the items collected? A sample of what? Did the people agree, were they told, "
            "were they paid? Was there an ethical review?"
        ),
    ),
    "preprocessing": (
        _("Preprocessing, cleaning and labelling"),
        _(
            "What was done to the raw data: scaled, cropped, filtered, balanced? Who gave the labels and by which "
            "rule, how often did they disagree? Are the raw data kept?"
        ),
    ),
    "uses": (
        _("Uses"),
        _(
            "What have the data been used for, what may they be used for here, and what should nobody use them for? "
            "Whom could a use harm?"
        ),
    ),
    "distribution": (
        _("Distribution"),
        _("Who gets which part, when, and under which licence? Do others hold rights in the data?"),
    ),
    "maintenance": (
        _("Maintenance"),
        _(
            "Who answers questions and takes corrections, how long? What happens when an error is found, or somebody "
            "asks to be taken out? What are the known limits?"
        ),
    ),
}


@dataclass(frozen=True)
class CardSection:
    key: str
    title: Text
    help: Text
    text: str
    filled: bool


@dataclass(frozen=True)
class CardMeter:
    """How many of the seven sections say something, and which do not."""

    filled: int
    total: int
    missing: list[Text]


def card_sections(card: Mapping[str, Any]) -> list[CardSection]:
    """The seven sections with their questions and what was written."""
    filled = set(card_filled(card))
    return [CardSection(key, *QUESTIONS[key], str(card.get(key) or ""), key in filled) for key in CARD]


def card_meter(card: Mapping[str, Any]) -> CardMeter:
    """The completeness of a card."""
    filled = card_filled(card)
    return CardMeter(len(filled), len(CARD), [QUESTIONS[key][0] for key in CARD if key not in filled])
