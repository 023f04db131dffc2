"""Texts that come as data, in the language of the page: those of the catalogue of metrics, and of stored results."""

from __future__ import annotations

from django.utils.translation import gettext


def named(text: str) -> str:
    """A title or a sentence of the catalogue; a title may have a group in brackets behind it.

    What the catalogue does not hold (an extension's text) stays as it is.
    """
    if not text:
        return ""
    found = gettext(text)
    if found != text or not text.endswith(")"):
        return found
    title, bracket, group = text.rpartition(" (")
    return f"{gettext(title)}{bracket}{group}" if title else text
