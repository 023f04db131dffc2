"""Results of two submissions against each other: how far apart, which is better, and whether intervals overlap.

No test is made of it: overlapping intervals say that what chance does to each could be all there is.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import Viewer, competition_get
from touchstone.core.errors import NotFound, UserError
from touchstone.evaluations.models import Result
from touchstone.evaluations.selectors import run_results
from touchstone.leaderboards.comparing import LEAST, MOST
from touchstone.leaderboards.entries import entry_get
from touchstone.submissions.models import Submission
from touchstone.submissions.selectors import submission_get

_IDEALS = {"zero": 0.0, "one": 1.0}


@dataclass(frozen=True)
class Difference:
    """`gain` above 0: better, below: worse; None where the metric has no direction. `overlap`: None if not known."""

    difference: float
    gain: float | None
    overlap: bool | None

    @property
    def relation(self) -> str:
        """better, worse or same; none where the metric has no direction."""
        if self.gain is None:
            return "none"
        return "same" if self.gain == 0 else "better" if self.gain > 0 else "worse"


@dataclass(frozen=True)
class Beside:
    """Two to four submissions of a competition with their results by key. `own`: not only the public part is seen."""

    competition: Competition
    submissions: list[Submission]
    results: list[dict[str, Result]]
    own: list[bool]


def difference(result: Result | None, base: Result | None) -> Difference | None:
    """How far `result` is from `base`; None where one of them has no value."""
    if result is None or base is None or result.value is None or base.value is None:
        return None
    directed = result.direction != "none"
    return Difference(
        result.value - base.value, _quality(result) - _quality(base) if directed else None, _overlap(result, base)
    )


def _quality(result: Result) -> float:
    """More is better."""
    value = float(result.value or 0)
    if result.direction in _IDEALS:
        return -abs(value - _IDEALS[result.direction])
    return -value if result.direction == "minimise" else value


def _overlap(one: Result, two: Result) -> bool | None:
    """Whether what chance does to each could explain the difference."""
    if one.low is None or one.high is None or two.low is None or two.high is None:
        return None
    return bool(one.low <= two.high and two.low <= one.high)


def beside_get(*, user: Viewer, ids: Sequence[uuid.UUID]) -> Beside:
    """Submissions that `user` may see, or the public part of entries, in the order asked for.

    Raises `UserError` for too few, too many, or several competitions; `NotFound`, foreign or missing alike.
    """
    asked = list(dict.fromkeys(ids))
    if not LEAST <= len(asked) <= MOST:
        raise UserError(
            _("%(n)s submissions are named; %(least)s to %(most)s can be compared.")
            % {"n": len(asked), "least": LEAST, "most": MOST},
            _("Name each once, by its id."),
            "picks",
        )
    found = [_one(user, pick) for pick in asked]
    if len({submission.phase.competition_id for submission, _results, _own in found}) > 1:
        raise UserError(
            _("They are of several competitions."), _("Results of one competition can be compared."), "competitions"
        )
    submissions = [submission for submission, _results, _own in found]
    return Beside(
        submissions[0].phase.competition, submissions,
        [{result.key: result for result in results} for _submission, results, _own in found],
        [own for _submission, _results, own in found],
    )  # fmt: skip


def _one(user: Viewer, pick: uuid.UUID) -> tuple[Submission, list[Result], bool]:
    try:
        submission = submission_get(user=user, id=pick)
    except NotFound as missing:
        slug = Submission.objects.filter(pk=pick).values_list("phase__competition__slug", flat=True).first()
        try:
            view = entry_get(competition=competition_get(user=user, slug=slug or ""), user=user, id=pick)
        except NotFound:
            raise missing from None
        return view.submission, view.results, False
    scored = submission.run is not None and submission.run.status == "scored"
    return submission, list(run_results(run=submission.run, user=user)) if scored and submission.run else [], True


def keys_in_order(results: Sequence[Mapping[str, Result]]) -> dict[str, Result]:
    """Every key that any of them has, with the first result of it, in the order of the first that has it."""
    known: dict[str, Result] = {}
    for each in results:
        for key, result in each.items():
            known.setdefault(key, result)
    return known
