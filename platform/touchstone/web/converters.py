"""Path converters."""

from __future__ import annotations

from django.urls import register_converter


class SlugConverter:
    """A slug of competition.yml: lower-case letters and digits, parts joined by single hyphens."""

    regex = r"[a-z0-9]+(?:-[a-z0-9]+)*"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(SlugConverter, "key")
