"""Operations that will go: what their answers say, long before they do (RFC 9745 and RFC 8594)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils.http import http_date


@dataclass(frozen=True)
class Deprecated:
    """`since` when it is, `sunset` when it stops answering, `link` to what to use instead."""

    since: datetime
    sunset: datetime
    link: str

    def headers(self) -> dict[str, str]:
        """What each answer carries."""
        return {
            "Deprecation": f"@{int(self.since.astimezone(UTC).timestamp())}",
            "Sunset": http_date(self.sunset.astimezone(UTC).timestamp()),
            "Link": f'<{self.link}>; rel="deprecation"',
        }
