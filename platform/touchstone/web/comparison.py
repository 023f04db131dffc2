"""Two to four submissions side by side: values, intervals, and how far each is from the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from runners.spec import catalogue
from touchstone.evaluations.models import Result
from touchstone.submissions.models import Submission
from touchstone.web import charts, present
from touchstone.web.scores import scale_for

_IDEALS = {"zero": 0.0, "one": 1.0}


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
        Fact(_("Kind"), [each.get_kind_display() for each in submissions]),
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
    known: dict[str, Result] = {}
    for each in results:
        for key, result in each.items():
            known.setdefault(key, result)
    rows = []
    for key, example in known.items():
        found = [each.get(key) for each in results]
        base = next((result for result in found[:1] if result is not None and result.value is not None), None)
        cells = [_cell(result, base if place else None, metrics) for place, result in enumerate(found)]
        rows.append(
            CompareRow(
                key, example.title or example.metric, example.unit, present.direction(example.direction),
                example.pillar, cells,
            )
        )  # fmt: skip
    return rows


def _cell(result: Result | None, base: Result | None, metrics: dict[str, object]) -> Cell:
    if result is None or result.value is None:
        return Cell("–", "", None, result.reason if result is not None else _("not measured for this one"))
    mark = charts.interval(scale_for(result, metrics), result.value, result.low, result.high)
    shown = Cell(present.number(result.value), present.interval_text(result.low, result.high), mark, "")
    if base is None or base.value is None:
        return shown
    return _against(shown, result, base)


def _against(shown: Cell, result: Result, base: Result) -> Cell:
    gain = _quality(result) - _quality(base)
    difference = float(result.value or 0) - float(base.value or 0)
    sign = "+" if difference > 0 else ""
    change = f"{sign}{present.number(difference)}"
    if result.direction == "none" or gain == 0:
        return Cell(shown.value, shown.interval, shown.mark, "", change, "even", _("the same"), "minus")
    tone = "better" if gain > 0 else "worse"
    word = _("better") if gain > 0 else _("worse")
    if _overlap(result, base):
        word = _("better, within the intervals") if gain > 0 else _("worse, within the intervals")
        tone = "even"
    return Cell(
        shown.value, shown.interval, shown.mark, "", change, tone, word, "arrow-up" if gain > 0 else "arrow-down"
    )


def _quality(result: Result) -> float:
    """More is better."""
    value = float(result.value or 0)
    if result.direction in _IDEALS:
        return -abs(value - _IDEALS[result.direction])
    return -value if result.direction == "minimise" else value


def _overlap(one: Result, two: Result) -> bool:
    """Whether what chance does to each could explain the difference."""
    if None in (one.low, one.high, two.low, two.high):
        return False
    return bool(one.low <= two.high and two.low <= one.high)  # type: ignore[operator]
