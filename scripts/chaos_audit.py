"""What became of the runs of the chaos: read from the database on the server's side, JSON on stdout.

Every count that is not zero in `violations` is a broken promise.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import django


def main() -> int:
    django.setup()
    wanted = json.load(sys.stdin)
    json.dump(_report(wanted["runs"]), sys.stdout)
    return 0


def _report(ids: list[str]) -> dict[str, Any]:
    from touchstone.audit.services import audit_verify
    from touchstone.evaluations.models import Run

    runs = list(Run.objects.filter(submission_id__in=ids).prefetch_related("events", "results"))
    violations: Counter[str] = Counter(
        {
            "runs_missing": len(ids) - len(runs),
            "not_final": sum(run.status not in ("scored", "failed", "cancelled", "rejected") for run in runs),
            "audit_chain_broken": audit_verify() is not None,
        }
    )
    examples: dict[str, str] = {}
    for run in runs:
        for name, broken in _promises(run).items():
            violations[name] += broken
            if broken:
                examples.setdefault(name, str(run.pk))
    violations.update(_totals(runs))
    return {
        "runs": len(runs),
        "by_status": dict(Counter(run.status for run in runs)),
        "by_kind": dict(Counter(run.kind for run in runs)),
        "by_attempts": dict(sorted(Counter(run.attempt for run in runs).items())),
        "failed_codes": dict(Counter(run.code for run in runs if run.status == "failed")),
        "lost_attempts": dict(
            Counter(event.data.get("code", "") for run in runs for event in run.events.all() if _is_lost(event))
        ),
        "events": sum(len(run.events.all()) for run in runs),
        "results": sum(len(run.results.all()) for run in runs),
        "violations": dict(violations),
        "examples": examples,
    }


def _is_lost(event: Any) -> bool:
    return bool(event.kind == "note" and "code" in event.data and "was lost" in event.message)


def _promises(run: Any) -> dict[str, bool]:
    """Each promise, and whether this run breaks it."""
    events = sorted(run.events.all(), key=lambda event: event.sequence)
    results = list(run.results.all())
    moves = [event.data.get("to") for event in events if event.kind == "status"]
    return {
        "scored_not_once": run.status == "scored" and moves.count("scored") != 1,
        "scored_without_results": run.status == "scored" and not results,
        "results_of_failed": run.status != "scored" and bool(results),
        "doubled_results": len({result.key for result in results}) != len(results),
        "failed_without_reason": run.status == "failed" and not (run.verdict and run.code and run.message),
        "failed_not_by_platform": run.status == "failed" and run.verdict != "platform",
        "failed_early": run.status == "failed" and run.faults != 3,
        "events_with_gaps": [event.sequence for event in events] != list(range(1, len(events) + 1)),
        "attempts_without_beginning": moves.count("running") != run.attempt,
        "last_attempt_without_events": run.status == "scored"
        and not any(event.kind == "stage" and event.attempt == run.attempt for event in events),
        "events_doubled": _doubled(events),
        "events_lost": run.status == "scored" and run.kind == "predictions" and _holes(events, run.attempt),
        "failed_counts_quota": run.status == "failed" and run.counts_quota,
    }


def _doubled(events: list[Any]) -> bool:
    """The node numbers its events within an attempt."""
    numbers = [(event.attempt, event.data["n"]) for event in events if "n" in event.data]
    return len(set(numbers)) != len(numbers)


def _holes(events: list[Any], attempt: int) -> bool:
    """Of a prediction file there is no log, so all that the node numbered is here."""
    numbers = sorted(event.data["n"] for event in events if event.attempt == attempt and "n" in event.data)
    return numbers != list(range(1, len(numbers) + 1))


def _totals(runs: list[Any]) -> dict[str, int]:
    """Counts over participants, and the record of acts."""
    from touchstone.audit.models import AuditEntry
    from touchstone.competitions.models import Participation
    from touchstone.leaderboards.models import LeaderboardEntry
    from touchstone.submissions.selectors import quota

    scored = Counter(run.submission.participation_id for run in runs if run.status == "scored")
    counting = Counter(run.submission.participation_id for run in runs if run.counts_quota)
    phase = runs[0].submission.phase
    entries = {entry.participation_id: entry for entry in LeaderboardEntry.objects.filter(participation_id__in=scored)}
    people = Participation.objects.filter(pk__in={run.submission.participation_id for run in runs})
    told = Counter(
        AuditEntry.objects.filter(act="run.score", subject__in=[f"run:{run.pk}" for run in runs]).values_list(
            "subject", flat=True
        )
    )
    return {
        "entries_missing": len(set(scored) - set(entries)),
        "entries_counted_wrong": sum(entries[pk].n_submissions != n for pk, n in scored.items() if pk in entries),
        "quota_counted_wrong": sum(
            quota(participation=person, phase=phase).used_total != counting[person.pk] for person in people
        ),
        "audited_not_once": sum(told[f"run:{run.pk}"] != (run.status == "scored") for run in runs),
    }


if __name__ == "__main__":
    raise SystemExit(main())
