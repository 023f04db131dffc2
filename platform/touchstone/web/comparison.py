"""Two to four submissions side by side: values, intervals, and how far each is from the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from runners.spec import catalogue
from touchstone.core.names import named
from touchstone.evaluations.models import Result
from touchstone.leaderboards.differences import Difference, difference, keys_in_order
from touchstone.submissions.models import Submission
from touchstone.web import charts, present
from touchstone.web.forms import KINDS
from touchstone.web.scores import scale_for


@dataclass(frozen=True)
class Cell:
    """One value. `change` is its difference from the first, `tone` better, worse or even, `word` says it."""

    value: str
    interval: str
    mark: charts.Interval | None
    reason: str
    change: str = ""
    tone: str = ""
    word: str = ""
    icon: str = ""


@dataclass(frozen=True)
class CompareRow:
    key: str
    title: str
    unit: str
    direction: present.Direction
    pillar: str
    cells: list[Cell]


@dataclass(frozen=True)
class Fact:
    """Something about the submissions themselves, and whether it differs."""

    name: str
    values: list[str]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def facts_of(submissions: Sequence[Submission]) -> list[Fact]:
    """What was sent, when and how."""
    first = [each.files[0] if each.files else {} for each in submissions]
    return [
        Fact(_("Note"), [each.message or "–" for each in submissions]),
        Fact(_("Submitted"), [present.absolute(each.created_at) for each in submissions]),
        Fact(_("Phase"), [each.phase.title for each in submissions]),
        Fact(_("Kind"), [str(KINDS[each.kind].title) for each in submissions]),
        Fact(_("Size"), [present.size(file.get("size")) for file in first]),
        Fact(
            _("SHA-256"),
            [str(file.get("sha256", each.image))[:12] or "–" for file, each in zip(first, submissions, strict=True)],
        ),
        Fact(
            _("Time"), [present.duration(sum(each.run.stages.values()) if each.run else None) for each in submissions]
        ),
    ]


def compare_rows(results: Sequence[Mapping[str, Result]]) -> list[CompareRow]:
    """A row for each metric that any of them has, in the order of the first that has it."""
    metrics = catalogue()["metrics"]
    rows = []
    for key, example in keys_in_order(results).items():
        found = [each.get(key) for each in results]
        base = next((result for result in found[:1] if result is not None and result.value is not None), None)
        cells = [_cell(result, base if place else None, metrics) for place, result in enumerate(found)]
        rows.append(
            CompareRow(
                key, named(example.title) or example.metric, example.unit, present.direction(example.direction),
                example.pillar, cells,
            )
        )  # fmt: skip
    return rows


def _cell(result: Result | None, base: Result | None, metrics: dict[str, object]) -> Cell:
    if result is None or result.value is None:
        return Cell("–", "", None, result.reason if result is not None else _("not measured for this one"))
    mark = charts.interval(scale_for(result, metrics), result.value, result.low, result.high)
    shown = Cell(present.number(result.value), present.interval_text(result.low, result.high), mark, "")
    against = difference(result, base)
    return shown if against is None else _against(shown, against)


def _against(shown: Cell, found: Difference) -> Cell:
    sign = "+" if found.difference > 0 else ""
    change = f"{sign}{present.number(found.difference)}"
    if found.gain is None:  # the metric has no better and worse: only the number is told
        return replace(shown, change=change, tone="even")
    if found.gain == 0:
        return replace(shown, change=change, tone="even", word=_("the same"), icon="minus")
    tone = "better" if found.gain > 0 else "worse"
    word = _("better") if found.gain > 0 else _("worse")
    if found.overlap:
        word = _("better, within the intervals") if found.gain > 0 else _("worse, within the intervals")
        tone = "even"
    icon = "arrow-up" if found.gain > 0 else "arrow-down"
    return replace(shown, change=change, tone=tone, word=word, icon=icon)
