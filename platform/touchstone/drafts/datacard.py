"""The data card: seven sections after "Datasheets for datasets" (Gebru et al. 2021), kept apart, written as one.

A card is a mapping of text: `before` (what stands ahead of the first section) and the seven keys of `CARD`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Key → heading, in order.
CARD: dict[str, str] = {
    "motivation": "Motivation",
    "composition": "Composition",
    "collection": "Collection",
    "preprocessing": "Preprocessing",
    "uses": "Uses",
    "distribution": "Distribution",
    "maintenance": "Maintenance",
}
KEYS = ("before", *CARD)

#: Fewer words than these answer nothing.
_ENOUGH_WORDS = 12
_HEADING = re.compile(r"^##[ \t]+(?:\d+[.)]?[ \t]+)?(.+?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
#: First words of a heading, lower-case, that name a section.
_NAMES = {
    "motivation": "motivation", "composition": "composition", "collection": "collection",
    "preprocessing": "preprocessing", "pre-processing": "preprocessing", "cleaning": "preprocessing", "uses": "uses",
    "use": "uses",
    "distribution": "distribution", "maintenance": "maintenance",
}  # fmt: skip


def card_markdown(card: Mapping[str, object]) -> str:
    """The card as Markdown; sections without text are left out. Empty where nothing is written at all."""
    parts = [_text(card, "before")]
    for number, (key, title) in enumerate(CARD.items(), 1):
        text = _text(card, key)
        if text:
            parts.append(f"## {number}. {title}\n\n{text}")
    whole = "\n\n".join(part for part in parts if part)
    return f"{whole}\n" if whole else ""


def card_parse(markdown: str) -> dict[str, str]:
    """Take a card apart. Text below a heading that is none of the seven stays in the section where it stood."""
    lines: dict[str, list[str]] = {key: [] for key in KEYS}
    here, fence = "before", ""
    for line in markdown.replace("\r\n", "\n").split("\n"):
        mark = _FENCE.match(line)
        if mark:  # a heading inside a block of code is none
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        heading = _HEADING.match(line) if not fence else None
        key = _section_of(heading[1]) if heading else ""
        if key and not lines[key]:
            here = key
        elif key:
            here = key
            lines[key] += ["", line]
        else:
            lines[here].append(line)
    return {key: "\n".join(found).strip("\n").rstrip() for key, found in lines.items()}


def card_filled(card: Mapping[str, object]) -> list[str]:
    """Keys of the sections that say something: more than a few words."""
    return [key for key in CARD if len(_text(card, key).split()) >= _ENOUGH_WORDS]


def _section_of(heading: str) -> str:
    """`Data collection process` and `Cleaning and labelling` are sections; `Known limits` is none."""
    words = [word for word in re.split(r"[^a-z-]+", heading.lower()) if word]
    if len(words) > 4:
        return ""
    return next((_NAMES[word] for word in words[:2] if word in _NAMES), "")


def _text(card: Mapping[str, object], key: str) -> str:
    value = card.get(key, "")
    return value.replace("\r\n", "\n").strip("\n").rstrip() if isinstance(value, str) else ""
