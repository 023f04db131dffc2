"""The list of one's submissions: what is filtered and sorted by, all of it in the address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from runners.spec.models import LeaderboardSpec
from touchstone.competitions.models import Phase
from touchstone.core.names import named
from touchstone.evaluations.models import Result
from touchstone.evaluations.visibility import results_blunted, results_hidden
from touchstone.leaderboards.models import Leaderboard
from touchstone.submissions.models import Submission
from touchstone.web import present
from touchstone.web.forms import KINDS

SORTS: dict[str, tuple[str | Promise, tuple[str, ...]]] = {
    "": (gettext_lazy("Newest first"), ("-created_at", "-pk")),
    "oldest": (gettext_lazy("Oldest first"), ("created_at", "pk")),
    "name": (gettext_lazy("Name"), ("name", "-created_at")),
}
STATES: dict[str, tuple[str | Promise, tuple[str, ...]]] = {
    "open": (gettext_lazy("In progress"), ("received", "checking", "queued", "running")),
    "scored": (gettext_lazy("Scored"), ("scored",)),
    "refused": (gettext_lazy("Rejected or failed"), ("rejected", "failed")),
    "cancelled": (gettext_lazy("Cancelled"), ("cancelled",)),
}


@dataclass(frozen=True)
class Choice:
    """A select of the filters: its name, label and (value, text, chosen)."""

    name: str
    label: str
    options: list[tuple[str, str, bool]]


@dataclass(frozen=True)
class ListFilter:
    """What was asked; values that are none of ours count as not asked."""

    q: str
    state: str
    phase: str
    kind: str
    sort: str

    @property
    def is_set(self) -> bool:
        return any((self.q, self.state, self.phase, self.kind))

    @property
    def query(self) -> str:
        """For links that keep what was asked."""
        pairs = [(name, value) for name, value in vars(self).items() if value]
        return f"{urlencode(pairs)}&" if pairs else ""

    def apply(self, found: QuerySet[Submission]) -> QuerySet[Submission]:
        if self.q:
            found = found.filter(Q(name__icontains=self.q) | Q(message__icontains=self.q))
        if self.state:
            found = found.filter(run__status__in=STATES[self.state][1])
        if self.phase:
            found = found.filter(phase__slug=self.phase)
        if self.kind:
            found = found.filter(kind=self.kind)
        return found.order_by(*SORTS[self.sort][1])


def filter_read(given: Mapping[str, str], *, phases: Iterable[Phase]) -> ListFilter:
    def one_of(name: str, known: Iterable[str]) -> str:
        value = given.get(name, "")
        return value if value in set(known) else ""

    return ListFilter(
        q=given.get("q", "").replace("\x00", "").strip()[:100], state=one_of("state", STATES),
        phase=one_of("phase", [phase.slug for phase in phases]), kind=one_of("kind", KINDS), sort=one_of("sort", SORTS),
    )  # fmt: skip


def choices_of(asked: ListFilter, *, phases: Iterable[Phase], kinds: Iterable[str]) -> list[Choice]:
    """The selects; one with nothing to choose from is left out."""
    every = [("", _("All"))]
    rows = [
        ("state", _("State"), [*every, *((key, str(text)) for key, (text, _states) in STATES.items())], asked.state),
        ("phase", _("Phase"), [*every, *((phase.slug, phase.title) for phase in phases)], asked.phase),
        ("kind", _("Kind"), [*every, *((kind, str(KINDS[kind].title)) for kind in kinds)], asked.kind),
        ("sort", _("Order"), [(key, str(text)) for key, (text, _fields) in SORTS.items()], asked.sort),
    ]
    return [
        Choice(name, label, [(value, text, value == chosen) for value, text in options])
        for name, label, options, chosen in rows
        if len(options) > 2
    ]


@dataclass(frozen=True)
class Score:
    """The number that ranks a submission, as its participant may see it."""

    title: str
    value: str
    interval: str


def scores_of(submissions: Iterable[Submission], *, organiser: bool) -> dict[object, Score]:
    """By submission: the value that the first board of its phase ranks by, where that is one metric's. Two queries."""
    scored = [each for each in submissions if each.run is not None and each.run.status == "scored"]
    keys: dict[int, str] = {}
    for board in Leaderboard.objects.filter(phase__in={each.phase_id for each in scored}).order_by("-pk"):
        keys[board.phase_id] = LeaderboardSpec.model_validate(board.spec).rank_by
    rows = Result.objects.filter(run__in=[each.run for each in scored], key__in=set(keys.values())) if keys else []
    held = {(row.run_id, row.key): row for row in rows}
    found: dict[object, Score] = {}
    for each in scored:
        row = held.get((each.run.pk, keys.get(each.phase_id, "")))
        if row is None or (not organiser and results_hidden(run=each.run, phase=each.phase)):
            continue
        if not organiser:
            (row,) = results_blunted(results=[row], phase=each.phase)
        found[each.pk] = Score(
            named(row.title) or row.metric, present.number(row.value), present.interval_text(row.low, row.high)
        )
    return found
