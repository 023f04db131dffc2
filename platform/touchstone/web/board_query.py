"""What the address of a leaderboard page says about the view."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy

from touchstone.leaderboards.filters import Filters

#: The choices of a filter, and how they read.
WHO_TEXTS = (
    ("", gettext_lazy("Everybody")),
    ("participants", gettext_lazy("Participants")),
    ("baselines", gettext_lazy("Baselines")),
    ("organisers", gettext_lazy("Organisers' entries")),
)
ONLY_TEXTS = (
    ("", gettext_lazy("All entries")),
    ("ranked", gettext_lazy("Ranked only")),
    ("sound", gettext_lazy("No validity check against them")),
)


@dataclass(frozen=True)
class Query:
    """What the address says about the view."""

    sort: str = ""
    q: str = ""
    cols: str = ""
    after: str = ""
    kind: str = ""
    who: str = ""
    only: str = ""

    @property
    def filters(self) -> Filters:
        return Filters(q=self.q, kind=self.kind, who=self.who, only=self.only)

    @property
    def changed(self) -> bool:
        """Whether this is not the board as it first shows."""
        return bool(self.sort or self.cols or self.filters.any)

    @property
    def values(self) -> dict[str, str]:
        """What is set, but for the place."""
        names = ("sort", "q", "kind", "who", "only", "cols")
        return {name: value for name in names if (value := getattr(self, name))}

    def others(self, *names: str) -> list[tuple[str, str]]:
        """What a form that sets `names` must carry along."""
        return [(name, value) for name, value in self.values.items() if name not in names]

    def url(self, **changes: str) -> str:
        """The query string of this view with changes, without `after`: a changed view begins at its start."""
        values = {**self.values, **changes}
        return "?" + urlencode({key: value for key, value in values.items() if value}, safe=",[]=")
