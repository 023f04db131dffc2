"""What stands beside a submission's result: a tombstone, a run that is to take its place, and earlier results."""

from __future__ import annotations

from typing import Any

from touchstone.competitions.selectors import Viewer
from touchstone.evaluations.rerun_selectors import Difference, Earlier, again_run, earlier_runs
from touchstone.evaluations.state import FINAL
from touchstone.submissions.models import Submission
from touchstone.submissions.withdrawing import withdrawn_text
from touchstone.web import present


def beside(*, submission: Submission, user: Viewer) -> dict[str, Any]:
    """The context of `web/submission/_beside.html` and `_earlier.html`."""
    again = again_run(submission=submission)
    return {
        "tombstone": withdrawn_text(submission),
        "again": again,
        "again_over": again is not None and again.status in FINAL,
        "earlier": [_earlier(item) for item in earlier_runs(submission=submission, user=user)],
    }


def _earlier(item: Earlier) -> dict[str, Any]:
    """Only what differs, or has no counterpart, is shown line by line."""
    rows = [_row(row) for row in item.differences]
    return {
        "run": item.run,
        "rows": [row for row in rows if row["differs"]],
        "same": sum(not row["differs"] for row in rows),
        "changed": item.changed,
    }


def _row(row: Difference) -> dict[str, Any]:
    before, after = (result.value if result is not None else None for result in (row.before, row.now))
    change = row.change
    sign = "+" if change is not None and change > 0 else ""
    return {
        "title": row.title,
        "key": row.key,
        "before": present.number(before),
        "now": present.number(after),
        "change": "–" if change is None else f"{sign}{present.number(change)}",
        "differs": before != after,
    }
